"""What an attempt leaves to resume from, read against checksums that were written with it.

An evaluation of a model that is not trained keeps a file of items (`harness.attempt.items`).

A network's `checkpoint.pt` ends with the SHA-256 of what is before it, so that one rename puts both in place. A
person's own function keeps what it likes in a folder; beside that lies a *mark* with

- the SHA-256 of each file that was written by `context.checkpoint`, and of the one before it under the same name: the
  mark is written before the new file takes its name, and one of the two is there whenever the machine stops;
- how far the curve was. It is durable up to there before the mark is, so that a shorter one is known;
- the files that `context.save` has kept so far.

A file that the mark names and that is gone is damage, too: but for older files, which the function may have removed
while it ran, and but for files that lie in another attempt's folder, of which the mark says so.

A file that the function wrote by itself is checked by its CRCs, if it is a zip as torch's and NumPy's are.
"""

import glob
import io
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, Self
from zlib import crc32

from harness.attempt.items import ITEMS_FILE, read_items
from harness.attempt.messages import (
    CHECKPOINT_FILE,
    CHECKPOINT_FOLDER,
    CURVE_FILE,
    MARK_FILE,
    REQUEST_FILE,
    Artifact,
    read_curve,
)
from harness.base.errors import DamagedError
from harness.base.files import atomic_open, atomic_write, open_regular, read_regular
from harness.base.sealed import crcs_hold, seal, sha256_of, unseal

_TRAILER = b"\nharness: SHA-256 of what is before this line: "
_TRAILER_BYTES = len(_TRAILER) + 65  # 64 digits and the end of the line
_END_OF_ZIP, _END_OF_ZIP_BYTES = b"PK\x05\x06", 22


class UncheckedError(DamagedError):
    """A checkpoint of an earlier version, which wrote no checksums."""


@dataclass(frozen=True)
class CurveLength:
    """How far a curve file is: the bytes of its complete lines, their number, and the CRC of all of them."""

    size: int = 0
    points: int = 0
    crc32: int = 0

    def with_more(self, lines: bytes) -> "CurveLength":
        """Return the length with some more bytes of whole lines."""
        return CurveLength(self.size + len(lines), self.points + lines.count(b"\n"), crc32(lines, self.crc32))


@dataclass(frozen=True)
class Saved:
    """A file that `context.save` has kept. `source` is where it came from, `was` what it replaces while it does so."""

    artifact: Artifact
    source: str
    was: str | None = None


@dataclass(frozen=True)
class Mark:
    """What is known of the files of a person's own function. `compatible`: what must be equal to resume from them."""

    compatible: Mapping[str, Any]
    curve: CurveLength = CurveLength()
    files: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # by name, the last written last: SHA-256, so too
    seen: tuple[str, ...] = ()  # those of `files` that the function wrote by itself, seen at an orderly stop
    saved: tuple[Saved, ...] = ()
    whole: bool = False  # an orderly stop has seen all of `files`; else the function may have removed older ones
    elsewhere: bool = False  # the files are on their way to another attempt's folder, or have not come from there yet

    @property
    def wanted(self) -> tuple[str, ...]:
        """The files that must be there.

        Unless an orderly stop has seen all: the last one, and those that were written again under their names. A
        function may remove older ones that have a name each, such as the step's.
        """
        if self.elsewhere or self.whole:
            return () if self.elsewhere else tuple(self.files)
        last = next(reversed(list(self.files)), None)
        return tuple(name for name, digests in self.files.items() if name == last or len(digests) > 1)

    def with_file(self, name: str, digest: str) -> "Mark":
        """Return the mark with another content of a file, beside the one that it may still have."""
        before = [old for old in self.files.get(name, ())[:1] if old != digest]
        others = {other: digests for other, digests in self.files.items() if other != name}
        return replace(self, files={**others, name: (digest, *before)}, whole=False)

    def with_saved(self, saved: Saved) -> "Mark":
        """Return the mark with a kept file, in place of one at the same path."""
        others = [other for other in self.saved if other.artifact.path != saved.artifact.path]
        return replace(self, saved=(*others, saved))

    def without_seen(self) -> "Mark":
        """Return the mark that holds when the function may write its own files again."""
        return replace(self, files={n: d for n, d in self.files.items() if n not in self.seen}, seen=(), whole=False)

    def write(self, folder: Path) -> None:
        """Write the mark of the attempt in `folder`, whole."""
        atomic_write(folder / MARK_FILE, seal(asdict(self)))

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return the mark of the attempt in `folder`, or None if there is none.

        Raises DamagedError if it is not what was written.
        """
        path = folder / MARK_FILE
        if not path.exists():
            return None
        written = read_regular(path)
        try:
            raw = unseal(written.decode())
            return cls(
                compatible=raw["compatible"],
                curve=CurveLength(**raw["curve"]),
                files={name: tuple(digests) for name, digests in raw["files"].items()},
                seen=tuple(raw["seen"]),
                saved=tuple(Saved(Artifact(**item["artifact"]), item["source"], item["was"]) for item in raw["saved"]),
                whole=raw.get("whole", False),
                elsewhere=raw.get("elsewhere", True),  # an earlier version did not say so
            )
        except (DamagedError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise DamagedError(f"{MARK_FILE} is not what was written: {error}") from error


class _Hashing(io.RawIOBase):
    """Writes through to a file, and takes the checksum of what goes by."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self.digest.update(data)
        return self._file.write(data)


