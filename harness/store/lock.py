"""One driver a store: the lock that a driver holds on `<database>.lock` while it works."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.base.errors import HarnessError
from harness.base.locks import LockHeldError, hold, holder_words
from harness.store.connection import Store, open_store


def lock_path(path: Path) -> Path:
    """Return the lock file of the database at `path`, the same by whatever link it is reached."""
    real = path.resolve()
    return real.with_name(f"{real.name}.lock")


@contextmanager
def driver_lock(path: Path) -> Iterator[None]:
    """Be the one driver of the store at `path` during the block.

    Raises HarnessError, naming the pid, where another driver is at work. The lock ends with its process.
    """
    try:
        with hold(lock_path(path)):
            yield
    except LockHeldError as error:
        message = f"{path} has a driver already ({holder_words(error.pid)}): wait until it ends, or stop it"
        raise HarnessError(message) from error
    except OSError as error:
        if error.filename == str(lock_path(path)):  # a file that nobody has asked for
            error.filename = str(path)
        raise


@contextmanager
def to_write_or_make(path: Path) -> Iterator[Store]:
    """Give the store at `path`, and be its one driver; a new store is there only if the block ends well.

    It is made in a temporary folder, in the nearest one that exists, so that nothing is left of one that fails.
    """
    if path.exists():
        with driver_lock(path), open_store(path) as store:
            yield store
        return
    beside = next(folder for folder in path.resolve().parents if folder.is_dir())
    try:
        folder = tempfile.mkdtemp(prefix=f".{path.name}.", dir=beside)
    except OSError as error:
        error.filename = str(path)  # and not one that nobody has asked for
        raise
    try:
        new = Path(folder) / path.name
        with open_store(new) as store:
            yield store
        with driver_lock(path):
            if path.exists():
                raise HarnessError(f"{path} was made by another program meanwhile: do it again")
            new.rename(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
