"""Attempts at a person's own function, in this process: what it is given, what it may return, and going on."""

import json
import pickle
import subprocess
import sys

import pytest

from harness.attempt.messages import CHECKPOINT_FOLDER, read_result
from harness.training.attempt import run_attempt
from harness.trial.function import RETURNED

COUNTS = """
import random
import time
import numpy as np
import torch

def run(context, *, upto=3, fails_at=None, stops_at=None, metric=0.5):
    done = 0
    if folder := context.resume():
        done = int((folder / "count").read_text())
    for step in range(done, upto):
        if step == fails_at:
            raise ValueError("as asked\\nfor")
        context.report(step, loss=1 / (1 + step), split="train")
        with context.checkpoint("count") as file:
            file.write(str(step + 1).encode())
        if step == stops_at:
            while not context.should_stop():
                time.sleep(0.01)
            return None
    print("counted", upto)
    draws = random.random() + np.random.rand() + float(torch.rand(1))
    return {"accuracy": metric, "steps": upto - done, "draws": draws}
"""


@pytest.fixture
def ask(ask_function):
    return ask_function


def values(result):
    return {value.name: value.value for value in result.results}


def test_what_it_returns_and_reports(ask, tmp_path):
    result = ask(COUNTS)
    assert (result.state, result.error) == ("done", None)
    assert {value.evaluation for value in result.results} == {RETURNED.key}
    assert (values(result)["accuracy"], values(result)["steps"]) == (0.5, 3)
    assert [(p.split, p.name, p.step, p.value) for p in result.curve] == [
        ("train", "loss", step, 1 / (1 + step)) for step in range(3)
    ]
    assert {measure.name for measure in result.measures} >= {"run_s"}
    assert not (tmp_path / result.uid / CHECKPOINT_FOLDER).exists()


def test_libraries_draw_by_the_seed_alone(ask):
    draws = [values(ask(COUNTS, seed=seed, upto=upto))["draws"] for seed, upto in ((0, 1), (0, 2), (1, 1))]
    assert draws[0] == draws[1] != draws[2]


def test_it_goes_on_where_it_was_stopped(ask, tmp_path):
    first = ask(COUNTS, upto=4, stops_at=1, stop=True)
    assert (first.state, first.results, len(first.curve)) == ("interrupted", (), 2)
    second = ask(COUNTS, upto=4, stops_at=1, resume=first.uid)  # from step 2 on
    assert (second.state, second.resumed_from, values(second)["steps"]) == ("done", first.uid, 2)
    assert [p.step for p in second.curve] == [0, 1, 2, 3]
    assert "run_s" not in {measure.name for measure in second.measures}
    assert not (tmp_path / first.uid / CHECKPOINT_FOLDER).exists()


def test_with_other_threads_it_starts_afresh(ask):
    first = ask(COUNTS, upto=4, stops_at=1, stop=True)
    second = ask(COUNTS, upto=4, stops_at=1, resume=first.uid, threads=2, stop=True)
    assert (second.state, second.resumed_from, [p.step for p in second.curve]) == ("interrupted", None, [0, 1])


def test_a_failure_keeps_its_last_line_and_its_trace(ask, tmp_path):
    result = ask(COUNTS, fails_at=1)
    assert (result.state, result.error_kind, result.error) == ("failed", "ValueError", "ValueError: as asked for")
    assert 'raise ValueError("as asked' in (tmp_path / result.uid / "log.txt").read_text()


def returning(expression):
    return f"def run(context):\n    return {expression}\n"


@pytest.mark.parametrize("name", ["../other", "/elsewhere/other"])
def test_a_checkpoint_stays_in_its_folder(ask, name):
    result = ask(f"def run(context):\n    with context.checkpoint({name!r}):\n        return {{'accuracy': 1}}\n")
    assert result.error == f"checkpoint takes the name of a file in the folder for checkpoints, not '{name}'"


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("None", "the function returned nothing, not its metrics: return {'accuracy': 0.93}"),
        ("0.93", "the function returned a float, not its metrics: return {'accuracy': 0.93}"),
        ("{'acuracy': 1}", "the function did not return the metric 'accuracy'; did you mean 'acuracy'?"),
        ("{'accuracy': 'high'}", "the function returned a str for 'accuracy': a number is wanted"),
        ("{'accuracy': '0.9'}", "the function returned a str for 'accuracy': a number is wanted"),
        ("{'accuracy': [1, 2]}", "the function returned a list for 'accuracy': a number is wanted"),
        (
            "{'accuracy': 10**400}",
            "the function returned an int for 'accuracy' that is too large: a metric is a number of up to 1.8e+308",
        ),
        ("{'accuracy': object()}", "the function returned an object for 'accuracy': a number is wanted"),
    ],
)
def test_returns_that_are_no_metrics(ask, returned, message):
    result = ask(returning(returned))
    assert (result.state, result.error) == ("failed", message)


