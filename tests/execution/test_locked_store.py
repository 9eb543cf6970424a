"""Another program holds the store's write lock: the driver waits, says so once and goes on; Ctrl-C is heard."""

import logging
import os
import signal
import sqlite3
import threading
import time
from contextlib import closing, contextmanager

import pytest

from harness.store import access, connection

FUNCTION = """
import time
from pathlib import Path

def run(context, *, waits=False):
    Path(__file__).with_name(f"began {waits} {context.seed}").touch()
    while waits and not Path(__file__).with_name(f"go {context.seed}").exists():
        if context.should_stop():
            (context.checkpoints / "here").touch()
            return None
        time.sleep(0.02)
    return {"accuracy": 0.5}
"""
STUDY = """\
study: waits
task: function
target: waits.py:run
metrics: {accuracy: maximize}
seeds: [0]
execution: {threads: 1}
trials:
  - name: "{arguments.waits}"
    grid: {arguments.waits: [false, true]}
"""


@pytest.fixture
def waits(lab):
    """A study of two runs, of which the second waits for a file, and a store that has it already."""
    (lab.folder / "waits.py").write_text(FUNCTION)
    (lab.folder / "study.yml").write_text(STUDY)
    assert lab.grid("--limit", 1).code == 0
    return lab


@contextmanager
def locked(db):
    """Hold the write lock as a browser of databases does with an edit that is not written yet."""
    with closing(sqlite3.connect(db, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


def test_a_driver_waits_for_the_lock_and_nothing_that_runs_is_lost(waits, wait_until, monkeypatch, caplog):
    monkeypatch.setattr(connection, "_BUSY_TIMEOUT_MS", 200)
    monkeypatch.setattr(access, "_SAY_AFTER_S", 0.3)

    def lock_while_it_runs():
        wait_until((waits.folder / "began True 0").exists)
        with locked(waits.db):
            (waits.folder / "go 0").touch()
            wait_until(lambda: "is locked by another program" in caplog.text)
            again = len(caplog.records)
            threading.Event().wait(0.7)  # twice as long as until it was said
            counted.append(len(caplog.records) - again)

    counted = []
    other = threading.Thread(target=lock_while_it_runs)
    with caplog.at_level(logging.WARNING):
        other.start()
        ended = waits.here("run", "grid", "study.yml")
        other.join()
    assert (ended.code, waits.states(), counted) == (0, ["done", "done"], [0])


def test_ctrl_c_is_heard_while_the_store_is_locked(waits, wait_until):
    process = waits.start("run", "grid", "study.yml", "--jobs", 2, "--only", "True", "--set", "seeds=[1, 2]")
    wait_until(lambda: (waits.folder / "began True 1").exists() and (waits.folder / "began True 2").exists())
    with locked(waits.db):
        (waits.folder / "go 1").touch()
        wait_until(lambda: len(list(waits.artifacts.glob("*/result.json"))) == 2)
        time.sleep(1)  # by now the driver wants to store it
        os.killpg(process.pid, signal.SIGINT)
        wait_until(lambda: list(waits.artifacts.glob("*/stop")))  # it asks the other one to end at a checkpoint
    ended = waits.finish(process)
    assert (ended.code, sorted(waits.states())) == (130, ["done", "done", "interrupted"])


def test_a_second_ctrl_c_ends_the_waiting_and_the_next_call_takes_in_what_ended(waits, wait_until):
    process = waits.start("run", "grid", "study.yml")
    wait_until((waits.folder / "began True 0").exists)
    with locked(waits.db):
        (waits.folder / "go 0").touch()
        wait_until(lambda: len(list(waits.artifacts.glob("*/result.json"))) == 2)
        for _ in range(2):
            time.sleep(1)
            os.killpg(process.pid, signal.SIGINT)
        ended = waits.finish(process)
        assert (ended.code, waits.states()) == (130, ["done", "running"])
        assert "the next call takes in what ended meanwhile" in ended.err
    assert waits.grid().code == 0
    assert waits.states() == ["done", "done"]
