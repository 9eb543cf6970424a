"""An attempt at a run of `task: command`: a process of its own, whose lines of JSON are its curves and metrics.

A line `{"step": 3, "loss": 0.2}` is a point of the curves, one without "step" has final metrics; all other lines are
the attempt's output. A stop is SIGTERM: the process writes its checkpoint into `$HARNESS_CHECKPOINTS` and ends.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.attempt.messages import AttemptRequest
from harness.base.errors import HarnessError, printable_line, shortened
from harness.training.context import Context
from harness.trial.command import filled, script_digest, script_of, script_place
from harness.trial.inputs import file_key

METRICS_FILE = "metrics.jsonl"
_POLL_S = 0.1
_NOTED_EVERY_S = 5.0  # how far the curve is, beside the checkpoints
_LONGEST = 200


def call(context: Context, request: AttemptRequest) -> dict[str, Any] | None:
    """Run a trial's command and return its final metrics; None if it was asked to stop and has not finished.

    Raises HarnessError if its script was edited since it was planned, if it cannot be started, or if it fails.
    """
    process = _started(context, request)
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(process, lines), daemon=True).start()
    said = _Said(context, Path(request.folder) / METRICS_FILE)
    stopped = False
    try:
        while (line := _next(lines)) is not None:
            said.take(line)
            if not stopped and context.should_stop():
                stopped = True
                process.send_signal(signal.SIGTERM)
        code = process.wait()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    said.read_file()
    if code != 0:
        if stopped:
            return None
        how = f"exit code {code}" if code > 0 else signal.Signals(-code).name
        raise HarnessError(f"the command ended with {how}: {said.last or 'it printed nothing'}")
    return said.metrics if said.metrics or not stopped else None


def _started(context: Context, request: AttemptRequest) -> subprocess.Popen[str]:
    """Start the process in the study's folder."""
    task, paths = request.config["task"], request.plugin_paths
    places = {path: request.files[file_key(path)] for path in request.config.get("inputs", {})}
    if "script" in task:
        if script_digest(task["script"], paths) != task["code"]:
            raise HarnessError("the command's script was edited since this was planned; run the study again")
        places[str(script_of(task["command"]))] = script_place(task["script"], paths)
    checkpoints = str(context.checkpoints)
    fields = {
        "seed": context.seed,
        "device": context.device,
        "threads": context.threads,
        "checkpoints": checkpoints,
    }
    words = filled(task["command"], request.config["arguments"], fields, places)
    if words[0] in {"python", "python3"}:
        words[0] = sys.executable
    environment = {
        **os.environ,
        **{f"HARNESS_{name.upper()}": str(value) for name, value in fields.items()},
        "HARNESS_METRICS": str(Path(request.folder) / METRICS_FILE),
        "HARNESS_RESUMED": "1" if context.resumed_from else "",
        "OMP_NUM_THREADS": str(context.threads),
        "PYTHONUNBUFFERED": "1",
    }
    kind, _, number = context.device.partition(":")
    environment["CUDA_VISIBLE_DEVICES"] = (number or "0") if kind == "cuda" else ""
    try:
        return subprocess.Popen(  # noqa: S603 - a person's own command
            words,
            cwd=paths[0] if paths else None,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise HarnessError(f"the command cannot be started: {words[0]}: {error.strerror}") from error


def _read(process: subprocess.Popen[str], lines: "queue.Queue[str | None]") -> None:
    for line in process.stdout or ():
        lines.put(line)
    lines.put(None)


def _next(lines: "queue.Queue[str | None]") -> str | None:
    """Return the next line, "" if there is none yet, None at the end."""
    try:
        return lines.get(timeout=_POLL_S)
    except queue.Empty:
        return ""


class _Said:
    """What a command has said: points of curves, its final metrics, and its last words."""

    def __init__(self, context: Context, file: Path) -> None:
        self._context, self._file, self._read = context, file, 0
        self._noted = time.monotonic()
        self.metrics: dict[str, Any] = {}
        self.last = ""

    def take(self, line: str) -> None:
        """Take a line of output, "" for none, and what is new in the file of metrics."""
        if line:
            found = _numbers(line)
            if found is None:
                self.last = shortened(printable_line(line.strip()), _LONGEST) or self.last
                print(line, end="", flush=True)
            else:
                self._take(found)
        self.read_file()

    def read_file(self) -> None:
        """Take the whole lines that the file of metrics has had since."""
        for line in self._new_lines():
            if (found := _numbers(line)) is not None:
                self._take(found)

    def _new_lines(self) -> Sequence[str]:
        try:
            with self._file.open("rb") as file:
                file.seek(self._read)
                content = file.read()
        except FileNotFoundError:
            return ()
        whole = content[: content.rfind(b"\n") + 1]
        self._read += len(whole)
        return whole.decode(errors="replace").splitlines()

    def _take(self, found: Mapping[str, Any]) -> None:
        if "step" not in found:
            self.metrics.update(found)
            return
        split = found.get("split", "returned")
        self._context.report(found["step"], split=split, **dict(_values(found)))
        if time.monotonic() - self._noted > _NOTED_EVERY_S:
            self._context.checkpoints  # noqa: B018 - which notes how far the curve is
            self._noted = time.monotonic()


def _values(found: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    for name, value in found.items():
        if name not in {"step", "split"} and (value is None or isinstance(value, int | float)):
            yield name, value


def _numbers(line: str) -> dict[str, Any] | None:
    """Return the object that a line is; None for a line that is none, or has no number."""
    if not line.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and any(True for _ in _values(found)) else None