def test_nan_is_a_result_and_so_is_infinity(ask):
    result = ask(returning("{'accuracy': float('nan'), 'other': float('inf')}"))
    assert result.state == "nan"
    assert {(v.name, v.value, v.flag) for v in result.results} == {("accuracy", None, "nan"), ("other", None, "inf")}
    assert ask(returning("{'accuracy': 1, 'other': float('nan')}")).state == "done"


def test_running_out_of_memory(ask):
    assert ask("def run(context):\n    raise MemoryError\n").state == "oom"


def test_a_timing_keeps_the_seconds_alone(ask, tmp_path):
    result = ask(COUNTS, kind="timing")
    assert (result.state, result.results, result.curve) == ("done", (), ())
    assert "run_s" in {measure.name for measure in result.measures}
    assert not (tmp_path / result.uid / CHECKPOINT_FOLDER).exists()


def test_code_that_was_edited_after_it_was_planned(ask, tmp_path):
    edits = "def run(context):\n    return {'accuracy': 1}\n"
    planned = ask(edits)
    folder = tmp_path / planned.uid
    (tmp_path / "own.py").write_text(edits.replace("1", "2"))
    (folder / "result.json").unlink()
    run_attempt(folder)
    assert (
        read_result(folder).error == "the code of 'own.py:run' was edited since this was planned; run the study again"
    )


FILES = """
from pathlib import Path

def run(context, *, path):
    Path(path).write_text("here")
    context.save("note", path)
    (context.checkpoints / "half").write_text("x")
    return {"accuracy": context.seed_for("a") != context.seed_for("b")}
"""


def test_files_are_kept_with_their_digest(ask, tmp_path):
    result = ask(FILES, path=str(tmp_path / "elsewhere.txt"))
    (kept,) = result.artifacts
    assert (kept.kind, kept.path, kept.bytes) == ("note", "files/note/elsewhere.txt", 4)
    assert (tmp_path / result.uid / kept.path).read_text() == "here"


GIVEN = """
import pickle
import subprocess
import sys

def run(context, *, out):
    order = [context.rng("order", epoch).permutation(5).tolist() for epoch in range(2)]
    noise = context.generator("noise").initial_seed()
    arguments = context.config["arguments"]
    given = (context.seed, context.device, context.threads, context.precision, arguments, order, noise)
    with open(out, "wb") as file:
        pickle.dump(given, file)
    return {"accuracy": 1}
"""


def test_what_its_context_tells(ask, tmp_path):
    out = tmp_path / "given.pkl"
    assert ask(GIVEN, out=str(out), seed=7).state == "done"
    seed, device, threads, precision, arguments, order, noise = pickle.loads(out.read_bytes())  # noqa: S301
    assert (seed, device, threads, precision, arguments) == (7, "cpu", 1, "fp32", {"out": str(out)})
    assert order[0] != order[1]
    assert ask(GIVEN, out=str(out), seed=7).state == "done"
    assert pickle.loads(out.read_bytes())[5:] == (order, noise)  # noqa: S301


REPORTS = "import numpy as np\nimport torch\n\ndef run(context):\n    {}\n    return {{'accuracy': 1}}\n"
NO_STEPS = ["-1", "1.5", "True", "'a'", "None", "2**63", "np.True_", "np.float64(1)", "torch.tensor(True)"]


@pytest.mark.parametrize("step", [*NO_STEPS, "torch.tensor(1.0)", "np.array([1, 2])"])
def test_a_step_is_a_whole_number_that_the_store_holds(ask, step):
    result = ask(REPORTS.format(f"context.report({step}, loss=1)"))
    assert result.error.startswith("report takes a step, a whole number from 0 to 2**63 - 1, not ")


