"""What a person types. Each command group is a file of its own, imported when it is used."""

from harness.cli.app import main

__all__ = ["main"]
