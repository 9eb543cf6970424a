"""An attempt at a run of `task: command`: a process of its own, whose lines of JSON are its curves and metrics.

A line `{"step": 3, "loss": 0.2}` is a point of the curves, one without "step" has final metrics; "steps" beside a step
is how many there will be. All other lines are the attempt's output. A stop is SIGTERM: the process writes its
checkpoint into `$HARNESS_CHECKPOINTS` and ends.
"""

import json
import os
import posixpath
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from harness.attempt.messages import AttemptRequest
from harness.base.errors import HarnessError, printable_line, shortened
from harness.base.processes import descendants
from harness.training.context import Context
from harness.trial.command import ARGUMENTS, FIELD, FOLDER_OPTION, script_digest, script_of, script_place, words_of
from harness.trial.inputs import file_key

METRICS_FILE = "metrics.jsonl"

_POLL_S = 0.1
_QUIET_S = 1.0  # after a process's end, while a descendant of it holds its output
_NOTED_EVERY_S = 5.0  # how far the curve is, beside the checkpoints
_STOPPED_S = 2.0  # a cluster signals all processes of a job: the driver's word comes a little later
_ENDS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU})
_LONGEST = 200
_QUEUED = 10_000

_Line = tuple[str, str]  # of which stream, and its text


def call(context: Context, request: AttemptRequest) -> dict[str, Any] | None:
    """Run a trial's command and return its final metrics; None if it was asked to stop.

    Raises HarnessError if its script was edited since it was planned, if it cannot be started, or if it fails.
    """
    process = _started(context, request)
    said = _Said(context, Path(request.folder) / METRICS_FILE)
    try:
        stopped = _followed(process, said, context)
        code = process.wait()
    finally:
        _signal_all(process, signal.SIGKILL)
        process.wait()
    if stopped:
        return None
    said.read_file(whole=False)
    if code != 0:
        if -code in _ENDS and _is_stopped_soon(context):
            return None
        raise HarnessError(f"the command ended with {_how(code)}: {said.last or 'it printed nothing'}")
    return said.metrics


def filled(
    command: str, arguments: Mapping[str, Any], fields: Mapping[str, Any], places: Mapping[str, str]
) -> list[str]:
    """Return the words of a command with its fields filled in.

    `places` says where files lie that words name. A word with an argument that is null is left out, and with it the
    option before it that it is the value of.
    """
    values = {**{f"{ARGUMENTS}{name}": value for name, value in arguments.items()}, **fields}
    made: list[str] = []
    for word in words_of(command):
        named = [field for field in FIELD.findall(word) if field in values]
        if any(values[field] is None for field in named):
            if word == f"{{{named[0]}}}" and made[-1].startswith("--"):
                made.pop()
            continue
        text = FIELD.sub(lambda found: str(values.get(found[1], found[0])), word)
        made.append(places.get(posixpath.normpath(word) if word else word, text))
    return made


