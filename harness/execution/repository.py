"""The repository in which a study lies: its commit, and in what its files differ from that.

The key of a trial covers the code of plug-ins and functions; a script that they call, or a file that they read, is
known by this alone. The difference is kept in the store, as text that `git apply` takes, and is published on request.
"""

import hashlib
import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

MOST_BYTES = 2**20
CUT_OFF = "\n# cut off here by the harness: the difference is larger than 1 MiB\n"
_FRESH_S = 60.0
_PATIENCE_S = 10.0
_PLAIN = ("-c", "core.fsmonitor=false", "-c", "core.quotepath=true")
_DIFF = (
    "diff",
    "HEAD",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--full-index",
    "--src-prefix=a/",
    "--dst-prefix=b/",
)
_ELSEWHERE = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_EXTERNAL_DIFF", "GIT_DIFF_OPTS"})


@dataclass(frozen=True)
class Repository:
    """A repository as it was: `diff` is "" if its tracked files are those of the commit, None if git did not tell."""

    commit: str
    diff: str | None

    @property
    def facts(self) -> Mapping[str, Any]:
        """Return what an attempt records of it: the difference by its SHA-256."""
        if self.diff is None:
            return {"commit": self.commit}
        sha = hashlib.sha256(self.diff.encode()).hexdigest()
        return {"commit": self.commit, "dirty": bool(self.diff), **({"diff": sha} if self.diff else {})}


def repository_of(folders: Sequence[str]) -> Repository | None:
    """Return the repository of a study, whose own folder is the first of `folders`; None if there is none.

    Looked at once a minute at most: many short attempts are not to wait for git. Code that an attempt imports is looked
    at by itself, each time.
    """
    return _looked_at(folders[0], int(time.monotonic() // _FRESH_S)) if folders else None


@lru_cache(maxsize=16)
def _looked_at(folder: str, _minute: int) -> Repository | None:
    commit = _git(folder, ("rev-parse", "--verify", "HEAD"), 100)
    if not commit:
        return None
    top = _git(folder, ("rev-parse", "--show-toplevel"), 2**16) or folder.encode()
    diff = _git(os.fsdecode(top).rstrip("\n"), _DIFF, MOST_BYTES + 1)
    return Repository(commit.decode().strip(), None if diff is None else _text(diff))


def _text(diff: bytes) -> str:
    if len(diff) <= MOST_BYTES:
        return diff.decode(errors="backslashreplace")
    return diff[:MOST_BYTES].decode(errors="backslashreplace") + CUT_OFF


def _git(folder: str, words: Sequence[str], most: int) -> bytes | None:
    """Return the first bytes of what git prints, or None if it fails, is not installed or takes too long."""
    environment = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    try:
        process = subprocess.Popen(  # noqa: S603
            ["git", *_PLAIN, *words],  # noqa: S607
            cwd=Path(folder),
            env={**environment, "GIT_OPTIONAL_LOCKS": "0"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None
    timer = threading.Timer(_PATIENCE_S, process.kill)
    timer.start()
    with process:
        said = process.stdout.read(most) if process.stdout else b""
        enough = len(said) == most
        if enough:
            process.kill()
    timer.cancel()
    return said if enough or process.returncode == 0 else None
