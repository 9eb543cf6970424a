"""Stored runs repeated here: equal bits, what differs beside the spread, and what cannot be made here."""

import json
import math
import re
from dataclasses import replace

import pytest

from harness.base.errors import DamagedError
from harness.cli.results.verify import _json, _print_repeated
from harness.execution.rerun import Compared, Repeated, can_explain, draw
from harness.store.connection import open_reader, open_store
from harness.store.merge import open_results
from harness.store.queries import snapshot
from harness.study.study import load_study

OWN = """\
study: own
task: function
target: fn.py:run
seeds: [0]
metrics: {score: maximize}
trials:
  - name: one
"""


@pytest.fixture
def published(study_file):
    with open_results(study_file("mnist").parents[1] / "results" / "published" / "mnist.jsonl") as store:
        yield snapshot(store)


@pytest.fixture
def with_data(monkeypatch):
    monkeypatch.setattr("harness.execution.rerun.require", lambda *_: None)


def test_a_draw_is_that_of_its_seed(published, with_data, tmp_path):
    def drawn(count, seed):
        return [run.attempt.uid for run in draw(published, count, seed, data_root=tmp_path, device=None).runs]

    assert drawn(3, 1) == drawn(3, 1)
    assert drawn(2, 1) == drawn(3, 1)[:2]
    assert len({tuple(drawn(3, seed)) for seed in range(5)}) > 1
    accepted = {attempt.uid for attempt in published.attempts if attempt.accepted}
    assert set(drawn(99, 0)) == accepted


def test_a_run_is_drawn_as_it_was_made(published, with_data, tmp_path):
    (run,) = draw(published, 1, 0, data_root=tmp_path, device=None).runs
    assert run.execution.threads == run.attempt.threads
    assert run.execution.device == run.attempt.device == "cpu"
    assert run.trial.key == run.attempt.trial_key
    assert [e.key for e in run.trial.evaluations] == list(dict.fromkeys(key for key, _ in run.attempt.results))
    assert [d.name for d in run.trial.data] == ["mnist"]


def test_what_cannot_be_made_here_is_passed_over_with_its_reason(published, tmp_path):
    found = draw(published, 2, 0, data_root=tmp_path, device=None)
    assert found.runs == ()
    assert len(found.passed_over) == 14
    assert all("mnist" in reason for reason in found.passed_over.values())


def test_without_the_gpu_a_run_made_on_one_is_passed_over(published, with_data, tmp_path):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    attempts = tuple(replace(attempt, device="cuda:0") for attempt in published.attempts)
    found = draw(replace(published, attempts=attempts), 1, 0, data_root=tmp_path, device=None)
    assert found.runs == ()
    assert all("there is no cuda:0 here" in reason for reason in found.passed_over.values())


@pytest.fixture
def drawn(published, with_data, tmp_path):
    (run,) = draw(published, 1, 0, data_root=tmp_path, device=None).runs
    return run


def metric(here, seeds=3, stored=0.98):
    return Compared("mnist/test accuracy", stored, here, None if seeds < 2 else 0.001, seeds)


CHANGED = {"differing": ("curve",), "changed": {"torch": ("2.12", "2.13")}}


@pytest.mark.parametrize(
    ("verdict", "fields"),
    [
        ("ok", {}),
        ("BAD", {"state": "nan"}),
        ("BAD", {"differing": ("curve",)}),  # though nothing has changed
        ("ok", {**CHANGED, "metrics": (metric(0.9765),)}),
        ("BAD", {**CHANGED, "metrics": (metric(0.9755),)}),
        ("undecided", {**CHANGED, "metrics": (metric(0.5, seeds=2),)}),
        ("undecided", {**CHANGED, "metrics": (metric(0.98), metric(0.5, seeds=1))}),
        ("BAD", {**CHANGED, "metrics": (metric(0.5, seeds=1), metric(0.9755))}),
        ("ok", {**CHANGED, "metrics": (metric(0.98, seeds=1),)}),  # the metric is the same: only the curve differs
        ("ok", {**CHANGED, "metrics": (metric(math.nan, stored=math.nan),)}),
        ("BAD", {**CHANGED, "metrics": (metric(math.nan),)}),
        ("BAD", {**CHANGED, "metrics": (metric(math.nan, seeds=1),)}),
    ],
)
def test_what_is_a_fault_and_what_cannot_be_told(drawn, verdict, fields):
    assert Repeated(drawn, **{"state": "done", **fields}).verdict == verdict


def test_what_cannot_be_told_is_said_in_place_of_ok(drawn, capsys):
    changed = {"code": ("a", "b")}
    undecided = Repeated(drawn, "done", None, ("metrics",), changed, metrics=(metric(0.9775, seeds=2),))
    _print_repeated(undecided)
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == f"undecided  {drawn.label}: metrics differ; code a → b"
    assert second.strip() == "undecided: fewer than 3 seeds are stored, too few to tell how far chance would take it"
    assert third.strip().endswith("0.98 stored, 0.9775 here, -0.0025; spread 0.001 over 2 seeds")
    assert (_json(undecided)["verdict"], _json(undecided)["well"]) == ("undecided", None)
    assert _json(Repeated(drawn, "done"))["well"] is True


