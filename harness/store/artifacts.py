"""Artifacts that are published: small files, each under the SHA-256 of its contents."""

import hashlib
import json
from collections.abc import Collection, Iterable
from pathlib import Path

from harness.spec.errors import HarnessError
from harness.spec.files import atomic_write


def copy_artifacts(lines: Iterable[str], source: Path, target: Path, *, kinds: Collection[str]) -> int:
    """Copy the artifacts of published lines from the attempts' folders below `source` to `target`/SHA-256.ending.

    Those that are there already, and those whose attempt was made elsewhere, are left out. Returns how many of them are
    in `target` afterwards. Raises HarnessError where a file is not what its attempt left.
    """
    present = 0
    for line in map(json.loads, lines):
        for entry in line["artifacts"]:
            if entry["kind"] not in kinds:
                continue
            path = source / line["uid"] / entry["path"]
            copy = target / f"{entry['sha256']}{path.suffix}"
            if not copy.exists() and path.exists():
                content = path.read_bytes()
                if hashlib.sha256(content).hexdigest() != entry["sha256"]:
                    raise HarnessError(f"{path} is not what attempt {line['uid']} left: its SHA-256 differs")
                atomic_write(copy, content)
            present += copy.exists()
    return present