@contextmanager
def sealed_open(path: Path) -> Iterator[IO[bytes]]:
    """Give a file to be written from its beginning to its end, which takes the name `path` with its checksum behind it.

    Torch and Python's `zipfile` read it as if there were none.
    """
    with atomic_open(path) as file:
        hashing = _Hashing(file)
        yield hashing  # type: ignore[misc]
        file.write(_TRAILER + hashing.digest.hexdigest().encode() + b"\n")


def has_checkpoint(folder: Path) -> bool:
    """Return whether an attempt left in its folder what another can resume from, as far as one can tell unread.

    So did one whose files are gone, or cannot be read: `check_checkpoint` says what is wrong with them.
    """
    try:
        return (folder / CHECKPOINT_FILE).exists() or (folder / ITEMS_FILE).exists() or _has_own(folder)
    except (OSError, DamagedError):
        return True


def _has_own(folder: Path) -> bool:
    """Return whether a person's own function left files to resume from, or has left some that are gone."""
    own = folder / CHECKPOINT_FOLDER
    if own.is_dir() and any(not path.name.startswith(".") for path in own.iterdir()):
        return True
    mark = Mark.read(folder)
    return mark is not None and any(_is_missing(own / name) for name in mark.wanted)


def check_checkpoint(folder: Path) -> None:
    """Read all that an attempt left in `folder` to resume from.

    Raises DamagedError if it is not what was written, UncheckedError if it has no checksums.
    """
    try:
        if (folder / CHECKPOINT_FILE).exists():
            check_file(folder / CHECKPOINT_FILE)
        read_items(folder / ITEMS_FILE)
        if _has_own(folder):
            check_folder(folder)
    except OSError as error:
        raise DamagedError(f"it cannot be read ({error})") from error


