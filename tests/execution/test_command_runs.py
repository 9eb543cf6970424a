"""`task: command`: a script as it is, with docs/own.md's study of one, stopped, killed, wrong."""

import json
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from harness.base.checks import FieldError
from harness.study.study import load_study
from harness.training.command import _gpu, filled
from harness.trial.resolve import resolve_trial

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "own.md").read_text(encoding="utf-8")
SCRIPT, STUDY = (re.search(rf"`{name}`:\n\n```\w+\n(.*?)```", TEXT, re.DOTALL)[1] for name in ("fit.py", "fit.yml"))


@pytest.fixture
def fit(lab):
    (lab.folder / "fit.py").write_text(SCRIPT)
    (lab.folder / "study.yml").write_text(STUDY)
    return lab


def slowly(lab, seconds):
    """Let the script wait at each step."""
    loop = "for step in range(begin, 20):\n"
    assert loop in SCRIPT
    (lab.folder / "fit.py").write_text(SCRIPT.replace(loop, f"import time\n\n{loop}    time.sleep({seconds})\n"))


def test_the_documents_example_runs_with_its_curves(fit):
    ended = fit.grid()
    assert (ended.code, fit.states()) == (0, ["done"] * 4), ended.err
    rows = fit.query("SELECT name, value FROM result ORDER BY value")
    assert {name for name, _ in rows} == {"accuracy"}
    assert len({value for _, value in rows}) > 1
    assert fit.query("SELECT count(*) FROM metric WHERE name = 'loss'") == [(4 * 20,)]
    shown = fit.here("report", "tables", "--study", "fit").out
    assert "| rate 0.1 " in shown
    assert "Function: python fit.py --rate {arguments.rate} --seed {seed}. Seeds: 0, 1." in shown
    assert "nothing to do" in fit.grid().out
    assert "4 runs: 4 done, 0 left" in fit.grid("--dry-run").out
    timed = fit.here("run", "timing", "study.yml", "--only", "rate 0.1")
    assert "1 timed" in timed.out, timed.err
    page = fit.here("report", "html", "--study", "fit", "--out", "page.html")
    assert page.code == 0, page.err
    assert "equal bits" in fit.here("results", "verify", "--rerun", "1", "--study", "study.yml").out


def test_interrupted_it_goes_on_from_its_checkpoint(fit, wait_until):
    whole = fit.grid()
    assert whole.code == 0, whole.err
    undisturbed = fit.found()
    shutil.rmtree(fit.folder / "results")
    slowly(fit, 0.1)
    process = fit.start("run", "grid", "study.yml")
    wait_until(lambda: list(fit.artifacts.glob("*/checkpoint/weights.json")))
    process.send_signal(signal.SIGTERM)
    assert fit.finish(process).code == 130
    assert fit.states() == ["interrupted"]
    again = fit.grid()
    assert (again.code, "resumes" in again.err) == (0, True), again.err
    found = [(run["results"], run["curve"]) for run in fit.found().values()]
    assert found == [(run["results"], run["curve"]) for run in undisturbed.values()]


def test_it_ends_with_a_killed_driver_and_goes_on(fit, wait_until):
    slowly(fit, 0.2)
    process = fit.start("run", "grid", "study.yml", "--limit", 1)
    wait_until(lambda: list(fit.artifacts.glob("*/checkpoint/weights.json")))
    process.kill()
    process.communicate()
    wait_until(lambda: not fit.processes(), timeout=60)
    scripts = subprocess.run(["pgrep", "-f", "fit.py --rate"], capture_output=True, text=True, check=False).stdout
    assert not [pid for pid in scripts.split() if Path(f"/proc/{pid}/cwd").resolve() == fit.folder.resolve()]
    again = fit.grid("--limit", 1)
    assert (again.code, "resumes" in again.err) == (0, True), again.err


@pytest.mark.parametrize(
    ("command", "state", "words"),
    [
        ("python -c 'print(1/0)'", "failed", "the command ended with exit code 1: ZeroDivisionError: division by zero"),
        ("sh -c 'kill -9 $$'", "failed", "the command ended with SIGKILL: it printed nothing"),
        ("no-such-program", "failed", "the command cannot be started: no-such-program: No such file or directory"),
        ("echo done", "failed", "the function did not return the metric 'accuracy'"),
        ("""echo '{"accuracy": null}'""", "nan", ""),
        ("""sh -c 'printf "  0%%|  | 0/10" >&2; echo {\\"accuracy\\": 2}; sleep 60 & exit 0'""", "done", ""),
        ("""sh -c 'printf {\\"accuracy\\":2} > $HARNESS_METRICS'""", "done", ""),
        ("""sh -c 'echo {\\"level\\": \\"info\\", \\"accuracy\\": 2}'""", "failed", "did not return the metric"),
        ("""sh -c 'echo {\\"accuracy\\": 2} > $HARNESS_METRICS'""", "done", ""),
    ],
)
def test_how_it_ends(lab, command, state, words):
    command = (
        command.replace("{{", "{").replace("}}", "}")
        if "HARNESS" not in command and "echo '" not in command
        else command
    )
    text = STUDY.replace("python fit.py --rate {arguments.rate} --seed {seed}", "X").replace("[0, 1]", "[0]")
    text = re.sub(r"trials:.*", "trials: [{name: A}]\n", text, flags=re.DOTALL)
    (lab.folder / "study.yml").write_text(text.replace("command: X", f"command: {json.dumps(command)}"))
    ended = lab.grid()
    assert lab.states() == [state], ended.err
    assert words in ended.err


