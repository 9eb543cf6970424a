"""What a cluster carries to another machine, by its value: there it knows nothing of the harness.

`launch` starts the job from the driver's snapshot of the harness, so a queued job does not depend on what is installed
or edited by the time it runs. `launch_apart` does so if no file system is shared: files come and go as bytes. This
module imports nothing from the harness.
"""

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

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


_EXCHANGE_S = 0.5
STOP, END, BEAT = "stop", "end", "beat"  # names of files, as both ends know them
_KEPT = {"request.json", "lock", STOP}  # files that do not go back

Exchange = Callable[[Mapping[str, bytes]], Sequence[str]]
"""Hands files of the attempt to the driver, and returns what it asks for: STOP, END."""


class Mailbox:
    """What the driver and its attempts elsewhere have to say to each other, beside the driver."""

    def __init__(self) -> None:
        self._stops: set[str] = set()
        self._ending = False
        self._files: dict[str, dict[str, bytes]] = {}

    def exchange(self, uid: str, files: Mapping[str, bytes]) -> list[str]:
        """Take files of an attempt; return what is asked of it."""
        if files:
            self._files.setdefault(uid, {}).update(files)
        return [STOP] * (uid in self._stops) + [END] * self._ending

    def relay(self, stops: Sequence[str], ending: bool) -> dict[str, dict[str, bytes]]:
        """Ask attempts to stop, or all to end; return the files that came since the last time."""
        self._stops, self._ending = set(stops), ending
        files, self._files = self._files, {}
        return files


def launch_apart(  # noqa: PLR0913, PLR0917 - all that the other end knows
    files: Mapping[str, bytes],
    code: Mapping[str, bytes],
    root: str,
    own: str,
    jobs: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: str,
    exchange: Exchange,
) -> tuple[str, dict[str, bytes]]:
    """Do as `launch` in a folder of this machine that stands for the driver's `root`; return the files of `own`, too.

    `own` and `jobs` are the folders of the attempt and of the driver's jobs, below the root. What the attempt writes
    goes to the driver meanwhile, so that its progress is seen and its checkpoints survive this machine.
    """
    with tempfile.TemporaryDirectory(prefix="harness-") as here:

        def moved(word: str) -> str:
            place = here + word.removeprefix(root)
            return place if word.startswith(f"{root}{os.sep}") and os.path.exists(place) else word  # noqa: PTH110

        for name, content in {**files, **code}.items():
            path = Path(here, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        at, told = Path(here, own), Path(here, jobs)
        for place in (at, told):
            place.mkdir(parents=True, exist_ok=True)
        places = os.pathsep.join(map(moved, environment["PYTHONPATH"].split(os.pathsep)))
        here_instead = [*map(moved, command), "--moved", root, here]
        over = threading.Event()
        mirror = threading.Thread(target=_mirror, args=(exchange, at, told, over), daemon=True)
        if END in exchange({}):
            return "", {}
        mirror.start()
        said = launch(here_instead, {**environment, "PYTHONPATH": places}, folder, str(told / END))
        over.set()
        mirror.join()
        return said, {name: Path(at, name).read_bytes() for name in _stamps(at)}


def launch_by_ray(mailbox: Any, files: Any, code: Any, root: str, own: str, *launched: Any) -> Any:
    """Do as `launch_apart` in a task of Ray, whose `mailbox` is the handle of an actor beside the driver."""
    import ray

    def exchange(changed: Mapping[str, bytes]) -> Sequence[str]:
        asked: Sequence[str] = ray.get(mailbox.exchange.remote(Path(own).name, changed))
        return asked

    jobs, command, environment, folder = launched
    return launch_apart(files, code, root, own, jobs, command, environment, folder, exchange)


def _mirror(exchange: Exchange, own: Path, jobs: Path, over: threading.Event) -> None:
    """Hand over what changes in an attempt's folder, and put the driver's word where the job looks for it."""
    sent: dict[str, tuple[int, int]] = {}
    for beats in range(1 << 62):
        if over.wait(_EXCHANGE_S):
            return
        stamps = _stamps(own)
        files = {}
        for name, stamp in stamps.items():
            if sent.get(name) != stamp:
                try:
                    files[name] = (own / name).read_bytes()
                except OSError:  # gone, or being replaced
                    continue
        try:
            asked = exchange(files)
        except Exception:  # noqa: BLE001 - the driver is gone: its silence ends the job
            return
        sent |= {name: stamps[name] for name in files}
        (jobs / BEAT).write_text(str(beats), encoding="utf-8")
        for name in asked:
            (own / STOP if name == STOP else jobs / END).touch()


def _stamps(own: Path) -> dict[str, tuple[int, int]]:
    """Return when each file of an attempt's folder that goes back was written, and its size."""
    found = {}
    for path in own.rglob("*"):
        name = path.relative_to(own).as_posix()
        if name in _KEPT or (path.name.startswith(".") and path.name.endswith(".tmp")):  # not written whole yet
            continue
        try:
            stat = path.stat()
        except OSError:
            continue
        if path.is_file():
            found[name] = (stat.st_mtime_ns, stat.st_size)
    return found
