"""What counts as accepted, in Python and in the views, and how fast a snapshot is."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.attempt.messages import Measure, ResultValue
from harness.base.keys import trial_key
from harness.store.connection import open_memory
from harness.store.find import gave, values
from harness.store.made_twice import made_twice
from harness.store.queries import accepted, snapshot
from harness.store.records import AcceptanceRecord, AttemptRecord
from harness.store.rows import put_attempt, put_run, put_trial
from harness.store.writer import accept_edits


def record(uid, state="done", *, kind="train", seed=0, supersedes=None, started="1"):
    return AttemptRecord(
        uid, kind, state, "k", seed, "cpu", 1, False, {}, {}, None, started, None if state == "running" else "t",
        supersedes=supersedes,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("attempts", "uids"),
    [
        ([], set()),
        ([record("a")], {"a"}),
        ([record("a", "nan")], {"a"}),
        (
            [record("a", s) for s in ("failed", "oom", "timeout", "pruned", "interrupted", "lost", "running")],
            set(),
        ),
        ([record("a", kind=k) for k in ("evaluate", "timing", "check")], set()),
        ([record("b"), record("a")], {"b"}),  # two machines at one moment
        ([record("b"), record("a", started="2")], {"a"}),  # two machines
        (  # two machines, and one of the two attempts made anew: the other does not come back with a merge
            [record("a1"), record("a2", started="2"), record("f0", supersedes="a1", started="3")],
            {"f0"},
        ),
        ([record("a1"), record("c9", supersedes="b5", started="3")], {"c9"}),  # b5, between them, was never published
        ([record("c1", supersedes="b5", started="3"), record("a9")], {"c1"}),
        ([record("a"), record("b", seed=1)], {"a", "b"}),
        ([record("a"), record("b", supersedes="a")], {"b"}),
        ([record("a"), record("b", "nan", supersedes="a")], {"b"}),
        ([record("a"), record("b", "failed", supersedes="a")], {"a"}),  # the new one came to nothing
        ([record("a"), record("b", "running", supersedes="a")], {"a"}),
        ([record("a"), record("b", supersedes="a"), record("c", supersedes="b")], {"c"}),
        ([record("a"), record("b", kind="check", supersedes="a")], {"a"}),
        ([record("b", supersedes="never published")], {"b"}),
    ],
)
def test_the_rule_of_acceptance(attempts, uids):
    for order in itertools.permutations(attempts[:4]):
        assert accepted([*order, *attempts[4:]]) == uids


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["train", "evaluate", "check"]),
            st.sampled_from(["done", "nan", "failed", "lost"]),
            st.integers(0, 1),
            st.sampled_from([None, "u0", "u1", "u2", "u3"]),
            st.sampled_from(["1", "2", "3"]),
        ),
        max_size=5,
    )
)
def test_the_view_agrees_with_the_rule(attempts):
    with open_memory() as store:
        with store.writing() as conn:
            trial = put_trial(conn, "k", 1, {"task": {"kind": "classification"}})
            for n, (kind, state, seed, old, started) in enumerate(attempts):
                row = {"uid": f"u{n}", "kind": kind, "state": state, "run_id": put_run(conn, trial, seed)}
                rest = {
                    "device": "cpu",
                    "threads": 1,
                    "exclusive": 0,
                    "execution_json": "{}",
                    "started": started,
                    "ended": "t",
                }
                put_attempt(conn, {**row, **rest, "supersedes": old})
        seen = {uid for (uid,) in store.db.conn.execute("SELECT attempt FROM v_run WHERE attempt IS NOT NULL")}
        found = snapshot(store)
        assert seen == accepted(found.attempts) == {a.uid for a in found.attempts if a.accepted}


def test_v_run_joins_the_results_of_the_accepted_attempt_and_of_its_evaluations(lab, clean):
    lab.attempt("b")
    lab.attempt("a", "failed", finding={"results": ()})
    lab.attempt("e", kind="evaluate", weights_from="b", finding={"samples": ()})
    lab.attempt("x", kind="evaluate", weights_from="a", finding={"samples": ()})  # of weights that do not count
    lab.attempt("t", kind="timing", finding={"results": (), "samples": ()})
    rows = lab.store.db.conn.execute(
        """SELECT attempt, result_from, dataset, split, name, value, flag
        FROM v_run WHERE evaluation_key = ? ORDER BY result_from""",
        (clean.key,),
    ).fetchall()
    assert rows == [
        ("b", "b", "mnist", "test", "accuracy", 0.9885, "ok"),
        ("b", "e", "mnist", "test", "accuracy", 0.9885, "ok"),
    ]


def test_v_time_has_finished_timings_alone(lab):
    seconds = (Measure("train_s_per_epoch", 2.0),)
    lab.attempt("t1", kind="timing", finding={"results": (), "samples": (), "measures": seconds})
    lab.attempt("t2", "failed", kind="timing", finding={"results": (), "samples": (), "measures": seconds})
    lab.attempt("u1", seed=0)
    rows = lab.store.db.conn.execute(
        "SELECT attempt, device_model, threads, exclusive, name, value FROM v_time"
    ).fetchall()
    assert rows == [("t1", "Some CPU", 2, 1, "train_s_per_epoch", 2.0)]
    assert [a.uid for a in snapshot(lab.store).timings(lab.row().key)] == ["t1"]


def test_attempts_come_in_order_of_their_start_and_runs_by_seed(lab):
    lab.attempt("u2", seed=1)
    lab.attempt("u1", seed=0)
    found = snapshot(lab.store)
    assert [a.uid for a in found.attempts] == ["u1", "u2"]
    assert {seed: a.uid for seed, a in found.runs(lab.row().key).items()} == {0: "u1", 1: "u2"}


def untrained(lab, *attempts):
    """Return a snapshot of attempts (uid, code, evaluation, decibels) at one run of a method that is not trained."""
    for day, (uid, code, evaluation, value) in enumerate(attempts, start=2):
        lab.start(uid, started=f"2026-01-{day:02}T00:00:00.000+00:00")
        lab.finish(uid, code, results=(ResultValue(evaluation.key, "psnr_db", value),), samples=())
    found = snapshot(lab.store)
    (trial,) = found.trials.values()
    config = {name: value for name, value in trial.config.items() if name != "protocol"}
    return found, replace(found, trials={trial.key: replace(trial, config=config)}), trial.key


def test_what_is_not_trained_has_the_results_of_all_its_evaluations(lab, clean, noisy):
    """As where two studies of a classical method, each published by itself, are read together."""
    trained, classical, trial = untrained(lab, ("a", "code1", clean, 30.0), ("b", "code1", noisy, 30.0))
    assert set(values(trained, trained.runs(trial)[0])) == {(noisy.key, "psnr_db")}
    (run,) = classical.runs(trial).values()
    assert set(values(classical, run)) == {(clean.key, "psnr_db"), (noisy.key, "psnr_db")}
    assert [a.uid for a in classical.evaluated_later(run.uid)] == ["a"]


def test_what_evaluated_different_things_was_not_made_twice(lab, clean, noisy, monkeypatch):
    _, apart, _ = untrained(lab, ("a", "code1", clean, 1.0), ("b", "code1", noisy, 2.0))
    monkeypatch.setattr("harness.store.made_twice.snapshot", lambda _: apart)
    assert made_twice(lab.store) == []


def test_what_evaluated_one_thing_twice_was_made_twice(lab, clean, monkeypatch):
    _, again, _ = untrained(lab, ("a", "code1", clean, 1.0), ("b", "code1", clean, 2.0))
    monkeypatch.setattr("harness.store.made_twice.snapshot", lambda _: again)
    (pair,) = made_twice(lab.store)
    assert (pair.counts.uid, pair.other.uid, len(pair.differing)) == ("b", "a", 1)


def test_what_other_code_evaluated_stays_until_this_code_evaluates_it(lab, clean, noisy):
    """As where a method was made faster after a study was published, and another study evaluates it now."""
    _, classical, trial = untrained(lab, ("b", "code1", clean, 2.0), ("c", "code2", noisy, 3.0))
    (run,) = classical.runs(trial).values()
    assert values(classical, run) == {(clean.key, "psnr_db"): 2.0, (noisy.key, "psnr_db"): 3.0}


def test_of_two_versions_that_evaluated_the_same_the_one_that_counts_is_taken(lab, clean, noisy):
    made = [("a", "code2", clean, 1.0), ("b", "code1", clean, 2.0), ("c", "code2", noisy, 3.0)]
    _, classical, trial = untrained(lab, *made)
    (run,) = classical.runs(trial).values()
    assert (run.uid, [a.uid for a in classical.evaluated_later("c")]) == ("c", ["b", "a"])
    assert values(classical, run)[clean.key, "psnr_db"] == 1.0


def test_what_another_attempt_evaluated_later_counts_too(lab, clean, noisy):
    """As where a study evaluated a method on more images later, and another study has run the method since."""
    made = [("a", "code1", clean, 1.0), ("b", "code1", noisy, 2.0), ("c", "code2", clean, 3.0)]
    _, classical, _ = untrained(lab, *made)
    later = [replace(a, kind="evaluate", weights_from="a") if a.uid == "b" else a for a in classical.attempts]
    classical = replace(classical, attempts=tuple(later))
    (run,) = [a for a in classical.attempts if a.uid == "c"]
    assert [a.uid for a in classical.evaluated_later("c")] == ["b"]
    assert values(classical, run) == {(clean.key, "psnr_db"): 3.0, (noisy.key, "psnr_db"): 2.0}
    assert [a.uid for a in classical.evaluated_later("a")] == ["b"], "once"
    places = [(clean.key, "psnr_db"), (noisy.key, "psnr_db")]
    assert [a.uid for a in gave(classical, run, places)] == ["c", "b"]
    assert [a.uid for a in gave(classical, run, places[1:])] == ["b"]
    assert not gave(classical, run, [("other", "psnr_db")])


def test_of_a_study_there_are_the_results_that_it_asks_for(lab, clean, noisy):
    """As of a method that one study tests on ten images and another one on twenty."""
    lab.study(replace(lab.row(), evaluations=(clean.key,)), name="one")
    lab.study(replace(lab.row(), evaluations=(noisy.key,)), name="two")
    lab.study(lab.row(), name="from an earlier version")
    found = tuple(ResultValue(evaluation.key, "psnr_db", 30.0) for evaluation in (clean, noisy))
    lab.attempt("a", finding={"results": found, "samples": ()})
    for study, keys in {
        "one": [clean.key],
        "two": [noisy.key],
        "from an earlier version": [noisy.key, clean.key],
    }.items():
        narrowed = snapshot(lab.store).of_study(study)
        assert {key for key, _ in narrowed.attempts[0].results} == set(keys)


def test_a_snapshot_of_many_runs_asks_no_more_than_one_of_a_single_run(lab):
    """So its time is that of the rows alone (`harness bench store` measures it)."""

    def asked():
        statements = []
        lab.store.db.conn.set_trace_callback(statements.append)
        found = snapshot(lab.store)
        lab.store.db.conn.set_trace_callback(None)
        return len(statements), sum(a.accepted for a in found.attempts)

    lab.attempt("u0", seed=0)
    statements, runs = asked()
    assert (statements > 5, runs) == (True, 1)
    with lab.store.writing():
        for seed in range(1, 500):
            lab.attempt(f"u{seed}", seed=seed)
    assert asked() == (statements, 500)


def test_attempts_share_what_they_have_in_common(lab):
    """A hundred thousand attempts have the same few evaluations, metrics and measures: each is in memory once."""
    for seed in (0, 1):
        lab.attempt(f"u{seed}", seed=seed)
    first, second = snapshot(lab.store).attempts
    for one, other in ((first.results, second.results), (first.measures, second.measures)):
        assert len(one) == 2
        assert all(place is same for place, same in zip(one, other, strict=True))


def test_the_newest_runs_alone_are_read_with_all_of_their_attempts(lab):
    lab.study(lab.row(2, position=0), lab.row(4, position=1))
    for number, (stride, seed) in enumerate([(2, 0), (4, 0), (2, 1), (2, 0)]):
        started = f"2026-01-0{number + 1}T00:00:00.000+00:00"
        links = {"supersedes": "u0"} if number == 3 else {}
        lab.attempt(f"u{number}", stride=stride, seed=seed, started=started, **links)
    whole = snapshot(lab.store)
    assert snapshot(lab.store, 3) == whole
    two = snapshot(lab.store, 2)
    assert [(a.uid, a.accepted) for a in two.attempts] == [("u0", False), ("u2", True), ("u3", True)]
    assert two.attempts == tuple(a for a in whole.attempts if a.uid != "u1")
    assert set(two.trials) == {lab.row(2).key} == {place.trial_key for place in two.study_trials}
    config = {**lab.row(4).config, "inputs": {"notes.txt": "d" * 64}}
    edited = replace(lab.row(4, "edited", position=2), key=trial_key(config), config=config)
    lab.study(edited)
    accept_edits(
        lab.store, [AcceptanceRecord(edited.key, lab.row(4).key, "A", "typo", "2026-02-01T00:00:00.000+00:00")]
    )
    assert snapshot(lab.store, 2).attempts == whole.attempts  # what counts for what may be anywhere