def test_a_shell_that_is_stopped_ends_with_its_script_and_counts_for_nothing(fit, wait_until):
    """A script may exit with 0 on SIGTERM; the metrics that it printed are of an unfinished run, and must not count."""
    stops = (
        "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: (print('{\"accuracy\": 0.1}'), sys.exit(0)))\n"
    )
    slowly(fit, 0.1)
    script = fit.folder / "fit.py"
    script.write_text(stops + script.read_text())
    study = fit.folder / "study.yml"
    study.write_text(study.read_text().replace("python fit.py", "sh -c 'true; python3 fit.py \"$@\"' fit.py"))
    process = fit.start("run", "grid", "study.yml", "--limit", 1)
    wait_until(lambda: list(fit.artifacts.glob("*/checkpoint/weights.json")))
    process.send_signal(signal.SIGTERM)
    assert fit.finish(process).code == 130
    assert fit.states() == ["interrupted"]


def test_a_gpu_is_the_one_that_this_process_calls_so(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-5")
    assert [_gpu(0), _gpu(1)] == ["3", "GPU-5"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert _gpu(1) == "1"


def test_the_key_holds_script_files_and_arguments(tmp_path):
    (tmp_path / "fit.py").write_text("import part\n")
    (tmp_path / "part.py").write_text("A = 1\n")
    (tmp_path / "data.csv").write_text("1\n")

    def key(command="python fit.py data.csv {arguments.a}", a=1):
        return resolve_trial(
            task="command",
            command=command,
            arguments={"a": a},
            metrics={"m": "maximize"},
            inputs=["data.csv"],
            plugin_folders=[str(tmp_path)],
        ).key

    keys = [key(), key(a=2), key("python fit.py data.csv --a {arguments.a}")]
    for name in ("part.py", "data.csv", "fit.py"):
        (tmp_path / name).write_text((tmp_path / name).read_text() + "\nB = 2\n")
        keys.append(key())
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("parts", "path", "words"),
    [
        ({}, ("command",), "'command' is missing: write it as in a shell"),
        ({"command": "a 'b"}, ("command",), "'command' cannot be read: no closing quotation"),
        ({"command": "a {sed}"}, ("command",), "'{sed}' means nothing; did you mean 'seed'"),
        ({"command": "a {arguments.x}"}, ("command",), "'{arguments.x}' means nothing"),
        ({"command": "a", "arguments": {"x": 1}}, ("arguments", "x"), "'x' is not in 'command'"),
        (
            {"command": "a {arguments.x}", "arguments": {"x": [1]}},
            ("arguments", "x"),
            "must be a number, a word or null",
        ),
        ({"command": "python none.py"}, ("command",), "there is no file none.py"),
        ({"command": "a", "target": "b.py:c"}, ("target",), "'target' goes with 'task: function' only"),
        (
            {"command": "a {arguments.x}", "arguments": {"x": True}},
            ("arguments", "x"),
            "write a switch as '--x', or null",
        ),
        ({"command": "python ../a.py"}, ("command",), "the script '../a.py' must be beside the study"),
        ({"command": "{seed} a"}, ("command",), "'command' must begin with the name of a program"),
        ({"command": "a", "model": "mnist_cnn"}, ("model",), "'model' goes with 'task: classification' only"),
        ({"command": "a", "metrics": None}, ("metrics",), "'metrics' is missing"),
    ],
)
def test_what_cannot_be_run_is_refused(tmp_path, parts, path, words):
    with pytest.raises(FieldError, match=re.escape(words)) as caught:
        resolve_trial(**{"task": "command", "metrics": {"m": "maximize"}, "plugin_folders": [str(tmp_path)], **parts})
    assert caught.value.path == path


def test_a_command_of_another_task_is_refused():
    with pytest.raises(FieldError, match="'command' goes with 'task: command' only"):
        resolve_trial(task="function", target="a.py:b", command="c", metrics={"m": "maximize"})


def test_words_are_filled_one_by_one():
    arguments, fields = {"name": "two words", "flag": None}, {"seed": 3}
    command = (
        "run {arguments.name} --flag {arguments.flag} 'a b' --seed={seed} --x={arguments.flag} ./x.csv '' '{print}'"
    )
    made = filled(command, arguments, fields, {"x.csv": "/data/x.csv"})
    assert made == ["run", "two words", "a b", "--seed=3", "/data/x.csv", "", "{print}"]


def test_no_plugins_refuses_it(fit):
    assert "--no-plugins refuses these" in fit.here("run", "grid", "study.yml", "--no-plugins").err
    assert load_study(fit.folder / "study.yml").trials[0].trial.is_function
