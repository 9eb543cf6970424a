"""A job of a cluster: one attempt, made by the local executor of the machine on which the job runs.

    python -m harness.execution.executors.job ATTEMPT_FOLDER JOBS_FOLDER --threads N [--timeout SECONDS]

It prints how the attempt ended. SIGTERM, SIGUSR1 and SIGUSR2, by which clusters announce that they take a machine away,
end the attempt at its next checkpoint; so does the silence of the driver. The end of standard input, which is that of
the process that launched it, and the file `end` in JOBS_FOLDER end it at once. `--moved ROOT HERE`: this machine has a
folder in place of the driver's results.
"""

import argparse
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from harness.attempt.messages import STOP_FILE
from harness.execution.executors.base import Ended
from harness.execution.executors.cluster import BEAT_FILE, END_FILE, PREEMPTED
from harness.execution.executors.guard import Told
from harness.execution.executors.local import LocalExecutor
from harness.execution.executors.parcel import settle
from harness.execution.interruptions import PREEMPTIONS
from harness.execution.libraries import LIGHT

_POLL_S = 0.1
SILENCE_S = 60.0
"""How long a driver may be silent until its jobs take it for dead."""


@dataclass
class _Watch:
    """What a job looks at while its attempt is made."""

    folder: Path
    jobs: Path
    asked: bool = False  # to end at a checkpoint
    orphaned: bool = False  # the process that launched it has ended
    heard: str = ""
    heard_at: float = field(default_factory=time.monotonic)

    def listen(self) -> None:
        """Hear of preemption by signals, of the launcher's end by that of standard input."""
        for number in (signal.SIGTERM, *PREEMPTIONS):
            signal.signal(number, self._ask)
        threading.Thread(target=self._await_the_end, daemon=True).start()

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True

    def _await_the_end(self) -> None:
        while os.read(0, 4096):
            pass
        self.orphaned = True

    @property
    def silent(self) -> bool:
        """Whether nothing was heard of the driver for long, by this machine's own clock."""
        try:
            beat = (self.jobs / BEAT_FILE).read_text(encoding="utf-8")
        except OSError:  # also of a network that is away for a while
            beat = self.heard
        if beat != self.heard:
            self.heard, self.heard_at = beat, time.monotonic()
        return time.monotonic() - self.heard_at > SILENCE_S

    @property
    def ends(self) -> bool:
        """Whether the attempt is to end at once."""
        return self.orphaned or (self.jobs / END_FILE).exists()


def make(folder: Path, jobs: Path, threads: int, timeout_s: float | None) -> Told:
    """Make the attempt in `folder` and return how it ended."""
    watch = _Watch(folder, jobs)
    watch.listen()
    if watch.ends:
        return Told("lost", "its job was ended before it began")
    with LocalExecutor(1, threads, LIGHT) as executor:
        executor.start(folder, timeout_s)
        told_to_stop = False
        while not (ends := executor.wait(_POLL_S)):
            if watch.ends:
                executor.kill()
            elif not told_to_stop and (watch.asked or watch.silent):
                told_to_stop = True
                (folder / STOP_FILE).touch()
    return _told(ends[0], preempted=told_to_stop)


def _told(ended: Ended, *, preempted: bool) -> Told:
    return Told(ended.state, ended.error, PREEMPTED if preempted else ended.kind)


def main() -> None:
    """Make the attempt that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("jobs", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--timeout", type=float)
    parser.add_argument("--moved", nargs=2, metavar=("ROOT", "HERE"), help="what of the results lies here instead")
    given = parser.parse_args()
    if given.moved is not None:
        settle(given.folder, *given.moved)
    told = make(given.folder, given.jobs, given.threads, given.timeout)
    with suppress(OSError):  # of a launcher that has ended
        sys.stdout.write(told.to_json().decode() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
