"""What any executor must do, as tests for pytest: a new one is held to them in a few lines.

    from harness.testing.executors import ExecutorTests

    class TestMyExecutor(ExecutorTests):
        def make(self, slots, folder):
            return MyExecutor(slots, folder)

The attempts are those of a function that is written beside them and ends in many ways. What an executor does not
promise it says by the class's attributes: those tests are skipped.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from harness.attempt.messages import (
    CHECKPOINT_FOLDER,
    LOCK_FILE,
    OUTPUT_FILE,
    REQUEST_FILE,
    STOP_FILE,
    AttemptRequest,
    Execution,
    read_result,
)
from harness.base.locks import is_held
from harness.execution.executors import Ended, Executor
from harness.trial.resolve import resolve_trial

FATES = """
import os, signal, time


def run(context, *, fate):
    if fate == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if fate == "exits":
        os._exit(3)
    if fate == "hangs":
        time.sleep(600)
    if fate == "raises":
        raise ValueError("as it should")
    if fate == "goes on":
        print(context.checkpoints)
        done = int((context.resume() / "count").read_text()) if context.resume() else 0
        while not context.should_stop():
            done += 1
            with context.checkpoint("count") as file:
                file.write(str(done).encode())
            time.sleep(0.05)
        return None
    os.write(1, b"from C\\n")
    return {"score": 1.0}
"""


def prepare(folder: Path, fate: str) -> Path:
    """Write the request of an attempt that ends as `fate` says; return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    plugin = folder / "fates.py"
    if not plugin.exists():
        plugin.write_text(FATES)
    trial = resolve_trial(
        task="function",
        target="fates.py:run",
        arguments={"fate": fate},
        metrics={"score": "maximize"},
        plugin_folders=(str(folder),),
    )
    uid = uuid4().hex
    own = folder / "artifacts" / uid
    request = AttemptRequest(
        uid=uid,
        kind="train",
        trial_key=trial.key,
        config=trial.config,
        seed=0,
        datasets=trial.data,
        evaluations=trial.evaluations,
        execution=Execution(checkpoint_every_s=0),
        folder=str(own),
        data_root=str(folder),
        plugin_paths=(str(folder),),
        options={"metrics": dict(trial.directions)},
    )
    own.mkdir(parents=True)
    (own / REQUEST_FILE).write_text(request.to_json() if fate != "is not understood" else "{")
    return own


def collect(executor: Executor, count: int, timeout_s: float = 120) -> dict[Path, Ended]:
    """Wait until `count` attempts have ended."""
    found: dict[Path, Ended] = {}
    deadline = time.monotonic() + timeout_s
    while len(found) < count:
        assert time.monotonic() < deadline, f"only {len(found)} of {count} attempts were told to have ended"
        for ended in executor.wait(0.25):
            assert ended.folder not in found, "an attempt ended twice"
            found[ended.folder] = ended
    return found


def until_it_runs(executor: Executor, own: Path, timeout_s: float = 150) -> None:
    """Wait until an attempt that continues has written a checkpoint."""
    deadline = time.monotonic() + timeout_s
    while not (own / CHECKPOINT_FOLDER / "count").exists():
        assert not executor.wait(0.1), "an attempt ended that was to go on"
        assert time.monotonic() < deadline, "an attempt does not begin"


