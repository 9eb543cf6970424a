"""Whatever is killed whenever: the next call goes on, counts no run twice, and ends with an undisturbed one's bits."""

import os
import random
import shutil
import signal
import sqlite3
import time
from contextlib import closing, suppress

import pytest

EPOCHS = 4  # of six steps, with a checkpoint before each
OF_ATTEMPTS = ("metric", "result", "measure", "sample", "artifact")


@pytest.fixture(scope="module")
def undisturbed(new_lab):
    lab = new_lab()
    lab.study(epochs=EPOCHS)
    ended = lab.grid("--jobs", 2)
    assert (ended.code, lab.states()) == (0, ["done", "done"]), ended.err
    return lab


@pytest.fixture
def begun(lab, undisturbed):
    """A call that has begun to train; all its processes are ended after the test, come what may.

    Its store knows the trials already: counting their costs takes seconds, and nothing is killed meanwhile.
    """
    lab.study(epochs=EPOCHS)
    lab.db.parent.mkdir()
    shutil.copy(undisturbed.db, lab.db)
    with closing(sqlite3.connect(lab.db)) as connection, connection:
        for table in (*OF_ATTEMPTS, "attempt"):
            connection.execute(f"DELETE FROM {table}")  # noqa: S608
    processes = []

    def begin(*arguments):
        process = lab.start("run", "grid", "study.yml", *arguments)
        processes.append(process)
        return process

    yield begin
    for pid in lab.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for process in processes:
        process.communicate()


def trains(lab):
    return lab.artifacts.exists() and list(lab.artifacts.glob("*/checkpoint.pt"))


def check_completes(lab, undisturbed, *arguments):
    """The next call does what is left, and all is as if nothing had happened."""
    ended = lab.grid(*arguments)
    assert ended.code == 0, ended.err
    assert lab.found() == undisturbed.found()
    assert lab.weights() == undisturbed.weights()
    assert "nothing to do: 2 done, 0 left, 0 held" in lab.grid().out
    return ended


def resumed(lab):
    return lab.query("SELECT count(*) FROM attempt WHERE resumed_from IS NOT NULL")[0][0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_call_ends_at_a_checkpoint_and_is_gone_on_with(lab, begun, undisturbed, wait_until, number):
    process = begun()
    wait_until(lambda: trains(lab))
    second = lab.here("run", "timing", "study.yml")  # which shares its store, and its machine, with nobody
    assert second.code == 2
    *warned, refused = second.err.splitlines()
    assert f"has a driver already (process {process.pid})" in refused
    assert all("not idle" in line for line in warned)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does: to the workers, too
    else:
        process.send_signal(number)
    ended = lab.finish(process)
    assert ended.code == 130
    assert "resumes" in ended.err
    assert lab.states() == ["interrupted"]
    assert not lab.processes()
    assert "resumes" in check_completes(lab, undisturbed).err
    assert (lab.states(), resumed(lab)) == (["interrupted", "done", "done"], 1)


def test_a_second_ctrl_c_ends_at_once(lab, begun, wait_until):
    process = begun("--jobs", 2, "--set", "protocol.epochs=1000")
    wait_until(lambda: len(trains(lab) or ()) == 2)
    os.killpg(process.pid, signal.SIGINT)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.01)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    ended = lab.finish(process, timeout=150)
    assert ended.code == 130
    assert set(lab.states()) <= {"lost", "interrupted"}
    assert not lab.processes()


DEAF = """
import signal, time

def run(context):
    if folder := context.resume():
        return {"m": float((folder / "half").read_text())}
    with context.checkpoint("half") as file:
        file.write(b"0.5")
    time.sleep(600)
"""