HERE, OTHER = {"numpy": "2.1", "torch": "2.13"}, {"numpy": "2.1"}


@pytest.mark.parametrize(
    ("explains", "name", "pair", "lists"),
    [
        (True, "packages.numpy", ("2.1", "2.2"), (HERE, HERE)),
        (True, "blas.numpy", ("openblas 0.3", "mkl"), (HERE, HERE)),
        (False, "packages.torch", ("2.13", None), (HERE, HERE)),  # the server of workers had loaded it
        (False, "packages.torch", ("2.13", None), ({}, HERE)),  # a published run, whose list is not known
        (True, "packages.torch", ("2.13", None), (HERE, OTHER)),
        (False, "blas.torch", (None, "mkl"), (HERE, HERE)),
        (False, "threads_in_use.torch", (1, None), (HERE, HERE)),
        (False, "study.commit", ("a", "b"), (HERE, HERE)),
        (False, "packages.harness", ("0.1", "0.2"), (HERE, HERE)),
    ],
)
def test_which_facts_explain_other_bits(explains, name, pair, lists):
    assert can_explain(name, pair, lists) is explains


def test_a_stored_run_comes_out_again_and_a_false_one_does_not(lab):
    (lab.folder / "fn.py").write_text(
        "def run(context):\n"
        "    value = float(context.rng('data').random())\n"
        "    context.report(1, score=value)\n"
        "    return {'score': value}\n"
    )
    (lab.folder / "study.yml").write_text(OWN)
    assert lab.grid("--threads", "1").code == 0
    alone = lab.here("results", "verify", "--rerun", "1")
    assert (alone.code, "none of the stored runs can be repeated here" in alone.err) == (2, True)
    assert "--study FILE says where it lies" in alone.err
    verify = ("results", "verify", "--rerun", "1", "--study", "study.yml", "--format", "json")
    whole = lab.here(*verify)
    assert whole.code == 0, whole.err
    (repeated,) = json.loads(whole.out)["repeated"]
    assert repeated["equal_bits"]
    with open_store(lab.db) as store, store.writing() as conn:
        conn.execute("UPDATE result SET value = value + 0.25")
    false = lab.here(*verify)
    assert false.code == 1
    (repeated,) = json.loads(false.out)["repeated"]
    assert (repeated["differing"], repeated["changed"], repeated["well"]) == (["metrics"], {}, False)
    assert repeated["metrics"][0]["difference"] == pytest.approx(-0.25)
    assert lab.states() == ["done"], "nothing is written into the store"


FUNCTION = "def run(context, x=1):\n    return {'score': x}\n"


@pytest.mark.parametrize(
    ("code", "study", "said"),
    [
        (FUNCTION.replace("x}", "x / 2}"), OWN, r"'one' of 'own' has now: the code \(\w+ → \w+\)$"),
        (FUNCTION, f"{OWN}    arguments: {{x: 3}}\n", r"'one' of 'own' has now: arguments.x \(– → 3\)$"),
        (FUNCTION, OWN.replace("fn.py:run", "other.py:run"), r"no trial of --study FILE runs 'fn.py:run'$"),
    ],
)
def test_what_was_edited_since_is_named(lab, code, study, said):
    for name in ("fn.py", "other.py"):
        (lab.folder / name).write_text(FUNCTION)
    (lab.folder / "study.yml").write_text(OWN)
    assert lab.grid("--threads", "1").code == 0
    (lab.folder / "fn.py").write_text(code)
    (lab.folder / "study.yml").write_text(study)
    ended = lab.here("results", "verify", "--rerun", "1", "--study", "study.yml")
    assert (ended.code, "says where" in ended.err) == (2, False)
    assert re.search(said, ended.err, re.MULTILINE), ended.err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied", "result.json"), "PermissionError: [Errno 13] Permission denied: "),
        (DamagedError("its checksum is not that of its contents"), "its checksum is not that of its contents"),
    ],
)
def test_a_repetition_whose_result_cannot_be_read_is_said(lab, monkeypatch, error, said):
    (lab.folder / "fn.py").write_text("def run(context):\n    return {'score': 1}\n")
    (lab.folder / "study.yml").write_text(OWN)
    assert lab.grid("--threads", "1").code == 0

    def refuse(_):
        raise error

    monkeypatch.setattr("harness.execution.rerun.read_result", refuse)
    ended = lab.here("results", "verify", "--rerun", "1", "--study", "study.yml")
    assert ended.code == 1
    assert f"BAD  own: one, seed 0: ended lost, was done: {said}" in ended.out


@pytest.mark.slow
def test_a_network_comes_out_again(lab):
    lab.study()
    assert lab.grid("--only", "Second").code == 0
    ended = lab.here("results", "verify", "--rerun", "5")
    assert ended.code == 0, ended.err
    assert "tiny: Second, seed 0: equal bits" in ended.out
    with open_reader(lab.db) as store:
        study = load_study(lab.folder / "study.yml")
        found = draw(snapshot(store), 5, 0, data_root=lab.folder, device="cpu", studies=[study])
    assert [run.study.name for run in found.runs] == ["tiny"]
