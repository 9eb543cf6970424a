"""Where a stored artifact lies on disk: in its attempt's folder beside a database, or under its SHA-256 beside
published files.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path, PurePath

from harness.attempt.messages import FOR_PEOPLE, Artifact
from harness.base.errors import HarnessError
from harness.base.files import is_there


def places(folder: Path, uid: str, artifact: Artifact) -> tuple[Path, Path]:
    """Return where an attempt's artifact may lie below a folder of artifacts: under its attempt, under its SHA-256."""
    return folder / uid / artifact.path, folder / f"{artifact.sha256}{PurePath(artifact.path).suffix}"


def read_artifact(sources: Iterable[Path], uid: str, artifact: Artifact) -> bytes | None:
    """Return the contents of an attempt's artifact, or None where none of the sources has it.

    `sources` are those that results were read from: databases, published files, or folders of these. Raises
    HarnessError where a file is not what its attempt left.
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


def is_here(sources: Iterable[Path], uid: str, artifact: Artifact) -> bool:
    """Return whether an attempt's artifact lies beside one of the sources, unread."""
    return any(is_there(path) for source in sources for path in places(_beside(source), uid, artifact))


def for_people(sources: Iterable[Path], uid: str) -> dict[str, str | None]:
    """Return where an attempt's trace and all that it printed lie; None where they are not here, or never were."""
    folders = [_beside(source) / uid for source in sources]
    return {
        name: next((str(folder / file) for folder in folders if is_there(folder / file)), None)
        for name, file in FOR_PEOPLE.items()
    }


def _beside(source: Path) -> Path:
    return (source if source.is_dir() else source.resolve().parent) / "artifacts"
