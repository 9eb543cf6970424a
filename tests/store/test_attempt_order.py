"""Attempts are ordered by more than the wall clock, which may be set back, and the same on every machine."""

import itertools
import json
from dataclasses import replace

import pytest

from harness.store.connection import open_memory, open_store
from harness.store.export import published_lines, write_jsonl
from harness.store.merge import merge_jsonl
from harness.store.queries import snapshot
from harness.store.writer import end_attempt, finish_attempt

HOURS = ["2026-03-01T12:00:00.000+00:00", "2026-03-01T09:00:00.000+00:00", "2026-03-01T03:00:00.000+00:00"]


@pytest.fixture
def attempt():
    """Return a function that makes an attempt at a time of the clock."""

    def make(lab, uid, clock, state="done", **how):
        request = lab.start(uid, started=clock, **how)
        if state == "lost":
            assert end_attempt(lab.store, uid, "lost", "lost", "it died", clock)
        else:
            assert finish_attempt(lab.store, replace(lab.result(uid, state), started=clock, ended=clock))
        return request

    return make


def order(store):
    return [a.uid for a in snapshot(store).attempts]


def counting(store):
    """Return what counts, by the rule and by the view: they agree."""
    by_rule = {a.uid for a in snapshot(store).attempts if a.accepted}
    rows = store.db.conn.execute("SELECT attempt FROM v_run WHERE attempt IS NOT NULL")
    assert {uid for (uid,) in rows} == by_rule
    return by_rule


def test_attempts_keep_their_order_when_the_clock_is_set_back(lab, attempt):
    for uid, clock, state in zip("zma", HOURS, ["failed", "interrupted", "done"], strict=True):
        attempt(lab, uid, clock, state)
    assert order(lab.store) == ["z", "m", "a"]
    assert [a.started for a in snapshot(lab.store).attempts] == HOURS  # what the clock said is kept


def test_a_clock_that_is_set_back_between_driver_and_worker_changes_nothing(lab, attempt):
    attempt(lab, "z", HOURS[1], "lost")
    lab.start("a", started=HOURS[0])
    assert finish_attempt(lab.store, replace(lab.result("a"), started=HOURS[2]))
    assert order(lab.store) == ["z", "a"]


def test_an_attempt_whose_clock_is_right_carries_nothing_more(lab, attempt):
    for uid, clock in zip("abc", reversed(HOURS), strict=True):
        attempt(lab, uid, clock)
    assert [a.ordered for a in snapshot(lab.store).attempts] == [None, None, None]
    assert "ordered" not in "".join(published_lines(lab.store, studies=None))


def test_runs_do_not_order_each_other(lab, attempt):
    """A clock that was years ahead once spoils the order of that run alone."""
    attempt(lab, "a", "2040-01-01T00:00:00.000+00:00", seed=0)
    attempt(lab, "b", HOURS[0], seed=1)
    assert [a.ordered for a in snapshot(lab.store).attempts if a.seed == 1] == [None]


def test_what_was_made_with_knowledge_of_another_counts_in_every_merge(lab, attempt, tmp_path):
    """The second machine merges the first one's run and makes it anew; its clock is behind."""
    first = _machine(lab, tmp_path, "first", lambda here: attempt(here, "a", HOURS[0]))
    second = _machine(lab, tmp_path, "second", lambda here: attempt(here, "c", HOURS[2], supersedes="b"), first)
    alone = _machine(lab, tmp_path, "alone", lambda here: attempt(here, "0", HOURS[1]))  # it knows of neither
    ordered = {line["uid"]: "ordered" in line for line in map(json.loads, second.read_text().splitlines())}
    assert ordered == {"a": False, "c": True}  # nothing supersedes a
    for files in itertools.permutations([first, second, alone]):
        with open_memory() as store:
            for file in files:
                merge_jsonl(store, file)
            assert counting(store) == {"c"}


def test_of_two_that_knew_nothing_of_each_other_the_clocks_decide(lab, attempt, tmp_path):
    early = _machine(lab, tmp_path, "early", lambda here: attempt(here, "z", HOURS[1]))
    late = _machine(
        lab, tmp_path, "late", lambda here: (attempt(here, "y", HOURS[2], "failed"), attempt(here, "a", HOURS[0]))
    )
    for files in itertools.permutations([early, late]):
        with open_memory() as store:
            for file in files:
                merge_jsonl(store, file)
            assert counting(store) == {"a"}


def test_a_studys_newest_text_is_the_one_that_was_added_last(lab):
    lab.study(lab.row(2, "Pool"), created=HOURS[0])
    lab.study(lab.row(4, "Pool"), created=HOURS[2])
    found = snapshot(lab.store)
    assert [p.trial_key for p in found.standing("mnist")] == [lab.row(4).key]
    assert found.places(["mnist"])[-1].trial_key == lab.row(4).key


def _machine(lab, tmp_path, name, work, *merged):
    """Return what a machine publishes that has merged files and then worked."""
    with open_store(tmp_path / f"{name}.db") as store:
        for file in merged:
            merge_jsonl(store, file)
        work(type(lab)(store))
        path = tmp_path / f"{name}.jsonl"
        write_jsonl(published_lines(store, studies=None), path)
    return path
