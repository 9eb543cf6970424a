"""The one function that a cluster carries to another machine, by its value: there it knows nothing of the harness.

It starts the job from the driver's snapshot of the harness, so a queued job does not depend on what is installed or
edited by the time it runs. It imports nothing from the harness.
"""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from types import FrameType

_PREEMPTING = ("SIGTERM", "SIGUSR1", "SIGUSR2", "SIGCONT")


def launch(command: Sequence[str], environment: Mapping[str, str], folder: str, unless: str) -> str:
    """Run a command in `folder`, pass on the signals by which a cluster takes a machine away; return what it printed.

    The command ends with this process, by the end of its standard input. It does not begin if there is a file `unless`.
    """
    if os.path.exists(unless):  # noqa: PTH110
        return ""
    process = subprocess.Popen(  # noqa: S603 - the driver's own command
        command,
        env={**os.environ, **environment},
        cwd=folder if os.path.isdir(folder) else None,  # noqa: PTH112 - of a machine that may lack it
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )

    def pass_on(number: int, _frame: FrameType | None) -> None:
        process.send_signal(number)

    before = {name: signal.signal(getattr(signal, name), pass_on) for name in _PREEMPTING}
    try:
        assert process.stdout is not None  # noqa: S101 - for mypy
        said = process.stdout.read()
        process.wait()
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
    return said
