"""Commands of `harness` in processes of their own, which tests kill, and waiting for what they do."""

import os
import subprocess
import sys
import time

MAIN = "import sys; from harness.cli import main; sys.argv[0] = 'harness'; main()"


def start_command(folder, *words):
    """Start a command in a folder, in a group of processes of its own, without the caller's settings of the harness."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HARNESS_")}
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *map(str, words)],
        cwd=folder,
        env={**environment, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def until(condition, timeout=240):
    """Wait for a condition; where it does not come true, the test fails."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
