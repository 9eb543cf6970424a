"""Searches of a function's arguments: their files, what is chosen by, pruning, and going on after a kill."""

import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
from command import start_command, until
from in_this_process import InThisProcess

from harness.base.errors import SpecError
from harness.execution.options import Options
from harness.search.arguments import ArgumentSpace
from harness.search.file import load_search
from harness.search.run import run_search
from harness.search.space import Range
from harness.store.connection import open_reader
from harness.store.queries import snapshot
from harness.study.grid import Override
from harness.study.study import load_study

CODE = """
import time
from pathlib import Path

HERE = Path(__file__).parent

def run(context, *, width, rate=0.1, kind="a", steps=3):
    done = 0
    if folder := context.resume():
        done = int((folder / "step").read_text())
    for step in range(done, steps):
        loss = abs(width - 20) + abs(rate - 0.5) + (kind == "b") + 1 / (1 + step)
        context.report(step, loss=1000.0 if (HERE / "bad").exists() else loss)
        with context.checkpoint("step") as file:
            file.write(str(step + 1).encode())
        while (HERE / "slow").exists() and step > 1 and not context.should_stop():
            time.sleep(0.02)
        if context.should_stop():
            return None
    value = float("nan") if width == 13 else abs(width - 20) + abs(rate - 0.5) + (kind == "b")
    return {"loss": value + context.seed / 100, "size": width, "made": steps - done}
"""
FILE = """\
search: own
task: function
target: own.py:run
metrics: {loss: minimize, size: maximize, made: minimize}
arguments: {steps: 2}
seeds: [0, 1]
sampler: brute
space:
  arguments.width: {low: 10, high: 22, step: 4}
  arguments.kind: [a, b]
"""


@dataclass
class Desk:
    """A folder with a search of a function's arguments."""

    folder: Path
    display: object

    @property
    def db(self):
        return self.folder / "results" / "harness.db"

    def load(self, *settings):
        return load_search(self.folder / "own.yml", [Override.parse(text) for text in settings])

    def run(self, *settings, executors=None, **arguments):
        options = Options(self.db, self.folder, threads=1)
        executors = executors or InThisProcess()
        return run_search(self.load(*settings), options, self.display, executors=executors, **arguments)

    def attempts(self):
        with open_reader(self.db) as store:
            return snapshot(store).attempts


class Quiet:
    def __getattr__(self, name):
        return lambda *_, **__: None


@pytest.fixture
def own(tmp_path):
    (tmp_path / "own.py").write_text(CODE)
    (tmp_path / "own.yml").write_text(FILE)
    return Desk(tmp_path, Quiet())


def test_importance_of_each_argument_is_printed(own, capsys, monkeypatch):
    from harness.cli.search import _print

    monkeypatch.setattr("harness.search.importance.FEWEST", 8)
    result = own.run("seeds=[0]", "arguments.steps=1")
    assert {share.place for share in result.importance["loss"]} == {"width", "kind"}
    _print(result, "text")
    lines = capsys.readouterr().out.splitlines()
    (head,) = [i for i, line in enumerate(lines) if line.startswith("importance for loss")]
    assert {line.split()[0] for line in lines[head + 2 : head + 4]} == {"width", "kind"}
    _print(result, "json")
    shares = json.loads(capsys.readouterr().out)["importance"]["loss"]
    assert sum(share["ped_anova"] for share in shares) == pytest.approx(1)


def test_brute_force_finds_the_best_of_all_and_writes_a_study_that_repeats_it(own):
    result = own.run()
    assert (result.stopped, result.members, result.counts) == ("exhausted", 8, {"value": 8})
    (best,) = result.front
    assert (best.words, best.mean) == ("width=18, kind=a", pytest.approx(2.405))  # |18 - 20| + |0.1 - 0.5| + 0.01 / 2
    assert best.values == {0: pytest.approx(2.4), 1: pytest.approx(2.41)}
    assert result.study_file == own.folder / "own-front.yml"  # beside the function's code
    (item,) = load_study(result.study_file).trials
    assert (item.trial.key, item.seeds) == (best.key, (0, 1, 2))
    assert item.trial.config["arguments"] == {"width": 18, "steps": 2}  # without the default
    assert "loss" in result.figure.read_text()
    assert own.run().summary.ended == {}
    assert len(own.attempts()) == 16


