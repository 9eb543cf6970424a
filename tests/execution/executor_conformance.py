"""What any executor must do, as functions of an executor: a new one is held to them in a few lines.

    with MyExecutor(4) as executor:
        check_ends_are_told(executor, folder)

The attempts end in their own ways through a plug-in beside them; their requests are those of the smallest network.
"""

import time
from pathlib import Path
from uuid import uuid4

from harness.attempt.messages import (
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

PLUGIN = """
import os, signal, sys, time
from dataclasses import dataclass
from typing import ClassVar

from torch import nn


@dataclass(frozen=True)
class Fate:
    what: str
    stride: int = 4
    commutes_with: ClassVar[frozenset[str]] = frozenset()

    def conv_channels(self, channels):
        return channels // self.stride

    def out_channels(self, channels):
        return channels // self.stride

    def layer(self, channels):
        if self.what == "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.what == "exits":
            os._exit(3)
        if self.what == "hangs":
            time.sleep(600)
        if self.what == "ends well":
            os.write(1, b"from C\\n")
        if self.what == "raises":
            raise ValueError("as it should")
        return nn.Identity()
"""


def prepare(folder: Path, fate: str, *, epochs: int = 1) -> Path:
    """Write the request of an attempt that ends as `fate` says; return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    plugin = folder / "fate_of_attempts.py"
    if not plugin.exists():
        plugin.write_text(PLUGIN)
    trial = resolve_trial(
        task="classification",
        dataset="digits",
        model="mnist_cnn",
        compressors={"conv2": {"kind": "fate_of_attempts:Fate", "what": fate}},
        protocol={"kind": "digits-quick", "epochs": epochs, "batch_size": 250},
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


def check_nothing_runs_at_first(executor: Executor) -> None:
    """Waiting for nothing takes the time that it is given, and tells of nothing."""
    begun = time.monotonic()
    assert list(executor.wait(0.2)) == []
    assert 0.1 < time.monotonic() - begun < 5


def check_ends_are_told(executor: Executor, folder: Path) -> None:
    """A result, a failed attempt, dead workers and a timeout side by side: each is told as what it is, once."""
    fates = ("ends well", "raises", "is killed", "exits", "hangs", "is not understood")
    folders = {fate: prepare(folder, fate) for fate in fates}
    ends: dict[Path, Ended] = {}
    waiting = list(folders.items())
    while waiting or len(ends) < len(fates):
        batch, waiting = waiting[: executor.slots], waiting[executor.slots :]
        for fate, own in batch:
            executor.start(own, 5.0 if fate == "hangs" else 120.0)
        ends |= collect(executor, len(batch))
    by_fate = {fate: ends[own] for fate, own in folders.items()}
    results = {fate: read_result(own) for fate, own in folders.items()}
    assert by_fate["ends well"].state is by_fate["raises"].state is None
    assert results["ends well"].state == "done"
    assert results["raises"].state == "failed"
    assert results["raises"].error == "ValueError: as it should"
    assert {fate: end.state for fate, end in by_fate.items() if end.state} == {
        "is killed": "lost",
        "exits": "lost",
        "hangs": "timeout",
        "is not understood": "failed",
    }
    for fate in ("is killed", "exits", "hangs", "is not understood"):
        assert results[fate] is None
        assert by_fate[fate].error
        assert "\n" not in by_fate[fate].error
    assert not any(is_held(own / LOCK_FILE) for own in folders.values())
    assert (folders["ends well"] / OUTPUT_FILE).read_text() == "from C\n"


def check_a_dead_worker_takes_nothing_along(executor: Executor, folder: Path) -> None:
    """After a worker died the executor takes the next attempt, which ends well."""
    executor.start(prepare(folder, "is killed"), None)
    (dead,) = collect(executor, 1).values()
    assert dead.state == "lost"
    own = prepare(folder, "ends well")
    executor.start(own, None)
    assert collect(executor, 1)[own].state is None


def check_a_stop_file_ends_an_attempt_at_a_checkpoint(executor: Executor, folder: Path) -> None:
    """An attempt that is asked to stop ends interrupted, with a result."""
    own = prepare(folder, "ends well", epochs=10_000)
    executor.start(own, None)
    until_it_trains(executor, own)
    (own / STOP_FILE).touch()
    assert collect(executor, 1)[own].state is None
    assert read_result(own).state == "interrupted"


def check_kill_ends_all_at_once(executor: Executor, folder: Path) -> None:
    """After `kill` what ran is told as lost, and no worker lives on. The executor need not be usable after it."""
    folders = [prepare(folder, "ends well", epochs=10_000) for _ in range(min(2, executor.slots))]
    for own in folders:
        executor.start(own, None)
    for own in folders:
        until_it_trains(executor, own)
    executor.kill()
    executor.kill()  # as impatient people do
    ends = collect(executor, len(folders), timeout_s=120)
    assert {end.state for end in ends.values()} == {"lost"}
    deadline = time.monotonic() + 60
    while any(is_held(own / LOCK_FILE) for own in folders):
        assert time.monotonic() < deadline, "a worker lives on"
        time.sleep(0.1)


def until_it_trains(executor: Executor, own: Path) -> None:
    deadline = time.monotonic() + 150
    while not (own / "checkpoint.pt").exists():
        assert not executor.wait(0.1)
        assert time.monotonic() < deadline
