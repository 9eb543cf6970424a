"""The driver's session with a feed: jobs that come while others run, and an end by failure, Ctrl-C or pruning."""

import os
import signal
import sqlite3

import pytest

from harness.execution.driver import run_feed
from harness.execution.feeds import Listed
from harness.execution.intake import recover
from harness.execution.jobs import Job, make_request
from harness.search.outcome import study_of
from harness.store.connection import open_store
from harness.store.errors import DatabaseError
from harness.store.queries import snapshot


class Steps:
    """A feed of one job after another: there is none while one runs. The second is to be pruned."""

    def __init__(self, jobs):
        self.jobs, self.log, self.running = list(jobs), [], 0

    @property
    def expected(self):
        return len(self.jobs)

    @property
    def exhausted(self):
        return not self.jobs

    def take(self):
        if self.running or not self.jobs:
            return None
        self.running += 1
        self.log.append("take")
        return self.jobs.pop(0)

    def reached(self, job, progress):
        self.log.append(f"epoch {progress['epoch']}")
        return job.request.seed == 1

    def ended(self, _job, state):
        self.running -= 1
        self.log.append(state)


@pytest.fixture
def session(desk):
    """Return a function that runs jobs, or a feed of them, at seeds 0, 1 and 2."""
    desk.db.parent.mkdir()

    def run(feed=Listed, *, slots=1, epochs=2, **fields):
        search = desk.search(f"protocol.epochs={epochs}")
        study, options = study_of(search, {(): (0, 1, 2)}), desk.options(jobs=slots, **fields)
        (item,) = study.trials
        jobs = [
            Job(make_request("train", item.trial, s, f"{s}", study, options, evaluations=item.trial.evaluations))
            for s in item.seeds
        ]
        made, desk.executor.slots = feed(jobs), slots
        with open_store(desk.db) as store:
            summary = run_feed(made, store, desk.executor, options, desk.display)
            states = {a.seed: a.state for a in snapshot(store).attempts}
        return summary, states, made

    return run


def test_jobs_that_are_known_beforehand_fill_the_slots(session, desk):
    summary, states, _ = session(slots=2)
    assert (summary.ended, summary.interrupted, states) == ({"done": 3}, False, dict.fromkeys((0, 1, 2), "done"))
    assert (desk.executor.most, desk.display.totals) == (2, [3])


def test_a_feed_is_asked_again_when_something_ended_and_prunes_at_a_checkpoint(session, desk):
    summary, states, feed = session(Steps, slots=3)
    assert states == {0: "done", 1: "pruned", 2: "done"}
    assert (summary.ended, desk.executor.most) == ({"done": 2, "pruned": 1}, 1)
    assert feed.log == [
        "take", "epoch 1", "epoch 2", "done",
        "take", "epoch 1", "pruned",
        "take", "epoch 1", "epoch 2", "done",
    ]  # fmt: skip


def test_what_ends_before_it_is_pruned_is_done(session):
    _, states, _ = session(Steps, epochs=1)
    assert states == dict.fromkeys((0, 1, 2), "done")


def test_fail_fast_begins_nothing_more_and_ends_what_runs(session, desk):
    desk.executor.fate = lambda request: 0.5 if request.seed else "failed"
    summary, states, _ = session(slots=2, fail_fast=True)
    assert states == {0: "failed", 1: "interrupted"}
    assert (summary.failed, summary.interrupted) == (True, False)


def test_a_failure_of_the_environment_begins_nothing_more_and_what_runs_goes_on(session, desk):
    desk.executor.fate = lambda request: 0.5 if request.seed else "full"
    summary, states, _ = session(slots=2)
    assert states == {0: "interrupted", 1: "done"}
    assert (summary.failed, summary.interrupted, summary.hindered) == (True, False, 1)
    assert summary.hindrance == (
        "1 run was interrupted by a failure of disk or permissions (OSError: [Errno 28] No space left on device), "
        "and nothing else was begun; when that is fixed, the same command resumes it"
    )