def test_two_metrics_have_a_front_each_in_its_direction(own):
    result = own.run("objectives=[loss, size]", "seeds=[0]", confirm=[7])
    assert [(c.words, c.mean, c.costs["size"]) for c in result.front] == [  # as good as 18, and larger
        ("width=22, kind=a", pytest.approx(2.4), 22.0)
    ]
    assert result.front[0].confirmed == {7: pytest.approx(2.47)}
    equal = own.run("objectives=[loss, made]", "seeds=[0]")
    assert [c.words for c in equal.front] == ["width=18, kind=a", "width=22, kind=a"]


def test_a_range_of_numbers_is_sampled_within_its_bounds_and_found_again(own):
    ranges = ("space={arguments.rate: {low: 0.01, high: 1, log: true}, arguments.width: {low: 19, high: 21}}",)
    settings = (*ranges, "sampler=tpe", "seeds=[0]")
    result = own.run(*settings, trials=6)
    assert (result.members, result.stopped) == (6, "budget")
    rates = [dict(c.placement)["rate"] for c in own.run(*settings, trials=6).front]
    arguments = [json.loads(json.dumps(a)) for a in _arguments(own)]
    assert len(arguments) == len(own.attempts()) == 6
    assert all(0.01 <= a["rate"] <= 1 and float(f"{a['rate']:.4g}") == a["rate"] for a in arguments)
    assert {type(a["width"]) for a in arguments} == {int}
    assert rates[0] in {a["rate"] for a in arguments}
    again = own.run(*settings, "search=other", trials=3)  # what is stored already costs nothing
    assert again.counts["value"] >= 6


def _arguments(own):
    with open_reader(own.db) as store:
        return [trial.config["arguments"] for trial in snapshot(store).trials.values()]


NARROW = [(0.9995, 0.99999), (0.123456, 0.123459), (-1e-7, 1e-7), (1000.0, 1000.001), (1e-300, 2e-300)]
WIDE = [(0.0, 1.0), (0.1, 100.0), (-5.0, 5.0), (1e-5, 1e-1), (0.0, 1e6)]


@pytest.mark.parametrize(("low", "high"), [*NARROW, *WIDE, (-1e308, 1e308)])
def test_a_range_is_told_apart_by_four_digits_of_its_width(low, high):
    space = ArgumentSpace({}, {}, {"x": Range(low, high)})
    thousandths = [low + part / 1000 * high - part / 1000 * low for part in range(1001)]
    written = [space.placement({"x": value})[0][1] for value in thousandths]
    assert len(set(written)) == 1001
    assert all(low <= value <= high for value in written)
    assert [space.placement({"x": value})[0][1] for value in written] == written  # what is stored is found again


@pytest.mark.parametrize(("value", "text"), [(0.000123456, "0.0001235"), (57.123456, "57.12"), (0.5, "0.5")])
def test_numbers_are_written_as_a_person_would(value, text):
    space = ArgumentSpace({}, {}, {"x": Range(1e-5, 100.0, log=True)})
    assert space.words(space.placement({"x": value})) == f"x={text}"


def test_what_diverged_is_a_result_and_never_the_best(own):
    result = own.run("space={arguments.width: [13, 30]}", "seeds=[0]")
    assert result.counts == {"nan": 1, "value": 1}
    assert [c.words for c in result.front] == ["width=30"]


def test_where_all_diverged_the_sampler_is_told_of_failures_and_the_dashboard_shows_them(own):
    pytest.importorskip("optuna_dashboard")
    settings = ("space={arguments.width: [13]}", "seeds=[0]")
    assert own.run(*settings).counts == {"nan": 1}
    (trial,) = _dashboard(own, *settings)
    assert (trial["state"], trial["params"][0]["param_external_value"]) == ("Fail", "13")


def test_the_dashboard_has_the_values_of_both_metrics(own):
    pytest.importorskip("optuna_dashboard")
    settings = ("objectives=[loss, size]", "seeds=[0]", "space={arguments.width: {low: 20, high: 21}}")
    own.run(*settings)
    values = [[float(value) for value in trial["values"]] for trial in _dashboard(own, *settings)]
    assert sorted(values) == [[pytest.approx(0.4), 20.0], [pytest.approx(1.4), 21.0]]


