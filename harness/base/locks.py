"""Locks between processes, held through the operating system: a lock ends with its holder, however that ends.

The lock file is never removed: unlinking it would let two processes each lock a file of the same name. It
holds the holder's pid, for messages only. A child that is forked while a lock is held shares it; spawned ones
do not.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.base.errors import DamagedError, HarnessError
from harness.base.files import read_regular

_PATIENCE_S = 0.5  # how long `hold` tries unasked, so that a glance by `is_held` never makes it fail

if sys.platform == "win32":
    import msvcrt

    _FAR = 1 << 30  # the locked byte lies behind the pid, because Windows forbids others to read what is locked

    def _lock(descriptor: int, *, shared: bool = False) -> None:  # noqa: ARG001 - Windows has no shared ones
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int, *, shared: bool = False) -> None:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


class LockHeldError(HarnessError):
    """Another process (or another part of this one) holds the lock. `pid` is None if it is not known."""

    def __init__(self, path: Path, pid: int | None) -> None:
        super().__init__(f"{path} is locked by {holder_words(pid)}")
        self.pid = pid


def holder_words(pid: int | None) -> str:
    """Return how a message names the holder of a lock."""
    return "another process" if pid is None else f"process {pid}"


@contextmanager
def hold(path: Path, *, patience_s: float = _PATIENCE_S, shared: bool = False) -> Iterator[None]:
    """Hold the lock file `path` (made, with its folder, if missing) during the block, waiting for it so long.

    Several may hold it `shared`, while nobody holds it alone.

    Raises LockHeldError if another holds it, HarnessError if the file system knows no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _acquire(path, descriptor, patience_s, shared=shared)
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)  # which ends the lock


def is_held(path: Path) -> bool:
    """Return whether a living process holds the lock file `path`; False if there is no such file."""
    try:
        descriptor = _opened(path)
    except OSError:  # what is not there, or what this user may not even read
        return False
    try:
        _lock(descriptor)
    except (BlockingIOError, PermissionError):
        return True
    finally:
        os.close(descriptor)
    return False


def _opened(path: Path) -> int:
    """Open a lock file to look at it: for writing if possible, since some file systems lock nothing else."""
    at_once = getattr(os, "O_NONBLOCK", 0)  # whatever lies there
    try:
        return os.open(path, os.O_RDWR | at_once)
    except OSError:  # another user's, or on a disk that is read-only now: a lock on it can still be seen
        return os.open(path, os.O_RDONLY | at_once)


def holder(path: Path) -> int | None:
    """Return the pid that the lock file `path` names, living or not; None if it names none."""
    try:
        return int(read_regular(path))
    except (OSError, ValueError, DamagedError):
        return None


def _acquire(path: Path, descriptor: int, patience_s: float, *, shared: bool) -> None:
    """Take the lock within `patience_s` seconds."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            _lock(descriptor, shared=shared)
        except (BlockingIOError, PermissionError) as error:  # EWOULDBLOCK; EACCES on Windows
            if time.monotonic() >= deadline:
                raise LockHeldError(path, holder(path)) from error
            time.sleep(0.02)
        except OSError as error:
            raise HarnessError(f"{path} cannot be locked ({error.strerror}): use a local file system") from error
        else:
            return