@pytest.mark.parametrize("step", ["np.int64(3)", "np.uint8(3)", "np.array(3)", "torch.tensor(3)", "3"])
def test_a_step_may_be_of_any_library(ask, step):
    result = ask(REPORTS.format(f"context.report({step}, loss=torch.tensor(0.5), **{{'val/acc': np.float32(1)}})"))
    assert [(p.name, p.step, p.value) for p in result.curve] == [("loss", 3, 0.5), ("val/acc", 3, 1.0)]


@pytest.mark.parametrize("steps", [*NO_STEPS, "0"])
def test_a_total_is_a_whole_number(ask, steps):
    result = ask(REPORTS.format(f"context.total({steps})"))
    assert result.error.startswith("total takes how many steps there will be, a whole number from 1, not ")


@pytest.mark.parametrize("value", ["'high'", "b'1'", "[1, 2]", "torch.ones(2)", "1j"])
def test_what_is_no_number_is_refused_when_it_is_reported(ask, value):
    result = ask(REPORTS.format(f"context.report(0, first=1, loss={value})"))
    assert result.error.startswith("report was given a ")
    assert result.error.endswith(" for 'loss': a number is wanted")
    assert result.curve == ()


def test_a_number_that_is_too_large_is_called_so_when_it_is_reported(ask):
    result = ask(REPORTS.format("context.report(0, loss=-10**400)"))
    said = "report was given an int for 'loss' that is too large: a metric is a number of up to 1.8e+308"
    assert (result.state, result.error, result.curve) == ("failed", said, ())


def test_nothing_is_no_number_and_loses_no_run(ask):
    result = ask(REPORTS.format("context.report(0, loss=None)").replace("1}", "1, 'f1': None, 'note': 'good'}"))
    assert (result.state, result.error) == ("done", None)
    assert [(p.value, p.flag) for p in result.curve] == [(None, "nan")]
    assert {(v.name, v.value, v.flag) for v in result.results} == {("accuracy", 1.0, "ok"), ("f1", None, "nan")}
    assert result.notes == (
        "the function returned nothing for 'f1': it is stored as NaN",
        "the function returned a str for 'note': a number is wanted; it is left out",
    )
    declared = ask(returning("{'accuracy': None}"))
    assert (declared.state, len(declared.notes)) == ("nan", 1)


BAD_NAMES = {"''": "'', which cannot be its name: it is empty", r"'\x1b[2J'": r"'\x1b[2J'", r"'a\nb'": r"'a\nb'"}


@pytest.mark.parametrize(("name", "shown"), BAD_NAMES.items())
def test_a_metric_needs_a_name_that_can_be_printed_in_one_line(ask, name, shown):
    reported = ask(REPORTS.format(f"context.report(0, **{{{name}: 1}})"))
    assert reported.error.startswith(f"report was given a metric {shown}")
    assert (reported.curve, reported.state) == ((), "failed")
    split = ask(REPORTS.format(f"context.report(0, split={name}, loss=1)"))
    assert split.error.startswith(f"a curve cannot have the split {shown.partition(',')[0]}")
    returned = ask(returning(f"{{'accuracy': 1, {name}: 2}}"))
    assert (returned.state, [value.name for value in returned.results]) == ("done", ["accuracy"])
    assert returned.notes[0].startswith(f"the function returned a metric {shown}")
    assert returned.notes[0].endswith("; it is left out")


def test_progress_is_told(ask, tmp_path):
    result = ask(COUNTS)
    assert json.loads((tmp_path / result.uid / "progress.json").read_text()) == {"step": 0, "metrics": {"loss": 1.0}}
    result = ask(REPORTS.format("context.total(np.int64(4))\n    context.report(0, loss=1)"))
    said = {"step": 0, "steps": 4, "metrics": {"loss": 1.0}}
    assert json.loads((tmp_path / result.uid / "progress.json").read_text()) == said


WITHOUT_TORCH = """
import sys

def run(context):
    context.report(0, loss=1.5)
    with context.checkpoint("state") as file:
        file.write(b"x")
    drawn = context.rng("order").random() + context.seed_for("split")
    return {"accuracy": "torch" not in sys.modules, "drawn": drawn}
"""
FRESH = "from pathlib import Path; from harness.training.attempt import run_attempt; run_attempt(Path({!r}))"