def test_a_store_that_takes_nothing_more_lets_what_runs_end_and_loses_nothing(session, desk, monkeypatch):
    """A full disk, say: the result waits in its folder, the others keep their checkpoints."""

    def full(*_, **__):
        raise sqlite3.OperationalError("database or disk is full")

    looks = []
    desk.executor.fate = lambda request: looks.append(request.seed) or ("failed" if request.seed == 0 else 0.5)
    with monkeypatch.context() as patch:
        patch.setattr("harness.execution.driver.take_in", full)
        with pytest.raises(DatabaseError, match="disk is full"):
            session(slots=2, epochs=9)
    assert (looks, desk.executor.running, desk.states()) == ([0, 1, 1], {}, ["running", "running"])
    with open_store(desk.db) as store:
        recover(store, desk.db.parent / "artifacts")
    assert desk.states() == ["failed", "interrupted"], "the other was asked to stop"


def test_a_second_ctrl_c_ends_at_once_what_is_waited_for_without_the_store(session, desk, monkeypatch):
    killed = []

    def full(*_, **__):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise sqlite3.OperationalError("database or disk is full")

    desk.executor.fate = lambda request: "failed" if request.seed == 0 else 0.5
    monkeypatch.setattr(desk.executor, "kill", lambda: killed.append(len(desk.executor.running)))
    monkeypatch.setattr("harness.execution.driver.take_in", full)
    with pytest.raises(DatabaseError, match="disk is full"):
        session(slots=2, epochs=9)
    assert killed == [1]


def test_without_it_the_others_go_on(session, desk):
    desk.executor.fate = lambda request: 0.5 if request.seed else "failed"
    assert session(slots=2)[1] == {0: "failed", 1: "done", 2: "done"}


@pytest.fixture
def hang_up():
    """Return a function that says what a hang-up does to this process."""
    before = signal.getsignal(signal.SIGHUP)
    yield lambda handler: signal.signal(signal.SIGHUP, handler)
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=["Ctrl-C", "SIGTERM", "SIGHUP"])
def test_an_interruption_ends_what_runs_at_a_checkpoint(session, desk, hang_up, number):
    hang_up(signal.SIG_DFL)
    desk.executor.fate = lambda _: os.kill(os.getpid(), number) or 0.5
    before = signal.getsignal(number)  # a shell's background jobs ignore Ctrl-C
    summary, states, _ = session(slots=2)
    assert states == {0: "interrupted", 1: "interrupted"}
    assert summary.interrupted
    assert signal.getsignal(number) is before


def test_a_hang_up_is_not_heard_if_it_was_ignored_before_as_by_nohup(session, desk, hang_up):
    hang_up(signal.SIG_IGN)
    desk.executor.fate = lambda _: os.kill(os.getpid(), signal.SIGHUP) or 0.5
    summary, states, _ = session(slots=2)
    assert (summary.interrupted, states) == (False, {0: "done", 1: "done", 2: "done"})
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


@pytest.mark.parametrize("first", [signal.SIGHUP, signal.SIGTERM])
def test_a_hang_up_is_never_the_second_interruption_that_ends_at_once(session, desk, hang_up, monkeypatch, first):
    """A shell sends it to its jobs, and the system once more when the shell ends."""
    killed = []
    monkeypatch.setattr(desk.executor, "kill", lambda: killed.append(1))
    hang_up(signal.SIG_DFL)

    def fate(_):
        os.kill(os.getpid(), first)
        os.kill(os.getpid(), signal.SIGHUP)
        return 0.5

    desk.executor.fate = fate
    summary, states, _ = session()
    assert (summary.interrupted, states, killed) == (True, {0: "interrupted"}, [])


def test_a_second_ctrl_c_ends_at_once(session, desk, monkeypatch):
    killed = []
    monkeypatch.setattr(desk.executor, "kill", lambda: killed.append(len(desk.executor.requests)))

    def fate(_):
        if len(killed) < 1:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return 0.5

    desk.executor.fate = fate
    summary, _, _ = session()
    assert killed == [1]
    assert summary.interrupted
