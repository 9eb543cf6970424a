"""Studies of functions by the driver, as a person runs them: docs/own.md as it stands, killed, stopped, published."""

import json
import os
import re
import signal
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import main

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "own.md").read_text(encoding="utf-8")
SLOW = """
import time

def run(context, *, steps=200, seconds=0.02):
    done = 0
    if folder := context.resume():
        done = int((folder / "count").read_text())
    for step in range(done, steps):
        time.sleep(seconds)
        context.report(step, square=step * step)
        with context.checkpoint("count") as file:
            file.write(str(step + 1).encode())
        if context.should_stop():
            return None
    return {"accuracy": float(context.rng("end").random()), "made": steps - done}
"""
STUDY = """\
study: slow
task: function
target: slow.py:run
metrics: {accuracy: maximize}
seeds: [0, 1]
execution: {threads: 1}
trials:
  - name: A
"""


def blocks():
    """Return the code of the document by the file that it is for, and the commands of its first example."""
    files = dict(re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)```", TEXT, flags=re.DOTALL | re.MULTILINE))
    return files, re.search(r"```\n(harness .*?)```", TEXT, flags=re.DOTALL)[1]


def write(lab, *names):
    for name in names:
        (lab.folder / name).write_text(blocks()[0][name])


def test_the_example_has_thirty_lines():
    files, commands = blocks()
    assert sum(len(text.splitlines()) for text in (files["train.py"], files["own.yml"], commands)) <= 30


def test_the_example_killed_in_the_middle_goes_on_and_gives_its_table(lab, wait_until, installed):
    lab.environment["PYTHONPATH"] = str(installed)  # the wheel, not the checkout
    write(lab, "train.py", "own.yml")
    run, table = (line.split()[1:] for line in blocks()[1].splitlines())
    process = lab.start(*run, "--threads", 1)
    wait_until(lambda: "done" in states(lab) and list(lab.artifacts.glob("*/checkpoint/state.pt")))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    ended = lab.run(*run, "--threads", 1)
    assert ended.code == 0, ended.err
    assert sorted(lab.states()) == ["done"] * 6 + ["lost"]
    assert lab.query("SELECT count(*) FROM attempt WHERE resumed_from IS NOT NULL") == [(1,)]
    shown = lab.run(*table).out
    cell = r"\**0\.\d{4} ± 0\.\d{4} \(n = 2, best 0\.\d{4}\)\**"
    rows = re.findall(rf"^\| (\w+) +\| 2 of 2 \| +{cell} \|$", shown, re.MULTILINE)
    assert rows == ["spatial", "topk", "conv1x1"]
    assert "**0." in shown  # the best of the column
    assert "Function: train.py:run. Seeds: 0, 1." in shown


def states(lab):
    with suppress(sqlite3.OperationalError):  # not there yet
        return lab.states()
    return []


@pytest.fixture
def here(lab, monkeypatch):
    """Return a function that runs a command in this process, in the folder of the lab, and returns what it prints."""
    monkeypatch.chdir(lab.folder)

    def call(*arguments):
        done = CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    return call


@pytest.fixture
def slow(lab):
    (lab.folder / "slow.py").write_text(SLOW)
    (lab.folder / "study.yml").write_text(STUDY)
    return lab


def counting(lab):
    return list(lab.artifacts.glob("*/checkpoint/count")) if lab.artifacts.exists() else []


def test_ctrl_c_ends_at_a_checkpoint_and_the_curve_has_every_step_once(slow, wait_until):
    process = slow.start("run", "grid", "study.yml", "--limit", 1)
    wait_until(lambda: counting(slow))
    os.killpg(process.pid, signal.SIGINT)
    ended = slow.finish(process)
    assert (ended.code, slow.states()) == (130, ["interrupted"])
    ended = slow.grid("--limit", 1, "--set", "arguments.steps=200")  # the default: the same trial
    assert "resumes" in ended.err
    assert slow.states() == ["interrupted", "done"]
    ((made,),) = slow.query("SELECT value FROM result WHERE name = 'made'")
    assert 0 < made < 200
    assert slow.query(
        "SELECT count(*), min(step), max(step), sum(value) FROM metric m JOIN attempt a ON a.id = m.attempt_id "
        "WHERE a.state = 'done'"
    ) == [(200, 0, 199, sum(step * step for step in range(200)))]


def test_a_worker_for_functions_has_not_imported_torch(lab):
    code = "import sys\n\ndef run(context):\n    return {'accuracy': 'torch' not in sys.modules}\n"
    (lab.folder / "slow.py").write_text(code)
    (lab.folder / "study.yml").write_text(STUDY)
    assert (
        lab.run("run", "grid", "study.yml").code == 0
    )  # in a process of its own: this one may have a server with torch
    assert lab.query("SELECT value FROM result WHERE name = 'accuracy'") == [(1,), (1,)]


def test_edited_failed_and_published(slow, here):
    fast = ("--set", "arguments.steps=2", "--set", "arguments.seconds=0")
    assert slow.grid(*fast).code == 0
    (slow.folder / "slow.py").write_text(SLOW.replace("return {", "raise OSError('no disk')\n    return {"))
    ended = slow.grid(*fast, "--limit", 1)
    assert (ended.code, slow.states()) == (1, ["done", "done", "failed"])  # other code: another trial
    assert "failed (OSError: no disk; trace: " in ended.err
    (failed,) = slow.query("SELECT uid FROM attempt WHERE state = 'failed'")[0]
    shown = here("results", "show", failed)
    assert "error: OSError: no disk" in shown
    assert f"trace: {slow.artifacts / failed / 'log.txt'}" in shown
    assert "2 attempts" in here("results", "export", "--out", "out/slow.jsonl")
    assert "2 attempts taken in, 0 known" in here("results", "merge", "out/slow.jsonl", "--db", "other/h.db")
    assert "0 attempts taken in, 2 known" in here("results", "merge", "out/slow.jsonl", "--db", "other/h.db")
    listed = [
        json.loads(here("results", "list", "--format", "json", "--db", db))
        for db in ("results/harness.db", "other/h.db")
    ]
    assert listed[0] == listed[1]
    assert [row["values"].keys() >= {"accuracy", "made", "run_s"} for row in listed[0]] == [True, True]
    assert "function/returned accuracy" in here("results", "show", listed[0][0]["uid"][:8])
    table = slow.here("report", "tables", "--study", "slow", "--from", "out/slow.jsonl")
    assert "no trial that is in study 'slow' now is stored, only earlier ones" in table.err


def test_without_torch_a_dry_run_a_run_and_a_timing(lab, here):
    write(lab, "linear.py", "linear.yml")
    dry = json.loads(here("run", "grid", "linear.yml", "--dry-run", "--format", "json"))
    assert [(row["trial"], row["parameters"], row["left"], row["seconds_left"]) for row in dry] == [
        ("alpha 0.0001", None, 1, None),
        ("alpha 0.01", None, 1, None),
    ]
    assert lab.grid("--jobs", 2, study="linear.yml").code == 0
    assert "1 timed" in lab.run("run", "timing", "linear.yml", "--only", "alpha 0.01").out
    assert "nothing to do" in here("run", "timing", "linear.yml", "--only", "alpha 0.01")
    cells = json.loads(here("report", "tables", "--study", "linear.yml", "--format", "json"))
    assert [(cell["column"], cell["dataset"], cell["ours"] > 0.8) for cell in cells] == [("accuracy", None, True)] * 2
    curves = lab.query("SELECT name, count(*) FROM metric GROUP BY attempt_id, name")
    assert curves == [("accuracy", 4), ("accuracy", 4)]
    another = ("--set", "arguments.alpha=1", "--only", "alpha 1")
    (row,) = json.loads(here("run", "grid", "linear.yml", "--dry-run", "--format", "json", *another))
    assert (row["left"], row["seconds_left"] > 0) == (1, True)  # by what the same function took
