"""Artifacts: where one lies on disk, in its attempt's folder beside a database or under its SHA-256 beside published
files; and on their way, published or with a merge.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from harness.attempt.messages import FOR_PEOPLE, TRIAL_FILE, Artifact
from harness.base.errors import HarnessError
from harness.base.files import atomic_write, is_there
from harness.store.connection import Store
from harness.store.queries import all_artifacts, config_text


@dataclass
class Artifacts:
    """What became of the artifacts of published lines: how many lie beside; by kind those that were left out, and those
    that were wanted but lie beside no source.
    """

    beside: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)


def publish_artifacts(
    lines: Iterable[bytes], sources: Sequence[Path], target: Path, *, kinds: Collection[str]
) -> Artifacts:
    """Copy the artifacts of published lines from beside `sources` to `target`/SHA-256.ending.

    Those of other kinds are left out. Those that are there already, and those that lie beside no source, are passed
    over. Raises HarnessError if a file is not what its attempt left.
    """
    found = Artifacts()
    for line in map(json.loads, lines):
        for entry in line["artifacts"]:
            artifact = Artifact(**entry)
            if artifact.kind not in kinds:
                found.left_out[artifact.kind] += is_here(sources, line["uid"], artifact)
                continue
            _, copy = places(target, line["uid"], artifact)
            if not copy.exists() and (content := read_artifact(sources, line["uid"], artifact)) is not None:
                atomic_write(copy, content)
            found.beside += (here := copy.exists())
            found.missing[artifact.kind] += not here
    return found


def take_artifacts(store: Store, source: Path, target: Path) -> int:
    """Copy what attempts of `store` left from beside `source` into their folders below `target`. Return how many files.

    Those that are there already stay as they are. Beside weights comes their trial's configuration. Raises HarnessError
    if a file is not what its attempt left, or would lie outside of `target`.
    """
    copied = 0
    for uid, artifact in all_artifacts(store):
        here = places(target, uid, artifact)
        if any(path.exists() for path in here) or (content := read_artifact([source], uid, artifact)) is None:
            continue
        if not here[0].resolve().is_relative_to(target.resolve()):
            raise HarnessError(f"attempt {uid} names a file outside of its folder: {artifact.path}")
        atomic_write(here[0], content)
        if artifact.kind == "weights":  # which nobody can use without what they are of
            atomic_write(here[0].with_name(TRIAL_FILE), config_text(store, uid))
        copied += 1
    return copied


def places(folder: Path, uid: str, artifact: Artifact) -> tuple[Path, Path]:
    """Return where an attempt's artifact may lie below a folder of artifacts: under its attempt, under its SHA-256."""
    return folder / uid / artifact.path, folder / f"{artifact.sha256}{PurePath(artifact.path).suffix}"


def where(sources: Iterable[Path], uid: str, artifact: Artifact) -> str | None:
    """Return the path of an attempt's artifact, unread; None if it lies beside none of the sources."""
    paths = (path for source in sources for path in places(_beside(source), uid, artifact))
    return next((str(path) for path in paths if is_there(path)), None)


def read_artifact(sources: Iterable[Path], uid: str, artifact: Artifact) -> bytes | None:
    """Return the contents of an attempt's artifact, or None if none of the sources has it.

    `sources` are those that results were read from: databases, published files, or folders of these. Raises
    HarnessError if a file is not what its attempt left.
    """
    for source in sources:
        folder = _beside(source)
        for path in places(folder, uid, artifact):
            if path.is_file():
                content = path.read_bytes()
                if hashlib.sha256(content).hexdigest() != artifact.sha256:
                    raise HarnessError(f"{path} is not what attempt {uid} left: its SHA-256 differs")
                return content
    return None


def read_weights(sources: Sequence[Path], uid: str, kept: Iterable[Artifact]) -> bytes | None:
    """Return the weights that an attempt left, as `read_artifact`; None if there are none, or they are not here."""
    weights = (artifact for artifact in kept if artifact.kind == "weights")
    return next((found for each in weights if (found := read_artifact(sources, uid, each)) is not None), None)


def run_weights(sources: Sequence[Path], attempt: str, kept: Iterable[Artifact]) -> tuple[str, str]:
    """Return the SHA-256 of the weights that an attempt left, and where they lie. Raises HarnessError without any."""
    for artifact in kept:
        if artifact.kind != "weights":
            continue
        paths = [path for source in sources for path in places(_beside(source), attempt, artifact)[:1]]
        if (path := next((path for path in paths if is_there(path)), None)) is not None:
            return artifact.sha256, str(path.resolve())
    raise HarnessError("its weights are not here")


def is_here(sources: Iterable[Path], uid: str, artifact: Artifact) -> bool:
    """Return whether an attempt's artifact lies beside one of the sources, unread."""
    return where(sources, uid, artifact) is not None


def for_people(sources: Iterable[Path], uid: str) -> dict[str, str | None]:
    """Return where an attempt's trace and all that it printed lie; None if they are not here, or never were."""
    folders = [_beside(source) / uid for source in sources]
    return {
        name: next((str(folder / file) for folder in folders if is_there(folder / file)), None)
        for name, file in FOR_PEOPLE.items()
    }


def _beside(source: Path) -> Path:
    return (source if source.is_dir() else source.resolve().parent) / "artifacts"
