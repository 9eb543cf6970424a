"""`inputs: [labels.csv, shards]`: files and folders that a trial reads and that nothing else of its key knows.

    task: function
    target: train.py:run
    inputs: [labels.csv, shards]      # beside the study, or below the data root

A key holds the SHA-256 of each under its path as it is written; of a folder, that of the paths and contents of all
files in it. Contents are hashed once, and again if a file's size, inode, time of writing or time of change is another.
"""

import hashlib
import json
import os
import posixpath
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from harness.base.checks import FieldError
from harness.base.errors import HarnessError
from harness.base.files import atomic_write
from harness.trial.own_data import once, place_of

IGNORED = frozenset(
    {".DS_Store", ".git", ".ipynb_checkpoints", "@eaDir", "__MACOSX", "__pycache__", "Thumbs.db", "desktop.ini"}
)
"""Names within a folder that systems and tools leave there, and that are not contents of it."""

_SETTLED_S = 2.0  # a file that changed later than this before it is hashed may change again within the same tick

_State = list[int]


class Input(NamedTuple):
    """A file or folder that a trial reads."""

    path: str  # as it is written
    place: str  # where it lies
    digest: str


def resolve_inputs(written: Any, folders: Sequence[str]) -> list[Input]:
    """Return the inputs that a study names, looked for in its `folders` and below the data root.

    Raises FieldError for what is not a list of paths, and for what is not there or cannot be read.
    """
    if not isinstance(written, list) or not all(isinstance(path, str) and path for path in written):
        raise FieldError(("inputs",), f"'inputs' must be a list of paths, not {written!r}")
    found = []
    for number, path in enumerate(written):
        place = place_of(path, folders)
        try:
            digest = once(f"input {place}", partial(digest_of, Path(place)))
        except HarnessError as error:
            raise FieldError(("inputs", number), str(error)) from None
        found.append(Input(posixpath.normpath(path), place, digest))
    return found


def file_key(path: str) -> str:
    """Return by what an attempt's request says where an input lies."""
    return f"inputs:{path}"


def check_inputs(config: Mapping[str, Any], files: Mapping[str, str]) -> None:
    """Raise HarnessError if an input of a trial is no longer what it was when the trial was planned."""
    for path, digest in config.get("inputs", {}).items():
        if digest_of(Path(files[file_key(path)])) != digest:
            raise HarnessError(f"the input '{path}' was edited since this was planned; run the study again")


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file's contents, or of the paths and contents of all files in a folder.

    Raises HarnessError for what is not there, is neither, or cannot be read.
    """
    try:
        known = _Known(path)
        if not path.is_dir():
            digest = known.digest(path, "")
        else:
            lines = (f"{json.dumps(name)} {known.digest(file, name)}\n" for name, file in _files(path))
            digest = hashlib.sha256(b"folder\n" + "".join(lines).encode()).hexdigest()
        known.keep()
    except FileNotFoundError as error:
        raise HarnessError(f"there is no file {error.filename}") from None
    except OSError as error:
        raise HarnessError(f"{error.filename or path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # of a name that no file can have
        raise HarnessError(f"'{path}' cannot be read: {error}") from None
    return digest


def _files(folder: Path) -> Iterable[tuple[str, Path]]:
    """Return the files below a folder by their paths in it, in the order of these; links are followed."""
    return sorted((path.relative_to(folder).as_posix(), path) for path in _below(folder, ()))


def _below(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    real = folder.resolve()
    if real in above:
        raise HarnessError(f"{folder} leads back into itself: leave this link out of the folder")
    for entry in os.scandir(folder):
        if entry.name in IGNORED:
            continue
        if entry.is_dir():
            yield from _below(Path(entry.path), (*above, real))
        else:
            yield Path(entry.path)


class _Known:
    """The digests of files that were hashed before, kept in the user's cache: one file of them for each input."""

    def __init__(self, path: Path) -> None:
        name = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:32]
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        self._file = Path(base) / "harness" / "inputs" / f"{name}.json"
        self._before = self._read()
        self._now: dict[str, tuple[_State, str]] = {}

    def digest(self, path: Path, name: str) -> str:
        """Return the SHA-256 of a file, which has `name` within its folder."""
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise HarnessError(f"{path} is neither a file nor a folder")
        state = [found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns]
        before, digest = self._before.get(name, (None, ""))
        if before != state:
            with path.open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
        if time.time() - max(found.st_mtime, found.st_ctime) > _SETTLED_S:
            self._now[name] = (state, digest)
        return digest

    def keep(self) -> None:
        """Write what is known by now. A cache that cannot be written is none."""
        if self._now != self._before:
            with suppress(OSError):
                atomic_write(self._file, json.dumps(self._now))

    def _read(self) -> dict[str, tuple[_State, str]]:
        with suppress(OSError, ValueError, TypeError, AttributeError):
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            return {name: (state, str(digest)) for name, (state, digest) in kept.items()}
        return {}
