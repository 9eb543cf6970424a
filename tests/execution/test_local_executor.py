"""The local executor, held to what any executor must do."""

from concurrent.futures import InvalidStateError

import executor_conformance as conformance
import pytest
from pebble import ProcessFuture

from harness.execution.local import LocalExecutor, cancelled_for_good


def test_ends_are_told_as_what_they_are(tmp_path):
    with LocalExecutor(3, 1) as executor:
        conformance.check_nothing_runs_at_first(executor)
        conformance.check_ends_are_told(executor, tmp_path)


def test_it_goes_on_after_a_dead_worker_and_stops_in_order(tmp_path):
    with LocalExecutor(1, 1) as executor:
        conformance.check_a_dead_worker_takes_nothing_along(executor, tmp_path)
        conformance.check_a_stop_file_ends_an_attempt_at_a_checkpoint(executor, tmp_path)


def test_kill_leaves_no_worker(tmp_path):
    with LocalExecutor(2, 1) as executor:
        conformance.check_kill_ends_all_at_once(executor, tmp_path)


@pytest.mark.parametrize("give", ["set_result", "set_exception"])
def test_what_comes_after_a_cancellation_is_dropped(give):
    future = cancelled_for_good(ProcessFuture())
    future.set_running_or_notify_cancel()
    future.cancel()
    getattr(future, give)(KeyError("late"))
    assert future.cancelled()


def test_a_second_result_is_no_cancellation():
    future = cancelled_for_good(ProcessFuture())
    future.set_result("done")
    with pytest.raises(InvalidStateError):
        future.set_result("again")


def test_an_error_of_the_driver_leaves_no_worker(tmp_path):
    own = conformance.prepare(tmp_path, "ends well", epochs=10_000)

    def drive():
        with LocalExecutor(1, 1) as executor:
            executor.start(own, None)
            conformance.until_it_trains(executor, own)
            raise KeyError

    with pytest.raises(KeyError):
        drive()
    assert not conformance.is_held(own / conformance.LOCK_FILE)
