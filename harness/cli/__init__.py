"""What a person types. Each command group is a file of its own, imported when it is used."""

from harness.execution.interruptions import ended_by_ctrl_c

with ended_by_ctrl_c(130):
    from harness.cli.app import main

__all__ = ["main"]