class ExecutorTests:
    """The tests. A subclass gives `make`, and says by the attributes what its executor does not do."""

    workers = True
    """Attempts run in processes of their own: one that dies takes nothing along."""
    time_limit = True
    """Attempts that take too long are ended."""
    prints = True
    """What an attempt prints, C code too, lies in its folder."""
    snapshots = False
    """Attempts may wait for a machine, and run the code of when they were handed out."""
    as_bytes = False
    """Machines do not share the results' folder: attempts' files come and go as bytes."""

    def make(self, slots: int, folder: Path) -> Executor:
        """Return an executor of so many slots; `folder` is that of the results."""
        raise NotImplementedError

    def test_nothing_runs_at_first(self, tmp_path: Path) -> None:
        """Waiting for nothing takes the time that it is given, and tells of nothing."""
        with self.make(1, tmp_path) as executor:
            begun = time.monotonic()
            assert list(executor.wait(0.2)) == []
            assert 0.1 < time.monotonic() - begun < 5

    def test_ends_are_told_as_what_they_are(self, tmp_path: Path) -> None:
        """A result, a failed attempt, dead workers and a timeout side by side: each is reported correctly, and once."""
        fates = ["ends well", "raises", "is not understood"]
        fates += ["is killed", "exits"] if self.workers else []
        fates += ["hangs"] if self.time_limit else []
        folders = {fate: prepare(tmp_path, fate) for fate in fates}
        ends: dict[Path, Ended] = {}
        with self.make(3, tmp_path) as executor:
            waiting = list(folders.items())
            while waiting:
                batch, waiting = waiting[: executor.slots], waiting[executor.slots :]
                for fate, own in batch:
                    executor.start(own, None if not self.time_limit else 2.0 if fate == "hangs" else 120.0)
                ends |= collect(executor, len(batch))
        results = {fate: read_result(own) for fate, own in folders.items()}
        well, failed = results["ends well"], results["raises"]
        assert well is not None
        assert failed is not None
        assert (well.state, failed.state, failed.error) == ("done", "failed", "ValueError: as it should")
        states = {"is killed": "lost", "exits": "lost", "hangs": "timeout", "is not understood": "failed"}
        for fate, own in folders.items():
            assert ends[own].state == states.get(fate), f"an attempt that {fate} is reported as {ends[own]}"
            assert not is_held(own / LOCK_FILE), "a worker lives on"
            if fate in states:
                assert results[fate] is None
                assert ends[own].error
                assert "\n" not in str(ends[own].error)
                assert not ends[own].again, "the attempt's own doing is told as that of its machine"
        if self.prints:
            assert (folders["ends well"] / OUTPUT_FILE).read_text() == "from C\n"

    def test_a_dead_worker_takes_nothing_along(self, tmp_path: Path) -> None:
        """After a worker died the executor takes the next attempt, which ends well."""
        self._for(workers=True)
        with self.make(1, tmp_path) as executor:
            executor.start(prepare(tmp_path, "is killed"), None)
            (dead,) = collect(executor, 1).values()
            assert dead.state == "lost"
            own = prepare(tmp_path, "ends well")
            executor.start(own, None)
            assert collect(executor, 1)[own].state is None

    def test_a_stop_file_ends_an_attempt_at_a_checkpoint(self, tmp_path: Path) -> None:
        """An attempt that is asked to stop ends interrupted, with a result, and is not made again."""
        self._for(workers=True)
        with self.make(1, tmp_path) as executor:
            own = prepare(tmp_path, "goes on")
            executor.start(own, None)
            until_it_runs(executor, own)
            (own / STOP_FILE).touch()
            ended = collect(executor, 1)[own]
            result = read_result(own)
            assert (ended.state, ended.again) == (None, False)
            assert result is not None
            assert result.state == "interrupted"

    def test_kill_ends_all_at_once(self, tmp_path: Path) -> None:
        """After `kill` what ran is told as lost, and no worker lives on. The executor need not be usable after it."""
        self._for(workers=True)
        with self.make(2, tmp_path) as executor:
            folders = [prepare(tmp_path, "goes on") for _ in range(min(2, executor.slots))]
            for own in folders:
                executor.start(own, None)
            for own in folders:
                until_it_runs(executor, own)
            executor.kill()
            executor.kill()  # as impatient people do
            ends = collect(executor, len(folders))
            assert {(end.state, end.again) for end in ends.values()} == {("lost", False)}
            self._check_free(folders)

    def test_an_error_of_the_driver_leaves_no_worker(self, tmp_path: Path) -> None:
        """Leaving the executor by an error ends what it runs."""
        self._for(workers=True)
        own = prepare(tmp_path, "goes on")
        try:
            with self.make(1, tmp_path) as executor:
                executor.start(own, None)
                until_it_runs(executor, own)
                raise KeyError
        except KeyError:
            pass
        self._check_free([own])

    def test_what_is_edited_after_an_attempt_was_handed_out_changes_nothing(self, tmp_path: Path) -> None:
        """An executor that lets attempts wait runs the code as it was when they were given to it."""
        self._for(snapshots=True)
        own = prepare(tmp_path, "ends well")
        with self.make(1, tmp_path) as executor:
            executor.start(own, None)
            (tmp_path / "fates.py").write_text("raise RuntimeError('this was edited')\n")
            assert collect(executor, 1)[own].state is None
        result = read_result(own)
        assert result is not None
        assert (result.state, result.error) == ("done", None)

    def test_files_come_and_go_as_bytes(self, tmp_path: Path) -> None:
        """Without a shared folder an attempt is made elsewhere, and its checkpoint is here, to be resumed anywhere."""
        self._for(as_bytes=True)
        first, second = (prepare(tmp_path, "goes on") for _ in range(2))
        with self.make(1, tmp_path) as executor:
            executor.start(first, None)
            until_it_runs(executor, first)
            (first / STOP_FILE).touch()
            assert collect(executor, 1)[first].state is None
            done = int((first / CHECKPOINT_FOLDER / "count").read_text())
            request = AttemptRequest.from_json((second / REQUEST_FILE).read_text())
            resumed = replace(request, resume_from=first.name, resume_folder=str(first))
            (second / REQUEST_FILE).write_text(resumed.to_json())
            executor.start(second, None)
            until_it_runs(executor, second)
            (second / STOP_FILE).touch()
            assert collect(executor, 1)[second].state is None
        result = read_result(second)
        assert result is not None
        assert (result.state, result.resumed_from) == ("interrupted", first.name)
        assert int((second / CHECKPOINT_FOLDER / "count").read_text()) > done
        assert str(tmp_path) not in (second / OUTPUT_FILE).read_text(), "it was made in the driver's own folder"

    def _for(self, **wanted: bool) -> None:
        """Skip a test of what the executor does not do."""
        import pytest

        for name in wanted:
            if not getattr(self, name):
                pytest.skip(f"not promised: {name}")

    @staticmethod
    def _check_free(folders: Sequence[Path]) -> None:
        deadline = time.monotonic() + 60
        while any(is_held(own / LOCK_FILE) for own in folders):
            assert time.monotonic() < deadline, "a worker lives on"
            time.sleep(0.1)