def _started(context: Context, request: AttemptRequest) -> subprocess.Popen[str]:
    """Start the process in the study's folder."""
    task, paths = request.config["task"], request.plugin_paths
    places = {path: request.files[file_key(path)] for path in request.config.get("inputs", {})}
    if "script" in task:
        if script_digest(task["script"], paths) != task["code"]:
            raise HarnessError("the command's script was edited since this was planned; run the study again")
        script = str(script_of(words_of(task["command"])))
        places[posixpath.normpath(script)] = script_place(task["script"], paths)
    kind, _, number = context.device.partition(":")
    fields = {
        "seed": context.seed,
        "device": "cuda:0" if kind == "cuda" else context.device,  # the only one that it sees
        "threads": context.threads,
        "checkpoints": str(context.checkpoints),
    }
    words = filled(task["command"], request.config["arguments"], fields, places)
    if words[0] in {"python", "python3"}:
        words[0] = sys.executable
    own = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}  # it imports from its folder
    environment = {
        **own,
        **{f"HARNESS_{name.upper()}": str(value) for name, value in fields.items()},
        "HARNESS_METRICS": str(Path(request.folder) / METRICS_FILE),
        "HARNESS_RESUMED": "1" if context.resumed_from else "",
        "OMP_NUM_THREADS": str(context.threads),
        "PYTHONUNBUFFERED": "1",
        "CUDA_VISIBLE_DEVICES": _gpu(int(number or 0)) if kind == "cuda" else "",
    }
    try:
        return subprocess.Popen(  # noqa: S603 - a person's own command
            words,
            cwd=request.options.get(FOLDER_OPTION) or next(iter(paths), None),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
    except (OSError, ValueError) as error:  # the latter of a word with a NUL
        raise HarnessError(f"the command cannot be started: {words[0]}: {getattr(error, 'strerror', error)}") from error


def _gpu(number: int) -> str:
    """Return the name of a GPU that this process calls by a number."""
    seen = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return seen[number] if number < len(seen) else str(number)


def _followed(process: subprocess.Popen[str], said: "_Said", context: Context) -> bool:
    """Take what a process says until it has ended, and return whether it was asked to stop."""
    lines: queue.Queue[_Line | None] = queue.Queue(maxsize=_QUEUED)
    for name, stream in (("stdout", process.stdout), ("stderr", process.stderr)):
        threading.Thread(target=_read, args=(name, stream, lines), daemon=True).start()
    open_streams, stopped, quiet_since = 2, False, None
    while open_streams:
        try:
            line = lines.get(timeout=_POLL_S)
            quiet_since = None
            if line is None:
                open_streams -= 1
            else:
                said.take(*line)
        except queue.Empty:
            said.read_file()
            if process.poll() is not None:  # something that it has left behind holds its output
                quiet_since = quiet_since or time.monotonic()
                if time.monotonic() - quiet_since > _QUIET_S:
                    break
        if not stopped and context.should_stop() and process.poll() is None:
            stopped = True
            _signal_all(process, signal.SIGTERM)
    return stopped


def _read(name: str, stream: IO[str] | None, lines: "queue.Queue[_Line | None]") -> None:
    for line in stream or ():
        lines.put((name, line))
    lines.put(None)


def _signal_all(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Signal a process and all below it: a shell, too, that would not hand it on."""
    below = descendants(process.pid)
    if process.poll() is None:
        process.send_signal(number)
    for pid in below:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _is_stopped_soon(context: Context) -> bool:
    until = time.monotonic() + _STOPPED_S
    while time.monotonic() < until:
        if context.should_stop():
            return True
        time.sleep(_POLL_S)
    return False


def _how(code: int) -> str:
    if code > 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


class _Said:
    """What a command has said: points of curves, its final metrics, and its last words."""

    def __init__(self, context: Context, file: Path) -> None:
        self._context, self._file, self._read = context, file, 0
        self._noted = time.monotonic()
        self.metrics: dict[str, Any] = {}
        self.last = ""

    def take(self, stream: str, line: str) -> None:
        """Take a line of output: numbers, or words for people."""
        found = _numbers(line) if stream == "stdout" else None
        if found is not None:
            self._take(found)
            return
        self.last = shortened(printable_line(line.strip()), _LONGEST) or self.last
        print(line, end="", flush=True)

    def read_file(self, *, whole: bool = True) -> None:
        """Take what the file of metrics has had since, whole lines alone unless it is at its end."""
        for line in self._new_lines(whole=whole):
            if (found := _numbers(line)) is not None:
                self._take(found)

    def _new_lines(self, *, whole: bool) -> Sequence[str]:
        try:
            if self._file.stat().st_size < self._read:  # the script has rewritten it
                self._read = 0
            with self._file.open("rb") as file:
                file.seek(self._read)
                content = file.read()
        except FileNotFoundError:
            return ()
        taken = content[: content.rfind(b"\n") + 1] if whole else content
        self._read += len(taken)
        return taken.decode(errors="replace").splitlines()

    def _take(self, found: Mapping[str, Any]) -> None:
        if "step" not in found:
            self.metrics.update(found)
            return
        values = {name: value for name, value in found.items() if name not in {"step", "split"}}
        if type(values.get("steps")) is int and values["steps"] > 0:
            self._context.total(values.pop("steps"))
        self._context.report(found["step"], split=found.get("split", "returned"), **values)
        if time.monotonic() - self._noted > _NOTED_EVERY_S:
            self._context.note_curve()
            self._noted = time.monotonic()


def _numbers(line: str) -> dict[str, Any] | None:
    """Return the object of numbers that a line is, "split" a word; None for any other line, such as a log's."""
    if not line.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or "self" in found:
        return None
    step, split = found.get("step", 0), found.get("split", "")
    values = [value for name, value in found.items() if name not in {"step", "split"}]
    numbers = values and all(value is None or isinstance(value, int | float) for value in values)
    return found if numbers and type(step) is int and step >= 0 and isinstance(split, str) else None
