"""Artifacts on their way: published ones, each under the SHA-256 of its contents, and those that come with a merge."""

import json
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from harness.spec.attempt import Artifact
from harness.spec.errors import HarnessError
from harness.spec.files import atomic_write
from harness.store.artifact_files import places, read_artifact
from harness.store.connection import Store
from harness.store.queries import all_artifacts


def publish_artifacts(lines: Iterable[bytes], sources: Sequence[Path], target: Path, *, kinds: Collection[str]) -> int:
    """Copy the artifacts of published lines from beside `sources` to `target`/SHA-256.ending.

    Those that are there already, and those whose attempt was made elsewhere, are left out. Returns how many of them are
    in `target` afterwards. Raises HarnessError where a file is not what its attempt left.
    """
    present = 0
    for line in map(json.loads, lines):
        for entry in line["artifacts"]:
            if entry["kind"] not in kinds:
                continue
            artifact = Artifact(**entry)
            _, copy = places(target, line["uid"], artifact)
            if not copy.exists() and (content := read_artifact(sources, line["uid"], artifact)) is not None:
                atomic_write(copy, content)
            present += copy.exists()
    return present


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
