"""Images decoded by processes of our own into memory that they share with who asks, batch by batch and in order.

What is decoded where depends on the batches alone: image i of a batch lies in place i of its slot, whichever process
decoded it. A process does nothing but decode, takes its jobs from its standard input, and ends with it; so none is
left when the one that asks is killed. It does not import torch, and it keeps running from one epoch to the
next.

Memory is bounded: a ring of slots, one for the batch that is used and `AHEAD` for those to come.
"""

import mmap
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import weakref
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from harness.base.errors import HarnessError
from harness.data.own.images import UNREADABLE, decode_whole, prepare

AHEAD = 2  # batches that are decoded ahead of the one that is used
LONGEST = 2  # an image's longer side is at most so many times the shorter one
_LETTERS = "utf-8", "surrogateescape"

Size = tuple[int, int]


class Batch(NamedTuple):
    """Decoded images, until the next batch is asked for."""

    pixels: NDArray[np.uint8]  # (B, places, C): each image's rows from place 0 on, then remains of earlier ones
    sizes: NDArray[np.int32]  # (B, 2): height, width


@dataclass(frozen=True)
class Form:
    """How images are brought to a size: scaled to `short_side`, and at most `LONGEST` times as long."""

    short_side: int
    grey: bool

    @property
    def places(self) -> int:
        """The pixels that an image may have."""
        return self.short_side * self.short_side * LONGEST

    @property
    def channels(self) -> int:
        """The channels of an image."""
        return 1 if self.grey else 3


class Decoders:
    """Processes that decode some files. `ask` says which batches will be wanted, `next` gives them in that order."""

    def __init__(self, files: Sequence[Path], form: Form, batch_size: int, workers: int) -> None:
        self._files, self._form, self._size = files, form, batch_size
        self._slot_bytes = batch_size * form.places * form.channels
        with _memory_file() as shared:
            shared.truncate(self._slot_bytes * (AHEAD + 1))
            self._memory = mmap.mmap(shared.fileno(), 0)
            self._workers = [_Worker(shared.fileno(), form) for _ in range(workers)]
        self.close = weakref.finalize(self, _close, self._workers)
        """Ends the processes; so does whatever ends this object."""
        whole = np.frombuffer(self._memory, np.uint8)
        self._slots = whole.reshape(AHEAD + 1, batch_size, form.places, form.channels)
        self._batches: list[NDArray[np.int64]] = []
        self._asked = self._given = 0
        self._under_way: deque[list[tuple[_Worker, int]]] = deque()

    def ask(self, batches: Iterable[NDArray[np.int64]]) -> None:
        """Begin to decode batches, each the indices of its files; those asked for before are forgotten."""
        while self._under_way:
            self._collect()
        self._batches, self._asked, self._given = list(batches), 0, 0
        self._send()

    def next(self) -> Batch:
        """Return the next batch, and after the last one the first again.

        Raises HarnessError, naming it, for a file that cannot be read, and for a process that was killed.
        """
        self._send()  # the slot of the batch that was given before is free now
        sizes = self._collect()
        slot = self._slots[self._given % len(self._slots)]
        self._given += 1
        return Batch(slot[: len(sizes)], sizes)

    def _send(self) -> None:
        count = len(self._batches)
        while self._asked <= self._given + AHEAD and (self._asked < count or self._asked == self._given):
            batch = self._batches[self._asked % len(self._batches)]
            start = self._asked % len(self._slots) * self._slot_bytes
            jobs = []
            for worker, part in zip(
                self._workers, np.array_split(np.arange(len(batch)), len(self._workers)), strict=True
            ):
                step = self._form.places * self._form.channels
                worker.send([(start + int(i) * step, os.fspath(self._files[int(batch[i])])) for i in part])
                jobs.append((worker, len(part)))
            self._under_way.append(jobs)
            self._asked += 1

    def _collect(self) -> NDArray[np.int32]:
        """Wait for the oldest batch under way and return the sizes of its images."""
        found = [worker.receive(count) for worker, count in self._under_way.popleft()]
        return np.concatenate(found)


def _memory_file() -> BinaryIO:
    """Return a file without a name, in memory if the system has such files."""
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("images"), "r+b")  # noqa: PTH123 - a descriptor, no path
    return cast("BinaryIO", tempfile.TemporaryFile())


def _close(workers: "list[_Worker]") -> None:
    for worker in workers:
        worker.close()


class _Worker:
    """One process and its two pipes."""

    def __init__(self, shared: int, form: Form) -> None:
        arguments = [str(shared), str(form.short_side), str(int(form.grey))]
        self._process = subprocess.Popen(  # noqa: S603 - this program itself
            [sys.executable, "-c", "from harness.data.own.decoder import work; work()", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(shared,),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def send(self, job: list[tuple[int, str]]) -> None:
        with suppress(BrokenPipeError):  # which `receive` will tell
            pickle.dump(job, self._in)
            self._in.flush()

    def receive(self, count: int) -> NDArray[np.int32]:
        """Return the sizes of `count` images."""
        try:
            answer = pickle.load(self._out)  # noqa: S301 - of our own process
        except (EOFError, pickle.UnpicklingError):
            code = self._process.wait()
            how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
            raise HarnessError(
                f"a process that decodes images {how} (too little memory?): run it again with --retry failed, and with "
                "fewer of them by 'workers' of the dataset"
            ) from None
        if isinstance(answer, str):
            raise HarnessError(answer)
        return cast("NDArray[np.int32]", np.frombuffer(answer, np.int32).reshape(count, 2))

    def close(self) -> None:
        self._process.kill()  # it holds nothing; its input may not end, if another process was forked meanwhile
        self._process.wait()
        with suppress(OSError):
            self._in.close()
        self._out.close()

    @property
    def _in(self) -> BinaryIO:
        return cast("BinaryIO", self._process.stdin)

    @property
    def _out(self) -> BinaryIO:
        return cast("BinaryIO", self._process.stdout)


def work() -> None:
    """Decode what is asked for on standard input until it ends: a process's whole life."""
    for stop in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C and a scheduler's stop are for the one who asks
        signal.signal(stop, signal.SIG_IGN)
    shared, short_side, grey = map(int, sys.argv[1:4])
    memory, form = mmap.mmap(shared, 0), Form(short_side, bool(grey))
    prepare()
    while True:
        try:
            job: list[tuple[int, str]] = pickle.load(sys.stdin.buffer)  # noqa: S301 - of the process that began this
        except EOFError:
            return
        pickle.dump(_decoded(job, memory, form), sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _decoded(job: list[tuple[int, str]], memory: mmap.mmap, form: Form) -> Any:
    """Decode files to their places in the memory. Return heights and widths as bytes, or what is wrong with one."""
    sizes = np.empty((len(job), 2), np.int32)
    for number, (start, path) in enumerate(job):
        try:
            pixels = decode_whole(Path(path).read_bytes(), form.short_side, grey=form.grey)
        except UNREADABLE as error:
            return f"{path} cannot be read any more ({' '.join(str(error).split())}): fix it and run the study again"
        memory[start : start + pixels.size] = pixels.tobytes()
        sizes[number] = pixels.shape[:2]
    return sizes.tobytes()
