"""What a person types. Each command group is a file of its own, imported when it is used."""

import sys

from harness.execution.interruptions import ended_by_ctrl_c

if sys.platform == "win32":  # before anything is imported that Windows does not have
    sys.stderr.write("Error: harness does not run on Windows: use Linux, also inside Windows (WSL)\n")
    raise SystemExit(2)

with ended_by_ctrl_c(130):
    from harness.cli.app import main

__all__ = ["main"]
