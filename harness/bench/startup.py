"""`harness bench startup`: processor time of commands that a person waits for, each a process of its own."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from harness.store.connection import open_store

LIMITS_S = {"--help": 0.25, "results list": 0.7}
_MAIN = "import sys; from harness.cli import main; sys.argv[0] = 'harness'; main()"


def bench_startup(repetitions: int) -> list[dict[str, Any]]:
    """Return the median seconds (user and system) of each command, after a first call that is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "harness.db"
        open_store(db).close()
        environment = {**os.environ, "HARNESS_DB": str(db)}
        return [
            {"command": f"harness {words}", "cpu_seconds": _median(words, repetitions, environment), "limit": limit}
            for words, limit in LIMITS_S.items()
        ]


def _median(words: str, repetitions: int, environment: Mapping[str, str]) -> float:
    return median([_cpu_seconds(words, environment) for _ in range(repetitions + 1)][1:])


def _cpu_seconds(words: str, environment: Mapping[str, str]) -> float:
    before = os.times()
    command = [sys.executable, "-c", _MAIN, *words.split()]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command
    after = os.times()
    used = after.children_user - before.children_user, after.children_system - before.children_system
    return sum(used)
