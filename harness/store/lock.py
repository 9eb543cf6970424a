"""One driver a store: the lock that a driver holds on `<database>.lock` while it works."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.spec.errors import HarnessError
from harness.spec.filelock import LockHeldError, hold, holder_words


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