def check_file(path: Path) -> None:
    """Read a file that `sealed_open` wrote; raises as `check_checkpoint` does."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size - _TRAILER_BYTES
        file.seek(max(0, size))
        end = file.read()
        if not end.startswith(_TRAILER):
            whole = end[-_END_OF_ZIP_BYTES:].startswith(_END_OF_ZIP) and crcs_hold(path)
            raise _unchecked() if whole else DamagedError(f"{path.name} is cut off or overwritten")
        file.seek(0)
        digest, left = sha256(), size
        while piece := file.read(min(left, 1 << 20)):
            digest.update(piece)
            left -= len(piece)
    if end[len(_TRAILER) :] != digest.hexdigest().encode() + b"\n":
        raise DamagedError(f"{path.name} is not what was written: its SHA-256 differs")


def check_folder(folder: Path) -> Mark:
    """Read the checkpoints of a person's own function, its curve and what it has kept; return the mark they fit.

    Raises as `check_checkpoint` does.
    """
    mark = Mark.read(folder)
    if mark is None:
        raise DamagedError(f"{MARK_FILE}, with its checksums, is missing") if _wants_mark(folder) else _unchecked()
    own = folder / CHECKPOINT_FOLDER
    if gone := [name for name in mark.wanted if _is_missing(own / name)]:
        raise DamagedError(f"'{gone[0]}', which it had written, is missing")
    for path in sorted(file for file in own.rglob("*") if _is_content(file) and not is_half_written(file)):
        known = mark.files.get(path.relative_to(own).as_posix())
        if sha256_of(path) not in known if known else not crcs_hold(path):
            raise DamagedError(f"'{path.relative_to(own)}' is not what was written: its checksum differs")
    _check_curve(folder / CURVE_FILE, mark.curve)
    return replace(mark, saved=tuple(_checked(folder, saved) for saved in mark.saved))


def _wants_mark(folder: Path) -> bool:
    """Return whether the attempt in a folder is of a version that wrote marks: its request has a checksum."""
    try:
        unseal(read_regular(folder / REQUEST_FILE).decode())
    except (OSError, ValueError, DamagedError):
        return False
    return True


def _is_content(path: Path) -> bool:
    """Return whether it is what a function may read: a file, or what has taken a file's place."""
    return path.exists() and not path.is_dir()


def is_half_written(path: Path) -> bool:
    """Return whether it is what `atomic_open` leaves when it is killed."""
    return path.name.startswith(".") and path.suffix == ".tmp"


def _is_missing(path: Path) -> bool:
    """Return whether a file is gone: not one that was still to take its name when the machine stopped."""
    half_written = f".{glob.escape(path.name)}.*.tmp"
    return not path.exists() and next(path.parent.glob(half_written), None) is None


def _check_curve(path: Path, wanted: CurveLength) -> None:
    """Compare a curve with how far it was when the mark was written; what comes after has its own checksums."""
    data = read_regular(path) if path.exists() else b""
    if len(data) < wanted.size:
        points = data.count(b"\n")
        raise DamagedError(f"its curve has {points} of the {wanted.points} points that it had")
    if crc32(data[: wanted.size]) != wanted.crc32:
        raise DamagedError(f"{path.name} is not what was written: its checksum differs")
    read_curve(path)


def _checked(folder: Path, saved: Saved) -> Saved:
    """Return a kept file as it is on disk: the new one, or the one that was to be replaced when the machine stopped."""
    path, artifact = folder / saved.artifact.path, saved.artifact
    digest = sha256_of(path) if path.is_file() else None
    if digest not in {artifact.sha256, saved.was} or digest is None:
        raise DamagedError(f"'{artifact.path}', which it had saved, is not what was written")
    return Saved(replace(artifact, sha256=digest, bytes=path.stat().st_size), saved.source)


def take_over(earlier: Path, folder: Path, mark: Mark) -> None:
    """Let the attempt in `folder` have the checkpoints and kept files of an earlier one, as `check_folder` found them.

    From when the checkpoints are here, this attempt is the one to resume from. Until then, and in the earlier one's
    folder from then on, the mark says that they are elsewhere: they are not missed there.
    """
    for saved in mark.saved:
        _link(earlier / saved.artifact.path, folder / saved.artifact.path)
    taken = mark.without_seen()
    replace(taken, elsewhere=True).write(folder)
    replace(mark, elsewhere=True).write(earlier)
    (earlier / CHECKPOINT_FOLDER).rename(folder / CHECKPOINT_FOLDER)
    replace(taken, elsewhere=False).write(folder)


def _link(source: Path, target: Path) -> None:
    """Give a file, which nobody changes any more, a second name; copy it if the file system has one name a file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        with atomic_open(target) as copy, source.open("rb") as content:
            shutil.copyfileobj(content, copy)


def _unchecked() -> UncheckedError:
    return UncheckedError("an earlier version of harness wrote it, without checksums")
