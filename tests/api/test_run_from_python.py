"""`harness.run`: a mapping as a file, what is refused in one line, failures, and Ctrl-C."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import harness
from harness.base.errors import HarnessError
from harness.execution.options import Summary
from harness.execution.plan import Plan

CODE = """\
def run(context, *, x, fails=False):
    if fails:
        raise OSError("no disk")
    context.report(0, x=x)
    return {"y": x * 2}
"""
STUDY = {
    "study": "doubles",
    "task": "function",
    "target": "double.py:run",
    "metrics": {"y": "minimize"},
    "seeds": (3,),
    "trials": [{"name": "{arguments.x}", "grid": {"arguments.x": range(1, 3)}}],
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_DB", raising=False)
    (tmp_path / "double.py").write_text(CODE)
    return tmp_path


def test_a_mapping_and_a_file_are_one_study(folder, capsys):
    first = harness.run(STUDY, limit=1, threads=1)
    assert (first.done, first.left, first.ended, first.failed) == (1, 1, {"done": 1}, False)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "doubles: 1, seed 3: begins"
    assert said[-1].startswith("[1/1] doubles: 1, seed 3: done, y 2.0000")
    (folder / "doubles.yml").write_text(
        "study: doubles\ntask: function\ntarget: double.py:run\nmetrics: {y: minimize}\nseeds: [3]\n"
        "trials:\n  - name: '{arguments.x}'\n    grid: {arguments.x: [1, 2]}\n"
    )
    second = harness.run("doubles.yml", threads=1, progress=False)
    assert (second.done, second.left, second.ended) == (2, 0, {"done": 1})
    assert "**2.0000 (n = 1)**" in second.table()
    assert list(second.results().results().value) == [2.0, 4.0]
    assert harness.run(STUDY, progress=False).ended == {}


def test_the_store_may_lie_in_the_home_folder(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.setenv("USERPROFILE", str(folder / "home"))
    summary = harness.run(STUDY, db="~/kept/x.db", limit=1, threads=1, progress=False)
    assert summary.db == folder / "home" / "kept" / "x.db"
    assert summary.db.is_file()
    assert not (folder / "~").exists()


def test_failures_are_held_until_they_are_asked_for(capsys):
    failing = {"arguments.fails": True}
    first = harness.run(STUDY, only="1", overrides=failing, threads=1)
    assert (first.failed, first.held) == (True, {"failed": 1})
    assert "failed (OSError: no disk; trace: " in capsys.readouterr().err
    assert str(first).endswith(
        "runs on hold were skipped; add retry=['failed'] to run them\nresults: results/harness.db"
    )
    assert harness.run(STUDY, only="1", overrides=failing, progress=False).ended == {}
    assert harness.run(STUDY, only="1", overrides=failing, retry="failed", progress=False).ended == {"failed": 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"jobs": 0}, "jobs must be a whole number from 1, not 0"),
        ({"threads": True}, "threads must be a whole number from 1, not True"),
        ({"retry": "faild"}, "retry: unknown reason 'faild'; did you mean 'failed'?"),
        ({"only": "3"}, "only='3' matches no trial"),
        ({"overrides": {"argument.x": 1}}, "'argument.x' leads nowhere; did you mean 'arguments'?"),
    ],
)
def test_options_that_cannot_be(folder, options, message):
    with pytest.raises(HarnessError) as caught:
        harness.run(STUDY, **options)
    assert message in str(caught.value)
    assert not (folder / "results").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"target": "duble.py:run"}, "study: target: there is no file duble.py for 'duble.py:run'"),
        ({"metrics": {"y": "smaller"}}, "study: metrics.y: 'y' is to maximize or to minimize, not 'smaller'"),
        ({"seeds": [float("nan")]}, "study: seeds[0]: nan is not a plain value"),
        ({"target": lambda _context: {}}, "study: target: a worker process cannot import '<lambda>' from here"),
    ],
)
def test_mappings_that_cannot_be(changed, message):
    with pytest.raises(HarnessError) as caught:
        harness.run({**STUDY, **changed})
    assert str(caught.value).startswith(message)


SCRIPT = """\
import harness

def run(context, *, x=1):
    import time
    for step in range(600):
        with context.checkpoint("step") as file:
            file.write(b"x")
        if context.should_stop():
            return None
        if context.resumed_from:
            break
        time.sleep(0.1)
    return {"y": x}

study = {"study": "s", "task": "function", "target": run, "metrics": {"y": "minimize"}, "seeds": [0],
         "trials": [{"name": "A"}]}
if __name__ == "__main__":
    print(harness.run(study, threads=1))
"""


def test_a_script_with_its_own_function_is_stopped_and_goes_on(folder):
    (folder / "script.py").write_text(SCRIPT)
    process = subprocess.Popen([sys.executable, "script.py"], stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        for line in process.stderr:
            if "begins" in line:
                break
        while not list(Path("results/artifacts").glob("*/checkpoint/step")):
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        _, error = process.communicate(timeout=120)
    finally:
        process.kill()
    assert "KeyboardInterrupt: what was done is kept, the same call resumes from the checkpoints" in error
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, timeout=120, check=True)
    assert "s: this call: 1 done; in all 1 done, 0 left, 0 held" in done.stdout
    assert "resumes" in done.stderr


def test_a_late_ctrl_c_still_ends_a_script_that_calls_it_in_a_loop(monkeypatch):
    late = Summary(Plan(()), {"done": 1}, stopped_late=True)
    monkeypatch.setattr("harness.api.run_grid", lambda *_: late)
    with pytest.raises(KeyboardInterrupt, match="everything that was asked for finished before the stop took effect"):
        harness.run(STUDY)


@pytest.mark.parametrize("given", [{}, {"from_start": True}])
def test_from_start_is_as_of_the_command(monkeypatch, given):
    asked = []
    monkeypatch.setattr("harness.api.run_grid", lambda _, o, __: asked.append(o.from_start) or Summary(Plan(())))
    harness.run(STUDY, **given)
    assert asked == [bool(given)]


def test_a_script_without_a_guard_is_told_so(folder):
    (folder / "script.py").write_text(SCRIPT.replace('if __name__ == "__main__":\n    print', "print"))
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, timeout=120, check=False)
    assert 'put the call below `if __name__ == "__main__":`' in done.stdout + done.stderr