def _dashboard(own, *settings):
    from harness.search.dashboard import dashboard, get
    from harness.search.ledger import Ledger

    with open_reader(own.db) as store:
        app = dashboard(Ledger(own.load(*settings), store, Options(own.db, own.folder, threads=1)))
    return json.loads(get(app, "/api/studies/0?after=0"))["trials"]


def test_a_bad_point_is_ended_when_it_is_worse_than_the_median(own):
    settings = ("pruner=median", "seeds=[0]", "arguments.steps=4")
    assert own.run(*settings, trials=5).counts == {"value": 5}
    (own.folder / "bad").touch()
    (own.folder / "slow").touch()
    result = own.run(*settings, trials=6, executors=_local)
    assert result.counts == {"value": 5, "pruned": 1}
    assert [a.state for a in own.attempts()][-1] == "pruned"


def _local(slots, threads):
    from harness.execution.executors.local import LocalExecutor
    from harness.execution.libraries import LIGHT

    return LocalExecutor(slots, threads, LIGHT)


def test_killed_in_the_middle_the_same_command_goes_on(own):
    (own.folder / "slow").touch()
    command = ["search", "arguments", "own.yml", "--trials", "2", "--set", "seeds=[0]", "--set", "arguments.steps=4"]
    process = start_command(own.folder, *command)
    until(lambda: [f for f in own.folder.glob("results/artifacts/*/checkpoint/step") if f.read_text() == "3"])
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    (own.folder / "slow").unlink()
    process = start_command(own.folder, *command, "--format", "json")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, "Traceback" in err) == (0, False), err
    found = json.loads(out)
    assert (found["points"], found["outcomes"], found["space"]) == (2, {"value": 2}, 8)
    assert set(found["front"][0]["means"]) == {"loss"}
    assert sorted(a.state for a in own.attempts()) == ["done", "done", "lost"]
    made = [a.results for a in own.attempts() if a.resumed_from]
    assert [value for results in made for (_, name), value in results.items() if name == "made"] == [1]


BAD = {
    "an argument that it does not take": ("arguments.kind", "arguments.knid", 10, "unknown argument 'knid'"),
    "no argument": ("arguments.kind", "kind", 10, "must be arguments.NAME"),
    "fixed and searched": ("{steps: 2}", "{steps: 2, width: 3}", 5, "leave it out here"),
    "an empty range": ("low: 10", "low: 30", 9, "'low' must be less than 'high'"),
    "a misspelt key": ("step: 4", "stpe: 4", 9, "unknown key 'stpe'; did you mean 'step'?"),
    "a logarithm of nothing": ("low: 10, high: 22, step: 4", "low: 0, high: 22, log: true", 9, "must be above 0"),
    "steps of a logarithm": ("step: 4", "step: 4, log: true", 9, "does not go with"),
    "brute force over numbers": ("low: 10, high: 22, step: 4", "low: 0.5, high: 22", 9, "brute force needs"),
    "brute force over too much": ("low: 10, high: 22, step: 4", "low: 0, high: 10000000", 7, "at most 10,000 points"),
    "a value twice": ("[a, b]", "[a, a]", 10, "a list of different numbers or words"),
    "neither": ("[a, b]", "a", 10, "write {low: …, high: …} or a list"),
    "no metric": ("sampler: brute", "objectives: [los]", 7, "'los' is none of the metrics; did you mean 'loss'?"),
    "no space": ("space:", "spaces:", 8, "unknown key 'spaces'; did you mean 'space'?"),
    "a site": ("seeds: [0, 1]", "seeds: [0, 1]\nsites: [conv2]", 7, "unknown key 'sites'"),
}


@pytest.mark.parametrize("fault", BAD)
def test_what_is_wrong_is_said_in_one_line_with_its_place(own, fault):
    before, after, line, said = BAD[fault]
    assert before in FILE
    (own.folder / "own.yml").write_text(FILE.replace(before, after, 1))
    with pytest.raises(SpecError) as caught:
        own.load()
    assert str(caught.value).startswith(f"{own.folder / 'own.yml'}:{line}: "), caught.value
    assert said in str(caught.value)


@pytest.mark.parametrize("words", [("placement", "own.yml"), ("arguments", "own.yml", "--set", "space=1")])
def test_wrong_use_is_one_line_and_exit_2_and_makes_nothing(own, words):
    process = start_command(own.folder, "search", *words)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out, len(err.splitlines())) == (2, "", 1), err
    assert not own.db.exists()
