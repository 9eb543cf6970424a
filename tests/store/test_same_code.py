"""Which code counts as one: what a run made by both shows, what it does not, and what the store says of it."""

import json
import math

import pytest

from harness.attempt.messages import Artifact, ResultValue
from harness.store.export import published_lines
from harness.store.queries import same_code, snapshot
from harness.store.records import AttemptRecord


def attempt(uid, code, *, run="k", seed=0, device="CPU", accuracy=0.9, kind="train", state="done"):
    results = {("e", "accuracy"): accuracy}
    return AttemptRecord(
        uid, kind, state, run, seed, "cpu", 1, False, {}, {"device": device}, code, uid, uid, results=results
    )


def classes(*attempts, **weights):
    """The classes where each attempt's weights are "w" but for those that are named."""
    return digests(same_code(attempts, {a.uid: weights.get(a.uid, "w") for a in attempts}))


def digests(found):
    """The same of trained networks, by digest alone."""
    assert all(not model for code in found for _, model in (code, *found[code]))
    return {digest: frozenset(one for one, _ in same) for (digest, _), same in found.items()}


def test_a_run_made_by_both_with_the_same_bits_makes_them_one():
    found = classes(attempt("a", "old"), attempt("b", "new"))
    assert found == dict.fromkeys(("old", "new"), frozenset({"old", "new"}))


@pytest.mark.parametrize(
    "other",
    [
        attempt("b", "new", run="another"),
        attempt("b", "new", seed=1),
        attempt("b", "new", device="another"),
        attempt("b", "new", kind="timing"),
        attempt("b", "new", state="failed"),
        attempt("b", "new", accuracy=0.9 + 1e-16),
        attempt("b", None),
    ],
    ids=["run", "seed", "device", "kind", "state", "result", "code"],
)
def test_anything_less_shows_nothing(other):
    assert classes(attempt("a", "old"), other) == {}


def test_weights_that_differ_or_were_not_kept_show_nothing():
    assert classes(attempt("a", "old"), attempt("b", "new"), b="others") == {}
    assert same_code([attempt("a", "old"), attempt("b", "new")], {"a": "w"}) == {}


def test_what_is_not_trained_is_shown_by_its_results_each_method_for_itself():
    """One digest is of all classical methods: that BM3D has the same bits says nothing of K-SVD."""
    bm3d = attempt("a", "old"), attempt("b", "new")
    k_svd = attempt("c", "old", run="l"), attempt("d", "new", run="l", accuracy=0.8)
    kinds = {"k": "bm3d", "l": "k_svd"}
    assert same_code([*bm3d, *k_svd], {}, kinds).keys() == {("old", "bm3d"), ("new", "bm3d")}
    assert same_code(bm3d, {}, {}) == {}, "a function's results show nothing"
    assert same_code([bm3d[0], attempt("b", "new", accuracy=0.8)], {}, kinds) == {}


def test_no_result_in_common_is_no_evidence():
    one, other = attempt("a", "old"), attempt("b", "new")
    other = AttemptRecord(**{**vars(other), "results": {("f", "accuracy"): 0.9}})
    assert classes(one, other) == {}


def test_runs_that_diverged_alike_are_alike():
    assert classes(attempt("a", "old", accuracy=math.nan, state="nan"), attempt("b", "new", accuracy=math.nan))


def test_it_holds_along_a_chain_of_changes():
    made = [attempt("a", "one"), attempt("b", "two"), attempt("c", "two", run="l"), attempt("d", "three", run="l")]
    assert set(classes(*made)) == {"one", "two", "three"}
    assert classes(*made)["one"] == {"one", "two", "three"}


def test_one_run_that_differs_ends_it_for_all():
    made = [attempt("a", "old"), attempt("b", "new"), attempt("c", "old", seed=1), attempt("d", "new", seed=1)]
    assert classes(*made)
    assert classes(*made, d="others") == {}
    third = [attempt("e", "newest", run="l"), attempt("f", "new", run="l")]
    assert classes(*made, *third, d="others") == {}, "through a third they would be one again"


def test_the_store_says_so_of_every_attempt_of_either(lab):
    def end(uid, code, weights, **how):
        lab.start(uid, **how)
        finding = {"artifacts": (Artifact("weights", "weights.pt", weights * 64, 1),)}
        lab.finish(uid, code, results=(ResultValue(lab.evaluation, "accuracy", 0.5),), **finding)

    end("a0", "old", "a")
    end("a1", "old", "b", seed=1)
    assert [a.is_of("new") for a in snapshot(lab.store).attempts] == [False, False]
    end("b0", "new", "a", supersedes="a0")
    found = {a.uid: a for a in snapshot(lab.store).attempts}
    assert [found[uid].is_of("new") for uid in ("a0", "a1", "b0")] == [True, True, True]
    assert [uid for uid, a in found.items() if a.accepted] == ["a1", "b0"]
    lines = [json.loads(line) for line in published_lines(lab.store, studies=None)]
    assert [(line["uid"], line["code_digest"]) for line in lines] == [("a0", "old"), ("b0", "new"), ("a1", "old")]
    end("b1", "new", "c", seed=1, supersedes="a1")
    assert [a.is_of("new") for a in snapshot(lab.store).attempts] == [False, False, True, True]
    assert [json.loads(line)["uid"] for line in published_lines(lab.store, studies=None)] == ["b0", "b1"]
