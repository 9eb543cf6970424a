"""Files are written whole (temporary name in the same folder, fsync, rename).

Nobody ever reads half of one. What is read where others may write has to be a file: a pipe would keep us waiting, and
a device has no end.
"""

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO

from harness.base.errors import DamagedError


@contextmanager
def atomic_open(path: Path, *, before: Callable[[Path], None] | None = None) -> Iterator[IO[bytes]]:
    """Give a binary file that takes the name `path` when the block ends well, and else leaves nothing.

    `before` is called with the written file, which still has its temporary name: to note down what it holds. The folder
    is made if it is missing. A device or pipe, such as /dev/null, is written to as it is. Raises OSError as `open`
    does, with `path` as its file's name.
    """
    if _is_device(path):  # a rename would put a file in its place
        with path.open("wb") as file:
            yield file
        return
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    with _named(path, temporary):
        opened = temporary.open("xb")
    try:
        with opened as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if before is not None:
            before(temporary)
        with _named(path, temporary):
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _is_device(path: Path) -> bool:
    """Return whether there is something at a path that is neither a file nor a folder."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def open_regular(path: Path) -> BufferedReader:
    """Open a file to read it, without ever waiting for anybody.

    Raises DamagedError if it is a pipe, a socket or a device, or a link to one; OSError as `open` does.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        if error.errno in {errno.ENXIO, errno.ENODEV}:  # a socket; a device that is not there
            raise _not_regular(path) from error
        raise
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise _not_regular(path)


def read_regular(path: Path) -> bytes:
    """Return the contents of a file; raises as `open_regular` does."""
    with open_regular(path) as file:
        return file.read()


def _not_regular(path: Path) -> DamagedError:
    return DamagedError(f"{path.name} is not a regular file")


def is_there(path: Path) -> bool:
    """Return whether a file or folder can be seen; False if this user may not look."""
    try:
        return path.exists()
    except OSError:
        return False


@contextmanager
def _named(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Let errors of the block name the file that was asked for, and no file that nobody knows of."""
    try:
        yield
    except OSError as error:
        if temporary is None or error.filename == str(temporary):
            error.filename, error.filename2 = str(path), None
        raise


def atomic_write(path: Path, data: bytes | str) -> None:
    """Write `data` (text as UTF-8, line ends as they are) to `path`, all of it or nothing."""
    with atomic_open(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def _sync_folder(folder: Path) -> None:
    """Make the new name itself durable, if the system lets a folder be opened (Windows does not)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # some network file systems refuse to sync a folder; the contents are safe
        pass
    finally:
        os.close(descriptor)
