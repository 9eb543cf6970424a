"""Several drivers on one store: each run is made by one of them, and a driver that dies gives back what it had."""

import os
import signal
from contextlib import suppress

import pytest

from harness.base.errors import HarnessError
from harness.execution.drivers import drivers, lives, seat
from harness.store.connection import driver_lock

SLOW = """
import os, time

def run(context, *, how):
    with open("begun", "a") as file:
        file.write(f"{how} {os.getpid()}\\n")
    time.sleep(0.4)
    return {"m": float(how)}
"""
RUNS = 16


@pytest.fixture
def started(lab):
    """Return a function that starts a driver; whatever it started is ended after the test."""
    processes = []

    def start(*arguments):
        processes.append(lab.start("run", "grid", "study.yml", *arguments))
        return processes[-1]

    yield start
    for process in processes:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def begun(lab):
    """Return how often each run was begun, in whatever driver."""
    file = lab.folder / "begun"
    words = [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []
    return {word: words.count(word) for word in words}


def test_four_drivers_started_at_once_share_the_runs_and_one_that_is_killed_loses_nothing(lab, started, wait_until):
    lab.own(SLOW, *map(str, range(RUNS)))
    processes = [started() for _ in range(4)]
    wait_until(lambda: len(begun(lab)) >= RUNS // 4)
    running = [driver for driver in drivers(lab.db.parent) if driver.lives]
    killed = next(process for process in processes if process.pid in {driver.pid for driver in running})
    os.kill(killed.pid, signal.SIGKILL)
    ended = [lab.finish(process) for process in processes if process is not killed]
    assert [each.code for each in ended] == [0, 0, 0], [each.err for each in ended]
    states = lab.states()
    assert states.count("done") == RUNS
    assert set(states) <= {"done", "lost"}
    lost = states.count("lost")
    assert lost <= 1  # what the killed one had
    assert sum(begun(lab).values()) <= RUNS + lost
    assert len(lab.found()) == RUNS
    made = [int(each.out.partition("this call: ")[2].partition(" done")[0] or 0) for each in ended]
    assert sum(count > 0 for count in made) > 1, "one driver did it all"
    assert drivers(lab.db.parent) == [] or not any(driver.lives for driver in drivers(lab.db.parent))


def test_a_driver_waits_for_what_another_has_and_takes_it_up_if_that_is_stopped(lab, started, wait_until):
    lab.own(
        "import time\n\ndef run(context):\n"
        "    folder = context.resume()\n"
        "    with context.checkpoint('one') as file:\n        file.write(b'1')\n"
        "    while not folder and not context.should_stop():\n        time.sleep(0.05)\n"
        "    return {'m': 1.0} if folder else None\n"
    )
    first = started()
    wait_until(lambda: list(lab.artifacts.glob("*/checkpoint/one")))
    second = started()
    wait_until(lambda: len([driver for driver in drivers(lab.db.parent) if driver.lives]) == 2)
    (one,) = [driver for driver in drivers(lab.db.parent) if driver.pid == first.pid]
    one.ask_to_stop()
    assert lab.finish(first).code == 130
    ended = lab.finish(second)
    assert (ended.code, lab.states()) == (0, ["interrupted", "done"]), ended.err
    assert "1 of these runs are being made by other drivers" in ended.err


def test_who_changes_results_otherwise_is_alone(lab):
    lab.db.parent.mkdir()
    refused = pytest.raises(HarnessError, match="has a driver already")
    with driver_lock(lab.db, shared=True), driver_lock(lab.db, shared=True), refused, driver_lock(lab.db):
        pass
    with driver_lock(lab.db), refused, driver_lock(lab.db, shared=True):
        pass


def test_a_driver_lives_as_long_as_its_seat(tmp_path):
    with seat(tmp_path, ["s"]) as own:
        (driver,) = drivers(tmp_path)
        assert (driver.uid, driver.pid, driver.studies, driver.lives) == (own.uid, os.getpid(), ("s",), True)
        assert not own.others_live(own.uid)
        driver.ask(("skip", "s: a, seed 0"))
        assert (own.asked(), own.asked()) == ([("skip", "s: a, seed 0")], [])
        assert own.stops_asked == 0
        driver.ask_to_stop()
        assert own.stops_asked == 1
    assert not lives(tmp_path, own.uid)
    assert drivers(tmp_path) == []