def test_what_does_not_stop_after_sigterm_is_ended_and_resumes(lab, wait_until):
    lab.main = f"from harness.execution import driver; driver.PATIENCE_S = 0.3; {lab.main}"
    lab.own(DEAF)
    process = lab.start("run", "grid", "study.yml")
    wait_until(lambda: list(lab.artifacts.glob("*/checkpoint/half")))
    process.send_signal(signal.SIGTERM)
    ended = lab.finish(process)
    assert (ended.code, lab.states()) == (130, ["lost"])
    assert "SIGTERM: waiting for own: " in ended.err
    assert "0 s at most" in ended.err
    again = lab.grid()
    assert (again.code, lab.states()) == (0, ["lost", "done"])
    assert "resumes" in again.err


def test_ctrl_c_while_a_worker_starts_holds_nothing(lab, begun, undisturbed, wait_until):
    """A worker that has not yet said that it ignores Ctrl-C must not die of it, and then be held as failed."""
    process = begun()
    wait_until(lambda: lab.db.exists() and list(lab.artifacts.glob("*/request.json")), every=0.001)
    time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    ended = lab.finish(process)
    assert ended.code == 130
    assert set(lab.states()) == {"interrupted"}
    check_completes(lab, undisturbed, "--jobs", 2)


@pytest.mark.parametrize("seed", [0, 1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_driver_that_is_killed_leaves_a_store_that_goes_on(lab, begun, undisturbed, wait_until, seed):
    """Seed 0 kills it while the workers start, the others while they train."""
    process = begun("--jobs", 2)
    wait_until(lambda: list(lab.artifacts.glob("*/request.json")), every=0.005)
    if seed:
        wait_until(lambda: trains(lab))
    time.sleep(random.Random(seed).uniform(0, 0.4))  # noqa: S311
    process.kill()
    process.wait()
    wait_until(lambda: not lab.processes(), timeout=60)  # the orphans end by themselves
    assert set(lab.states()) <= {"running", "done"}
    unfinished = len(trains(lab) or ())
    check_completes(lab, undisturbed, "--jobs", 2)
    assert "running" not in lab.states()
    assert resumed(lab) == unfinished


def test_a_worker_that_is_killed_is_lost_alone(lab, begun, undisturbed, wait_until):
    process = begun("--jobs", 2)
    wait_until(lambda: len(trains(lab) or ()) == 2)
    time.sleep(random.Random(0).uniform(0, 0.2))  # noqa: S311
    worker = lab.workers()[0]
    os.kill(worker, signal.SIGKILL)
    ended = lab.finish(process)
    assert ended.code == 1
    assert "its worker process was killed by SIGKILL" in ended.err
    assert sorted(lab.states()) == ["done", "lost"]
    check_completes(lab, undisturbed)
    assert (sorted(lab.states()), resumed(lab)) == (["done", "done", "lost"], 1)


def test_killed_again_and_again_it_ends_as_undisturbed(lab, begun, undisturbed, wait_until):
    """A call that dies before its first checkpoint does not lose that of the call before it."""
    first = begun("--limit", 1)
    wait_until(lambda: trains(lab))
    first.kill()
    first.wait()
    wait_until(lambda: not lab.processes())
    second = begun("--limit", 1)
    wait_until(lambda: len(list(lab.artifacts.glob("*/request.json"))) == 2, every=0.002)
    second.kill()
    second.wait()
    wait_until(lambda: not lab.processes())
    assert "resumes" in check_completes(lab, undisturbed).err
    assert resumed(lab) >= 1


def test_a_result_that_was_finished_after_the_drivers_death_is_taken_in(lab, undisturbed):
    shutil.copytree(undisturbed.folder / "results", lab.folder / "results")
    lab.study(epochs=EPOCHS)
    with closing(sqlite3.connect(lab.db)) as connection, connection:
        (number,) = connection.execute("SELECT min(id) FROM attempt").fetchone()
        for table in OF_ATTEMPTS:
            connection.execute(f"DELETE FROM {table} WHERE attempt_id = ?", (number,))  # noqa: S608
        connection.execute(
            "UPDATE attempt SET state = 'running', ended = NULL, code_digest = NULL, env_id = NULL WHERE id = ?",
            (number,),
        )
    assert len(lab.found()) == 1
    check_completes(lab, undisturbed)
    assert lab.states() == ["done", "done"]
