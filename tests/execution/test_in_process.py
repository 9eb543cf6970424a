"""The executor for debugging: the same bits as a worker's, in the driver's own process."""

import os
import signal

import pytest

from harness.base.errors import HarnessError
from harness.execution.executors import EXECUTORS, check_executor, in_worker, make_executor
from harness.execution.executors.in_process import InProcessExecutor
from harness.testing.executors import ExecutorTests

WHERE = """
import os

def run(context):
    from harness.execution.executors import in_worker

    with context.checkpoint("state") as file:
        file.write(b"1")
    return {"m": float(context.rng("m").random()), "pid": os.getpid(), "worker": in_worker()}
"""


@pytest.mark.parametrize("name", [name for name, kind in EXECUTORS.items() if not kind.elsewhere])
def test_each_is_made_by_its_name(name):
    with make_executor(name, 1, 1, ()) as executor:
        assert executor.slots == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("locl", 1, None), "unknown executor 'locl'; did you mean 'local'?"),
        (("in-proces", 1, None), "unknown executor 'in-proces'; did you mean 'in-process'?"),
        (("in-process", 2, None), "one attempt at a time: leave --jobs and --per-device out"),
        (("in-process", 1, 9.0), "keeps no time limit: leave --timeout out"),
    ],
)
def test_what_it_cannot_do_is_refused(lab, arguments, message):
    with pytest.raises(HarnessError, match=message.replace("?", r"\?")):
        check_executor(*arguments)
    lab.own(WHERE)
    name, jobs, timeout = arguments
    ended = lab.grid("--executor", name, "--jobs", jobs, *([] if timeout is None else ["--timeout", timeout]))
    assert (ended.code, ended.err.count("\n"), lab.db.exists()) == (2, 1, False)
    assert message in ended.err


class TestInProcessExecutor(ExecutorTests):
    workers = time_limit = prints = False

    def make(self, slots, folder):
        return InProcessExecutor()

    def test_no_attempt_runs_here_afterwards(self, tmp_path):
        self.test_ends_are_told_as_what_they_are(tmp_path)
        assert not in_worker()


def test_a_function_runs_in_this_process_and_gives_the_same_numbers(lab, new_lab):
    lab.own(WHERE)
    ended = lab.grid("--executor", "in-process")
    assert (ended.code, lab.states()) == (0, ["done"]), ended.err
    found = dict(lab.query("SELECT name, value FROM result"))
    assert (found["pid"], found["worker"]) == (os.getpid(), 1)
    other = new_lab().own(WHERE)
    other.grid()
    assert dict(other.query("SELECT name, value FROM result"))["m"] == found["m"]


def test_a_network_has_the_bits_that_a_worker_gives_it(lab, new_lab):
    lab.study()
    ended = lab.run("run", "grid", "study.yml", "--executor", "in-process", "--only", "Second")
    assert (ended.code, lab.states()) == (0, ["done"]), ended.err
    other = new_lab()
    other.study()
    other.grid("--only", "Second")
    assert lab.found() == other.found()
    assert lab.weights() == other.weights()


DEAF = """
def run(context, *, how):
    done = int((context.resume() / "count").read_text()) if context.resume() else 0
    for step in range(done, 10**9 if not done else done + 1):
        with context.checkpoint("count") as file:
            file.write(str(step + 1).encode())
        if how == "listens" and context.should_stop():
            return None
    return {"m": 1.0}
"""


@pytest.mark.parametrize(("how", "presses"), [("listens", 1), ("is deaf", 2)])
def test_ctrl_c_ends_it_at_a_checkpoint_and_twice_at_once(lab, wait_until, how, presses):
    lab.own(DEAF, f'"{how}"')
    process = lab.start("run", "grid", "study.yml", "--executor", "in-process")
    wait_until(lambda: list(lab.artifacts.glob("*/checkpoint/count")))
    for _ in range(presses):
        process.send_signal(signal.SIGINT)
        wait_until(lambda: list(lab.artifacts.glob("*/stop")))
    ended = lab.finish(process)
    assert (ended.code, lab.states()) == (130, ["interrupted"]), ended.err
    again = lab.grid()
    assert (again.code, lab.states()) == (0, ["interrupted", "done"])
    assert "resumes" in again.err
