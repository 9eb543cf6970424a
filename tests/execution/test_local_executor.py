"""The local executor, held to what any executor must do."""

import executor_conformance as conformance
import pytest

from harness.execution.executors.local import LocalExecutor


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
