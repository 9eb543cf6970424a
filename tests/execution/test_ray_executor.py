"""Ray, on this machine: conformance, and a node that dies with what it runs."""

import os
import signal
import socket
from contextlib import suppress

import pytest

from harness.execution.executors import make_executor
from harness.execution.executors.guard import descendants
from harness.testing.executors import ExecutorTests

ray = pytest.importorskip("ray", reason="Ray is not installed (extra ray)")


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """Start a head, on which nothing runs, for all tests."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_raylet_start_wait_time_s"] = "120"  # noqa: SIM112 - on a machine that has much to do
    head = {"num_cpus": 0, "include_dashboard": False, **small()}
    quick = {"health_check_period_ms": 1000, "health_check_failure_threshold": 10}  # until a node counts as dead
    started = Cluster(initialize_head=True, head_node_args={**head, "_system_config": quick})
    yield started
    ray.shutdown()
    started.shutdown()


@pytest.fixture(scope="module")
def node(cluster):
    """Add a machine to the cluster."""
    added = cluster.add_node(num_cpus=3, **small())
    yield added
    cluster.remove_node(added)


def small():
    """Return what a node of a test takes. With ports of their own, nodes do not wait for their agents to find some."""
    ports = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
    return {"object_store_memory": 10**8, **{name: free_port() for name in ports}}


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.mark.usefixtures("node")
class TestRayExecutor(ExecutorTests):
    snapshots = True

    @pytest.fixture(autouse=True)
    def _address(self, cluster):
        self.address = cluster.address

    def make(self, slots, folder):
        return make_executor("ray", slots, 1, (), folder, {"address": self.address})


@pytest.mark.usefixtures("node")
class TestRayExecutorWithoutSharedFolder(TestRayExecutor):
    as_bytes = True
    # what does not depend on where files are, and takes seconds
    test_nothing_runs_at_first = test_a_dead_worker_takes_nothing_along = None
    test_an_error_of_the_driver_leaves_no_worker = None

    def make(self, slots, folder):
        return make_executor("ray", slots, 1, (), folder, {"address": self.address, "shared": False})


TWO = ("--only", "Feature pooling*, 75%")


def ray_of(cluster):
    """Return a command that makes one attempt at a time on each of two nodes."""
    return ("run", "grid", "study.yml", "--threads", 1, "--executor", "ray",
            "--executor-option", f"address={cluster.address}", "--executor-option", "cpus=2")  # fmt: skip


@pytest.fixture
def second(cluster, node):
    """Add another machine, for one test that kills it."""
    return cluster.add_node(num_cpus=3, **small())


@pytest.fixture
def kill(cluster):
    """Return a function that ends a machine as a power cut does: its raylet and all that it runs at once."""

    def end(machine):
        os.kill(raylet_of(machine), signal.SIGSTOP)  # so that it does not tell of a worker that died
        for pid in descendants(raylet_of(machine)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        cluster.remove_node(machine, allow_graceful=False)

    return end


def raylet_of(machine):
    return machine.all_processes["raylet"][0].process.pid


def test_a_node_that_dies_loses_nothing_and_changes_no_number(
    lab, new_lab, wait_until, until_go, jobs_at_work, cluster, second, kill
):
    process = until_go(lab).start(*ray_of(cluster))
    wait_until(lambda: jobs_at_work(lab, "checkpoint/20", below=raylet_of(second)))
    kill(second)
    (lab.folder / "go").touch()
    ended = lab.finish(process)
    assert ended.code == 0, ended.err
    assert "1 attempt died with a machine" in ended.err
    assert sorted(lab.states()) == ["done", "done", "lost"]
    assert lab.query("SELECT count(*) FROM attempt WHERE resumed_from IS NOT NULL") == [(1,)]
    undisturbed = until_go(new_lab())
    (undisturbed.folder / "go").touch()
    assert undisturbed.here("run", "grid", "study.yml").code == 0
    assert lab.found() == undisturbed.found()


@pytest.mark.slow
def test_the_quickstart_has_the_bits_of_this_machine_though_a_node_dies(
    lab, new_lab, wait_until, of_quickstart, jobs_at_work, cluster, second, kill
):
    process = of_quickstart(lab).start(*ray_of(cluster), *TWO)
    wait_until(lambda: jobs_at_work(lab, "checkpoint.pt", below=raylet_of(second)))
    kill(second)
    ended = lab.finish(process)
    assert (ended.code, sorted(lab.states())) == (0, ["done", "done", "lost"]), ended.err
    assert (undisturbed := of_quickstart(new_lab())).grid(*TWO).code == 0
    assert lab.found() == undisturbed.found()
    assert lab.weights() == undisturbed.weights()
