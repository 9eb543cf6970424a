"""Artifacts on their way: published ones, each under the SHA-256 of its contents, and those that come with a merge."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.attempt.messages import Artifact
from harness.base.errors import HarnessError
from harness.base.files import atomic_write
from harness.store.artifact_files import is_here, places, read_artifact
from harness.store.connection import Store
from harness.store.queries import all_artifacts


@dataclass
class Artifacts:
    """What became of the artifacts of published lines: how many lie beside, and by kind those that were left out."""

    beside: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def publish_artifacts(
    lines: Iterable[bytes], sources: Sequence[Path], target: Path, *, kinds: Collection[str]
) -> Artifacts:
    """Copy the artifacts of published lines from beside `sources` to `target`/SHA-256.ending.

    Those of other kinds are left out. Those that are there already, and those that lie beside no source, are passed
    over. Raises HarnessError where a file is not what its attempt left.
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
            found.beside += copy.exists()
    return found


def take_artifacts(store: Store, source: Path, target: Path) -> int:
    """Copy what attempts of `store` left from beside `source` into their folders below `target`. Return how many files.

    Those that are there already stay as they are. Raises HarnessError where a file is not what its attempt left, or
    would lie outside of `target`.
    """
    copied = 0
    for uid, artifact in all_artifacts(store):
        here = places(target, uid, artifact)
        if any(path.exists() for path in here) or (content := read_artifact([source], uid, artifact)) is None:
            continue
        if not here[0].resolve().is_relative_to(target.resolve()):
            raise HarnessError(f"attempt {uid} names a file outside of its folder: {artifact.path}")
        atomic_write(here[0], content)
        copied += 1
    return copied
