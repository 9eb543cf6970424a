"""Attempts by what people call them, and in what two runs, studies and stores differ."""

import math
from dataclasses import replace

import pytest

from harness.attempt.messages import Measure, Point, ResultValue, Sample
from harness.base.errors import HarnessError
from harness.base.keys import evaluation_key
from harness.store.circumstances import flat
from harness.store.connection import open_store
from harness.store.diff import diff_runs, diff_sides, store_side, study_side
from harness.store.find import find_attempt, metric_words, short_values
from harness.store.queries import snapshot
from harness.store.records import EvaluationRecord, told_apart
from harness.store.writer import finish_attempt, start_attempt


@pytest.fixture
def full(lab, clean):
    lab.study(lab.row(2, "a: two", 0), lab.row(4, "four", 1))
    lab.study(lab.row(2, "a: two"), lab.row(8, "eight", 1), name="other", created="2026-01-05T00:00:00.000+00:00")
    lab.attempt("aa1")
    lab.attempt("ab2", seed=1)
    worse = (ResultValue(clean.key, "accuracy", 0.5),)
    one_bit = (Sample(clean.key, "correct", 12, "bits", b"\xff\x70"),)
    curve = (Point("train", "loss", 0, 2.5), Point("train", "loss", 100, 0.25))
    finding = {"results": worse, "samples": one_bit, "curve": curve, "measures": (Measure("test_s", 2.0),)}
    lab.attempt("b1", stride=4, finding=finding)
    lab.attempt("f1", "failed", stride=4, seed=1)
    return lab


def test_an_attempt_is_found_by_its_uid_or_as_study_trial_seed(full):
    found = snapshot(full.store)
    assert find_attempt(found, "aa").uid == "aa1"
    assert find_attempt(found, "f1").uid == "f1"
    assert find_attempt(found, "mnist:a: two:1").uid == "ab2"
    assert find_attempt(found, "other:a: two:0").uid == "aa1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a", "2 attempts begin with 'a'"),
        ("zz", "no attempt begins with 'zz'"),
        ("four", "'four' is a trial: write mnist:four:SEED$"),
        ("mnits:four:0", "no study 'mnits' is stored; did you mean 'mnist'"),
        ("mnist:for:0", "study 'mnist' has no trial 'for'; did you mean 'four'"),
        ("mnist:four:1", "no accepted run with seed 1; it has: 0; the newest attempt, f1: failed"),
        ("mnist:four:7", "no accepted run with seed 7; it has: 0$"),
        ("mnist:four", "a run is written STUDY:TRIAL:SEED"),
        ("mnist:four:x", "a run is written STUDY:TRIAL:SEED"),
    ],
)
def test_what_names_no_attempt_is_said(full, text, words):
    with pytest.raises(HarnessError, match=words):
        find_attempt(snapshot(full.store), text)


def test_a_trial_of_several_studies_is_a_run_of_each(lab):
    for study in ("one", "two"):
        lab.study(lab.row(2, "BM3D"), name=study)
    with pytest.raises(HarnessError, match=r"'BM3D' is a trial: write one:BM3D:SEED or two:BM3D:SEED$"):
        find_attempt(snapshot(lab.store), "BM3D")


def test_metrics_are_called_by_data_and_condition(full, clean, noisy):
    found = snapshot(full.store)
    assert metric_words(found, (clean.key, "accuracy")) == "mnist/test accuracy"
    assert metric_words(found, (noisy.key, "psnr_db")) == "mnist/test psnr_db (sigma 25)"


def test_a_metric_has_its_short_name_where_an_attempt_has_one_of_it(full, clean, noisy):
    found = snapshot(full.store)
    assert short_values(found, find_attempt(found, "b1")) == {"accuracy": 0.5}
    later = (ResultValue(noisy.key, "accuracy", 0.11),)
    full.attempt("e1", kind="evaluate", weights_from="b1", stride=4, finding={"results": later, "samples": ()})
    found = snapshot(full.store)
    assert short_values(found, find_attempt(found, "e1")) == {"accuracy": 0.11}
    assert short_values(found, find_attempt(found, "b1")) == {
        "mnist/test accuracy": 0.5, "mnist/test accuracy (sigma 25)": 0.11
    }  # fmt: skip


def test_nested_mappings_are_flat_by_dotted_path():
    assert flat({"a": {"b": 1, "c": {}}, "d": [1]}) == {"a.b": 1, "a.c": {}, "d": [1]}


def test_two_runs_differ_in_configuration_environment_and_metrics(full):
    found = snapshot(full.store)
    difference = diff_runs(full.store, found, find_attempt(found, "aa1"), find_attempt(found, "b1"))
    assert difference.configuration == {"compressors.conv2.stride": (2, 4)}
    assert difference.environment == {}
    assert difference.metrics["mnist/test accuracy"] == (0.9885, 0.5)
    assert difference.metrics["mnist/test psnr_db (sigma 25)"] == (-math.inf, None)
    assert difference.metrics["test_s"] == (None, 2.0)
    assert difference.images == {"mnist/test correct": (1, 12)}
    assert difference.curve == "3 points differ, the first train loss at step 50: inf and missing"
    assert not difference.same_bits


