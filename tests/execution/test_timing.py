"""A session of `run timing`: every trial once per round, in an order drawn anew, and recorded as one session."""

import json
from collections import Counter

import pytest

from harness.attempt.messages import AttemptRequest, Execution
from harness.execution.jobs import Job
from harness.execution.timing import Rounds

NAMES = ("a", "b", "c", "d")


def job(name):
    request = AttemptRequest(name, "timing", name, {}, 0, (), (), Execution(), f"/folder/{name}", "/data")
    return Job(request, exclusive=True)


def rounds(session="s", *, each=3, at_most_s=600.0, names=NAMES):
    return Rounds([job(name) for name in names], dict.fromkeys(names, each), session, at_most_s)


def taken(feed, end=lambda _: "done"):
    """Return all attempts that a feed gives, ended as `end` says of the trial."""
    made = []
    while (found := feed.take()) is not None:
        made.append(found.request)
        feed.ended(found, end(found.request.trial_key))
    return made


def test_each_round_has_every_trial_once_in_an_order_of_its_own():
    feed = rounds(each=6)
    assert feed.expected == 24
    keys = [request.trial_key for request in taken(feed)]
    orders = [tuple(keys[i : i + 4]) for i in range(0, 24, 4)]
    assert all(sorted(order) == list(NAMES) for order in orders)
    assert len(set(orders)) > 1, "trials in one order all through would share their neighbours"
    assert keys == [request.trial_key for request in taken(rounds(each=6))], "the order follows from the session"
    assert keys != [request.trial_key for request in taken(rounds("another", each=6))]


def test_each_repetition_is_an_attempt_of_its_own_and_names_the_session():
    made = taken(rounds())
    assert len({request.uid for request in made}) == len({request.folder for request in made}) == 12
    assert all(request.folder == f"/folder/{request.uid}" for request in made)
    assert {request.execution.session for request in made} == {"s"}


def test_a_trial_that_fails_is_not_tried_again():
    feed = rounds()
    assert Counter(r.trial_key for r in taken(feed, lambda key: "failed" if key == "b" else "done")) == {
        "a": 3, "b": 1, "c": 3, "d": 3,
    }  # fmt: skip
    assert feed.done == {"a", "c", "d"}


@pytest.mark.parametrize(("at_most_s", "repetitions"), [(0.0, 1), (4.5, 2), (600.0, 3)])
def test_each_trial_is_timed_once_and_then_while_the_time_allows(monkeypatch, at_most_s, repetitions):
    now = [0.0]
    monkeypatch.setattr("harness.execution.timing.time.monotonic", lambda: now[0])

    def two_seconds(_):
        now[0] += 2.0
        return "done"

    made = Counter(request.trial_key for request in taken(rounds(at_most_s=at_most_s), two_seconds))
    assert set(made.values()) == {repetitions}


def test_a_call_is_one_session_and_what_is_missing_is_timed_later(lab):
    study = lab.study(batch=25)  # 50 steps of warm-up each
    first = lab.here("run", "timing", study, "--device", "cpu", "--epochs", 1, "--only", "Second")
    assert first.out.endswith("1 timed\n")
    both = lab.here("run", "timing", study, "--device", "cpu", "--epochs", 1)
    assert both.out.endswith("1 timed\n")
    assert "1 timed in an earlier session, which no claim compares with this one; --again times all" in both.err
    again = lab.here("run", "timing", study, "--device", "cpu", "--epochs", 2, "--again")
    assert again.out.endswith("2 timed\n")
    assert "nothing to do" in lab.here("run", "timing", study, "--device", "cpu", "--epochs", 2).out
    rows = lab.query("SELECT execution_json, exclusive FROM attempt ORDER BY started")
    named = [json.loads(execution)["session"] for execution, _ in rows]
    assert Counter(Counter(named).values()) == {1: 2, 4: 1}
    assert {exclusive for _, exclusive in rows} == {1}
