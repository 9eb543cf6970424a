"""Two processes train one network: a kill of the driver or of one of them, or Ctrl-C, loses nothing and leaves none."""

import os
import signal
from contextlib import suppress

import pytest

from harness.execution.executors.guard import descendants

STUDY = """\
study: together
task: classification
dataset: digits
model: mnist_cnn
protocol: {{kind: digits-quick, epochs: {epochs}, batch_size: {batch}}}
seeds: [0]
execution: {{checkpoint_every_s: {every}, threads: 2, processes: 2}}
trials:
  - {{name: narrow, at: conv2, compressor: {{kind: width, stride: 32}}}}
"""


def write_study(lab):
    lab.study(epochs=4, text=STUDY)


@pytest.fixture(scope="module")
def undisturbed(new_lab):
    lab = new_lab()
    write_study(lab)
    ended = lab.grid()
    assert (ended.code, lab.states()) == (0, ["done"]), ended.err
    return lab


@pytest.fixture
def begun(lab, wait_until):
    """A call whose two processes have reached a checkpoint; whatever of it still runs is ended after the test."""
    write_study(lab)
    process = lab.start("run", "grid", "study.yml")
    wait_until(lambda: list(lab.artifacts.glob("*/checkpoint.pt")))
    yield process
    for pid in lab.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate()


def check_completes(lab, undisturbed):
    ended = lab.grid()
    assert ended.code == 0, ended.err
    assert "resumes" in ended.err
    assert lab.found() == undisturbed.found()
    assert lab.weights() == undisturbed.weights()
    assert "nothing to do: 1 done, 0 left, 0 held" in lab.grid().out


def test_ctrl_c_ends_both_at_one_checkpoint(lab, begun, undisturbed):
    os.killpg(begun.pid, signal.SIGINT)  # as a terminal does: to both, too
    ended = lab.finish(begun)
    assert (ended.code, lab.states(), lab.processes()) == (130, ["interrupted"], [])
    check_completes(lab, undisturbed)


def test_both_end_when_their_driver_is_killed(lab, begun, undisturbed, wait_until):
    begun.kill()
    begun.wait()
    wait_until(lambda: not lab.processes(), timeout=60)
    check_completes(lab, undisturbed)
    assert lab.states()[-1] == "done"


@pytest.mark.parametrize("which", [0, 1], ids=["who waits for both", "the first of both"])
def test_one_that_is_killed_takes_the_attempt_with_it_alone(lab, begun, undisturbed, wait_until, which):
    (worker,) = lab.workers()
    both = wait_until(lambda: found if len(found := descendants(worker)) == 2 else None)
    os.kill([worker, *both][which], signal.SIGKILL)
    ended = lab.finish(begun)
    assert (ended.code, lab.states()) == (1, ["lost"])
    assert "SIGKILL" in ended.err
    assert not lab.processes()
    check_completes(lab, undisturbed)
