"""Ctrl-C while runs are under way: it is answered at once, a late one stops nothing, and a second one is no crash."""

import os
import signal

import pytest

OWN = """
import time
from pathlib import Path

HERE = Path(__file__).parent

def run(context, *, how):
    (HERE / how).touch()
    while not (HERE / "over").exists() and not (how == "heeds" and context.should_stop()):
        time.sleep(0.02)
    return {"m": 1} if (HERE / "over").exists() else None
"""


@pytest.fixture
def begin(own, lab, wait_until):
    """Return a function that begins a run of a function, and returns its driver."""

    def begin(how, *more, kind="grid"):
        own(how, *more)
        (lab.folder / how).unlink(missing_ok=True)
        process = lab.start("run", kind, "study.yml", streams="2> said.txt")
        wait_until((lab.folder / how).exists)
        return process

    return begin


def said(lab):
    return (lab.folder / "said.txt").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_the_first_one_says_at_once_what_is_waited_for_and_a_late_one_stops_nothing(begin, lab, wait_until, number):
    process = begin("deaf")
    process.send_signal(number)
    asked, at_most = ("Ctrl-C", "") if number == signal.SIGINT else ("SIGTERM", ", 60 s at most")
    expected = f"{asked}: waiting for own: deaf, seed 0 to reach a checkpoint or end{at_most}; Ctrl-C again"
    wait_until(lambda: expected in said(lab))
    assert process.poll() is None
    (lab.folder / "over").touch()
    ended = lab.finish(process)
    assert (ended.code, lab.states()) == (0, ["done"])
    assert "this call: 1 done; in all 1 done, 0 left" in ended.out
    assert said(lab).endswith("everything that was asked for finished before the stop took effect\n")


def test_one_that_keeps_the_next_run_from_beginning_is_not_late(begin, lab, wait_until):
    process = begin("deaf", "never")
    process.send_signal(signal.SIGINT)
    wait_until(lambda: "waiting for" in said(lab))
    (lab.folder / "over").touch()
    ended = lab.finish(process)
    assert (ended.code, lab.states()) == (130, ["done"])
    assert said(lab).endswith("interrupted: what was done is kept, the same command resumes from the checkpoints\n")


def test_a_run_that_ends_for_it_is_interrupted(begin, lab):
    process = begin("heeds")
    process.send_signal(signal.SIGINT)
    assert lab.finish(process).code == 130
    assert lab.states() == ["interrupted"]
    assert "interrupted: what was done is kept" in said(lab)


def test_a_run_that_a_second_one_ends_again_and_again_is_never_held_as_crashed(begin, lab, wait_until):
    for _ in range(2):
        process = begin("deaf")
        os.killpg(process.pid, signal.SIGINT)
        wait_until(lambda: "waiting for" in said(lab))
        os.killpg(process.pid, signal.SIGINT)
        assert lab.finish(process).code == 130
    assert (
        lab.query("SELECT state, error_kind, error FROM attempt")
        == [("lost", "lost", "its worker was ended at once")] * 2
    )
    (lab.folder / "over").touch()
    ended = lab.grid()
    assert (ended.code, lab.states()) == (0, ["lost", "lost", "done"])


def test_a_late_one_stops_no_timing(begin, lab, wait_until):
    process = begin("deaf", kind="timing")
    process.send_signal(signal.SIGINT)
    wait_until(lambda: "waiting for own: deaf, timing" in said(lab))
    (lab.folder / "over").touch()
    ended = lab.finish(process)
    assert (ended.code, ended.out, lab.states()) == (0, "1 timed\n", ["done"])