def test_two_runs_with_the_same_bits_are_said_to_have_them(full):
    found = snapshot(full.store)
    difference = diff_runs(full.store, found, find_attempt(found, "aa1"), find_attempt(found, "ab2"))
    assert difference.same_bits
    assert difference.curve == "the same 4 points"
    assert difference.environment == {"seed": (0, 1)}


def test_two_studies_differ_trial_by_trial(full):
    found = snapshot(full.store)
    sides = (study_side(full.store, found, name) for name in ("mnist", "other"))
    difference = diff_sides(*sides)
    assert (difference.only_a, difference.only_b) == (["four"], ["eight"])
    assert (difference.configuration, difference.environment) == ({}, {})
    assert (difference.common_runs, difference.differing_runs) == (2, [])
    row = next(r for r in difference.metrics if r["metric"] == "mnist/test accuracy")
    assert row == {
        "trial": "a: two", "metric": "mnist/test accuracy", "a": 0.9885, "b": 0.9885, "runs_a": 2, "runs_b": 2
    }  # fmt: skip


def test_two_stores_differ_in_configuration_and_in_runs_of_the_same_key(full, tmp_path, clean):
    with open_store(tmp_path / "second.db") as second:
        lab = type(full)(second)
        lab.study(lab.row(2, "a: two", 0), lab.row(16, "four", 1))
        lab.attempt("s1", finding={"results": (ResultValue(clean.key, "accuracy", 0.75),)})
        difference = diff_sides(store_side(full.store, snapshot(full.store)), store_side(second, snapshot(second)))
    assert difference.only_a == ["other: a: two", "other: eight"]
    assert difference.configuration == {"mnist: four": {"compressors.conv2.stride": (4, 16)}}
    assert difference.common_runs == 1
    assert difference.differing_runs == ["other: a: two, seed 0"]
    accuracy = next(r for r in difference.metrics if r["metric"] == "mnist/test accuracy")
    assert (accuracy["a"], accuracy["b"], accuracy["runs_a"], accuracy["runs_b"]) == (0.9885, 0.75, 2, 1)


def behind_run(lab, clean, weights, epsilon=4):
    """An attack through the denoiser of the run "mnist: a: two", seed 0, as it was trained one day."""
    run = {"kind": "run", "trial": lab.row(2).key, "seed": 0, "weights": weights * 64}
    condition = {"kind": "fgsm", "epsilon": epsilon, "denoiser": run}
    return replace(clean, key=evaluation_key(clean.fingerprint, condition), condition=condition)


def evaluated(lab, uid, found):
    """Store a run of "other: eight" with an accuracy on each of several evaluations."""
    request = lab.start(f"x{uid}", stride=8)
    request = replace(request, uid=uid, evaluations=tuple(spec for spec, _ in found))
    start_attempt(lab.store, request, exclusive=False, started="2026-01-03T00:00:00.000+00:00")
    results = tuple(ResultValue(spec.key, "accuracy", value) for spec, value in found)
    assert finish_attempt(lab.store, lab.result(uid, results=results, samples=()))


def test_evaluations_behind_a_run_that_was_trained_again_have_words_of_their_own(full, clean):
    one, again, weaker = (behind_run(full, clean, *x) for x in (("1",), ("2",), ("1", 2)))
    evaluated(full, "e8", [(one, 0.25), (again, 0.75), (weaker, 0.5)])
    found = snapshot(full.store)
    assert short_values(found, find_attempt(found, "e8")) == {
        f"mnist/test accuracy (denoiser other: a: two, seed 0, weights {weights}, epsilon {epsilon}, kind fgsm)": value
        for weights, epsilon, value in (("11111111", 4, 0.25), ("22222222", 4, 0.75), ("11111111", 2, 0.5))
    }
    assert found.evaluations[one.key].words.startswith("mnist test, denoiser other: a: two, seed 0, weights 11111111")


def test_of_two_stores_the_means_of_one_evaluation_are_compared_whatever_its_words(full, tmp_path, clean):
    one, again = behind_run(full, clean, "1"), behind_run(full, clean, "2")
    evaluated(full, "e8", [(one, 0.25), (again, 0.75)])
    with open_store(tmp_path / "second.db") as second:
        lab = type(full)(second)
        lab.study(lab.row(2, "a: two"), lab.row(8, "eight", 1), name="other")
        evaluated(lab, "s8", [(again, 0.7)])
        rows = diff_sides(store_side(full.store, snapshot(full.store)), store_side(second, snapshot(second))).metrics
    assert [(r["a"], r["b"]) for r in rows if r["metric"].startswith("mnist/test accuracy (")] == [
        (0.25, None), (0.75, 0.7)
    ]  # fmt: skip


def test_words_that_only_the_data_or_nothing_tells_apart():
    records = [EvaluationRecord(key * 64, "own", "test", data * 64, {}) for key, data in ("1a", "2b", "3b")]
    told = told_apart({record.key: record for record in records[:2]})
    assert [record.words for record in told.values()] == ["own test, data aaaaaaaa", "own test, data bbbbbbbb"]
    told = told_apart({record.key: record for record in records})
    assert told["3" * 64].words == "own test, data bbbbbbbb, evaluation 33333333"
    assert told_apart(told) == told