@pytest.fixture
def ask_fresh(ask, tmp_path):
    """Return a function that makes the attempt that `ask` made, again, in a process of its own."""

    def make(code, **fields):
        folder = tmp_path / ask(code, **fields).uid
        (folder / "result.json").unlink()
        subprocess.run([sys.executable, "-c", FRESH.format(str(folder))], check=True)
        return read_result(folder)

    return make


def test_an_attempt_without_torch_wakes_none(ask_fresh):
    import torch

    result = ask_fresh(WITHOUT_TORCH)
    assert (result.state, result.error, values(result)["accuracy"]) == ("done", None, 1)
    assert result.environment["torch"] == torch.__version__
    assert "peak_memory_bytes" in {measure.name for measure in result.measures}


LATE = """
def run(context):
    import torch, numpy as np
    flag = torch.are_deterministic_algorithms_enabled()
    return {"accuracy": flag, "threads": torch.get_num_threads(), "drawn": torch.rand(1) + np.random.rand()}
"""


def test_torch_that_is_imported_late_is_set_up_and_seeded(ask, ask_fresh):
    late, early = ask_fresh(LATE, threads=2), ask("import torch, numpy\n" + LATE, threads=2)
    assert late.error is None
    assert (values(late)["accuracy"], values(late)["threads"]) == (1, 2)
    assert values(late) == values(early)


def test_seeds_and_the_devices_name_are_the_same_with_torch_and_without(ask_fresh):
    from harness.training import libraries, streams

    purposes = [("order", 3), ("noise",), ()]
    assert [libraries.stream_seed(7, *p) for p in purposes] == [streams.stream_seed(7, *p) for p in purposes]
    late, early = ask_fresh(WITHOUT_TORCH).environment, ask_fresh("import torch\n" + WITHOUT_TORCH).environment
    of_the_import = {"blas", "packages", "threads_in_use"}  # what was imported says so
    assert [late.keys() - of_the_import, early.keys() - of_the_import] == [late.keys() - of_the_import] * 2
    assert {name for name in late if late[name] != early[name]} <= of_the_import


@pytest.mark.parametrize(
    ("raising", "kind", "error"),
    [
        ("raise KeyError('lr')", "KeyError", "KeyError: 'lr'"),
        ("raise SystemExit(3)", "SystemExit", "SystemExit: 3"),
        ("sys.exit()", "SystemExit", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise asyncio.CancelledError('gone')", "CancelledError", "CancelledError: gone"),
        ("raise Mute", "Mute", "Mute: (its message cannot be read)"),
        ("raise type('MuteOS', (Mute, OSError), {})(28)", "MuteOS", "MuteOS: (its message cannot be read)"),
        ("raise type('MuteRun', (Mute, RuntimeError), {})", "MuteRun", "MuteRun: (its message cannot be read)"),
        ("raise type('Shut', (BaseException,), {'__getattribute__': sys.exit})", "Shut", "Shut"),
        ("raise type('Falsy', (BaseException,), {'__len__': lambda _: 0})", "Falsy", "Falsy"),
        ("raise type('Odd', (BaseException,), {'__bool__': sys.exit})", "Odd", "Odd"),
        ("open(b'/nowhere/\\xff')", "FileNotFoundError", "FileNotFoundError: [Errno 2] No such file or directory: b"),
        ("raise ValueError(os.fsdecode(b'a\\xff'))", "ValueError", "ValueError: a\\udcff"),
        ("raise ValueError('x' * 10**6)", "ValueError", "ValueError: xxx"),
    ],
)
def test_whatever_it_raises_the_error_and_its_trace_are_kept(ask, tmp_path, raising, kind, error):
    code = "import asyncio, os, sys\n\nclass Mute(BaseException):\n    def __str__(self):\n        raise TypeError\n\n"
    result = ask(f"{code}def run(context):\n    {raising}\n")
    assert (result.state, result.error_kind) == ("failed", kind)
    assert result.error.startswith(error)
    assert len(result.error) < 3000
    result.error.encode()  # as the store does
    trace = (tmp_path / result.uid / "log.txt").read_text()
    assert "Traceback" in trace
    assert kind in trace


def test_a_trace_that_cannot_be_written_does_not_take_the_errors_place(ask, tmp_path):
    code = "def run(context):\n    (context.checkpoints.parent / 'log.txt').mkdir()\n    raise KeyError('lr')\n"
    assert ask(code).error == "KeyError: 'lr'"
