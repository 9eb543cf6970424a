"""Standard streams for a command that was started without some of them, as by `2>&-` or a daemon."""

import os
import sys
from pathlib import Path


def open_missing_streams() -> None:
    """Open what is missing of stdin, stdout and stderr, onto nothing.

    Otherwise the next file that is opened, a database say, would take its place, and be written to.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - until the process ends
