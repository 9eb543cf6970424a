"""Slurm, through submitit's executors without a cluster: conformance, and jobs that are killed and taken away."""

import os
import signal

import pytest

from harness.attempt.messages import read_result
from harness.execution.executors import make_executor
from harness.testing.executors import ExecutorTests, collect, prepare

pytest.importorskip("submitit", reason="submitit is not installed (extra slurm)")


class TestSlurmExecutor(ExecutorTests):
    snapshots = True

    def make(self, slots, folder):
        return make_executor("slurm", slots, 1, (), folder, {"cluster": "local"})


def test_submitits_debug_executor_makes_an_attempt_when_it_is_waited_for(tmp_path):
    own = prepare(tmp_path, "ends well")
    with make_executor("slurm", 1, 1, (), tmp_path, {"cluster": "debug"}) as executor:
        executor.start(own, None)
        assert collect(executor, 1)[own].state is None
    assert read_result(own).state == "done"


TWO = ("--only", "Feature pooling*, 75%")
SLURM = ("run", "grid", "study.yml", "--executor", "slurm", "--executor-option", "cluster=local")


def test_a_killed_job_and_one_that_is_taken_away_are_followed_by_others_to_the_same_numbers(
    lab, new_lab, wait_until, until_go, jobs_at_work
):
    process = until_go(lab).start(*SLURM)
    killed, taken = wait_until(lambda: len(found := jobs_at_work(lab, "checkpoint/20")) == 2 and found)
    os.kill(killed, signal.SIGKILL)
    os.kill(taken, signal.SIGUSR1)
    ended = lab.finish(process)
    assert ended.code == 0, ended.err
    assert "2 attempts died with a machine, or gave it back" in ended.err
    assert sorted(lab.states()) == ["done", "done", "interrupted", "lost"]
    assert lab.query("SELECT count(*) FROM attempt WHERE resumed_from IS NOT NULL") == [(2,)]
    undisturbed = until_go(new_lab())
    (undisturbed.folder / "go").touch()
    assert undisturbed.here("run", "grid", "study.yml").code == 0
    assert lab.found() == undisturbed.found()


@pytest.mark.slow
def test_the_quickstart_has_the_bits_of_this_machine_though_a_job_is_killed(
    lab, new_lab, wait_until, of_quickstart, jobs_at_work
):
    process = of_quickstart(lab).start(*SLURM, *TWO, "--jobs", 2)
    (killed, *_) = wait_until(lambda: jobs_at_work(lab, "checkpoint.pt"))
    os.kill(killed, signal.SIGKILL)
    ended = lab.finish(process)
    assert (ended.code, sorted(lab.states())) == (0, ["done", "done", "lost"]), ended.err
    assert (undisturbed := of_quickstart(new_lab())).grid(*TWO).code == 0
    assert lab.found() == undisturbed.found()
    assert lab.weights() == undisturbed.weights()
