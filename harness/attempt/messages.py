"""What passes between the driver and the process that makes an attempt: a request, and at the end a result.

Both are plain data that go through JSON, so that an attempt needs neither the store nor the study file.
"""

import base64
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self
from zlib import crc32

from harness.attempt.data import DatasetDeclaration
from harness.base.errors import DamagedError, HarnessError, name_fault, printable_line
from harness.base.files import open_regular, read_regular
from harness.base.sealed import seal, unseal

Kind = Literal["train", "evaluate", "timing", "check"]
State = Literal["running", "done", "nan", "failed", "oom", "timeout", "pruned", "interrupted", "lost"]
ENDED_WELL: frozenset[State] = frozenset({"done", "nan"})
CRASHED = "crashed"
"""The kind of error of an attempt whose worker died by itself: a segfault, `os._exit`, SIGKILL out of nowhere."""
Flag = Literal["ok", "nan", "inf", "-inf"]

REQUEST_FILE, RESULT_FILE, CURVE_FILE = "request.json", "result.json", "curve.jsonl"
CHECKPOINT_FILE, WEIGHTS_FILE, LOG_FILE = "checkpoint.pt", "weights.pt", "log.txt"
CHECKPOINT_FOLDER = "checkpoint"  # of a person's own function, which keeps there what it likes
MARK_FILE, MARK_LOCK = "mark.json", "mark.lock"  # the checksums of what such a function keeps
TRIAL_FILE = "trial.json"  # of an attempt that was merged with its weights: their configuration
LOCK_FILE, STOP_FILE, PROGRESS_FILE = "lock", "stop", "progress.json"
OUTPUT_FILE = "output.txt"  # all that the attempt and its children print; not there if they print nothing
FOR_PEOPLE = {"trace": LOG_FILE, "output": OUTPUT_FILE}


def flagged(value: float) -> tuple[float | None, Flag]:
    """Split a number into a value that JSON and SQLite can hold and a flag that says what they cannot."""
    if math.isnan(value):
        return None, "nan"
    if math.isinf(value):
        return None, "inf" if value > 0 else "-inf"
    return float(value), "ok"


def unflagged(value: float | None, flag: str) -> float:
    """Invert `flagged`."""
    return float(flag) if value is None else value


@dataclass(frozen=True)
class EvaluationSpec:
    """What a run's model is tested on: a split of a dataset (by fingerprint) under a condition."""

    key: str
    dataset: str
    split: str
    fingerprint: str
    images: int
    bytes: int
    condition: Mapping[str, Any]


_DIGEST = re.compile(r"[0-9a-f]{32,64}")


def option_in_words(value: Any) -> Any:
    """Return a part of a condition, such as a denoiser, for people: "blur size 3"; a plain option as it is."""
    if not isinstance(value, Mapping):
        return value
    words = [str(value.get("kind", ""))]
    for name, each in sorted(value.items()):
        if name != "kind":
            known = isinstance(each, str) and _DIGEST.fullmatch(each)
            words.append(f"{name} {each[:8] if known else f'{each:g}' if isinstance(each, float) else each}")
    return " ".join(words).strip()


@dataclass(frozen=True)
class Execution:
    """How an attempt is carried out. Never in a key, always recorded."""

    device: str = "cpu"  # cpu, cuda:0
    threads: int = 1
    memory_format: str = "auto"  # auto, contiguous, channels_last
    kernels: str = "auto"  # auto: fast kernels if they fit, oneDNN for large linear layers; torch: plain torch
    order: str = "auto"  # auto: channels pooled before what that commutes with; as_written: as the paper writes it
    compile: bool = False
    capture: str = "auto"  # auto: the training step as a CUDA graph on a GPU; off: call by call
    deterministic: bool = True
    jobs: int = 1  # attempts side by side on this machine, itself included
    processes: int = 1  # that train one network together, on the CPU with `threads` among them, else one per GPU
    checkpoint_every_s: float = 30.0
    session: str = ""  # of a timing: the call of `run timing` that it is part of

    @property
    def threads_each(self) -> int:
        """The threads of each process: an even share, at least one."""
        return max(1, self.threads // self.processes)


@dataclass(frozen=True)
class AttemptRequest:
    """All that a worker is told. Paths are absolute."""

    uid: str
    kind: Kind
    trial_key: str
    config: Mapping[str, Any]
    seed: int
    datasets: tuple[DatasetDeclaration, ...]  # what is trained on first, then what else is evaluated on
    evaluations: tuple[EvaluationSpec, ...]
    execution: Execution
    folder: str
    data_root: str
    label: str = ""  # for people: study, name and seed
    resume_from: str | None = None  # uid of the attempt whose checkpoint is to be resumed
    resume_folder: str | None = None
    plugin_paths: tuple[str, ...] = ()  # folders to import plug-ins from
    files: Mapping[str, str] = field(default_factory=dict)  # where files named in `config` by their digest lie
    options: Mapping[str, Any] = field(default_factory=dict)  # of the kind of attempt, e.g. timing's epochs
    repository: Mapping[str, Any] = field(
        default_factory=dict
    )  # in which the study lies: commit, dirty, diff's SHA-256

    def to_json(self) -> str:
        """Return the request as one JSON text with a checksum."""
        return seal(asdict(self))

    @classmethod
    def from_json(cls, text: str, *, checked: bool = True) -> Self:
        """Invert `to_json`. Raises DamagedError for a text that is not what was written.

        Requests of earlier versions have no checksum. Not `checked` it is what the text says, for messages.
        """
        raw = unseal(text, required=False, checked=checked)
        raw["datasets"] = tuple(DatasetDeclaration.from_dict(d) for d in raw["datasets"])
        raw["evaluations"] = tuple(EvaluationSpec(**e) for e in raw["evaluations"])
        raw["execution"] = Execution(**raw["execution"])
        raw["plugin_paths"] = tuple(raw["plugin_paths"])
        return cls(**raw)


@dataclass(frozen=True)
class Point:
    """One value of a curve."""

    split: str  # train, test, validation; test[:2000] for the first images in canonical order
    name: str
    step: int
    value: float | None
    flag: Flag = "ok"


@dataclass(frozen=True)
class ResultValue:
    """One final metric of an evaluation."""

    evaluation: str  # its key
    name: str
    value: float | None
    flag: Flag = "ok"


@dataclass(frozen=True)
class Measure:
    """What an attempt cost: seconds, bytes."""

    name: str
    value: float | None
    flag: Flag = "ok"


@dataclass(frozen=True)
class Sample:
    """One value per image of an evaluation, in canonical order, packed: "bits" (numpy.packbits) or "float32"."""

    evaluation: str
    name: str
    count: int
    encoding: str
    packed: bytes


@dataclass(frozen=True)
class Artifact:
    """A file that an attempt leaves, by its path within the attempt's folder."""

    kind: str
    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class AttemptResult:
    """How an attempt ended, and what it found."""

    uid: str
    state: State
    started: str  # ISO 8601, UTC
    ended: str
    execution: Mapping[str, Any]
    environment: Mapping[str, Any]
    code_digest: str | None
    resumed_from: str | None = None
    error_kind: str | None = None
    error: str | None = None
    curve: tuple[Point, ...] = ()
    results: tuple[ResultValue, ...] = ()
    measures: tuple[Measure, ...] = ()
    samples: tuple[Sample, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    notes: tuple[str, ...] = ()  # for people: what was done otherwise than they would expect

    def to_json(self) -> str:
        """Return the result as one JSON text with a checksum; its curve lies beside it, and is counted."""
        raw = asdict(self)
        raw["curve"] = len(self.curve) if self.error is None else None  # else it may be of any length
        raw["samples"] = [{**s, "packed": base64.b64encode(s["packed"]).decode()} for s in raw["samples"]]
        return seal(raw)

    @classmethod
    def from_json(cls, text: str, curve: tuple[Point, ...] = ()) -> Self:
        """Invert `to_json`; `curve` is what `read_curve` gave.

        Raises DamagedError if the text, or the number of the points, is not what was written.
        """
        raw = unseal(text, required=False)  # results of earlier versions have no checksum
        counted = raw.pop("curve", len(curve))
        if counted is not None:
            if len(curve) < counted:
                raise DamagedError(f"its curve has {len(curve)} of {counted} points")
            curve = curve[:counted]  # what a thread or a child reported after the end belongs to no result
        raw["notes"] = tuple(raw.get("notes", ()))
        for name, kind in (("results", ResultValue), ("measures", Measure), ("artifacts", Artifact)):
            raw[name] = tuple(kind(**item) for item in raw[name])
        raw["samples"] = tuple(Sample(**{**s, "packed": base64.b64decode(s["packed"])}) for s in raw["samples"])
        return cls(**raw, curve=curve)


_WHOLE_LINE = re.compile(rb'"crc32": \d+\}.')  # with something else where the line ends


def curve_line(point: Point) -> str:
    """Return the line of a curve file that holds a point, with the point's checksum.

    Raises HarnessError for names that a split and a metric cannot have.
    """
    for what, name in (("split", point.split), ("metric", point.name)):
        if (fault := name_fault(str(name))) is not None:
            raise HarnessError(f"a curve cannot have the {what} '{printable_line(str(name))}': {fault}")
    text = json.dumps(asdict(point), allow_nan=False)
    return f'{text[:-1]}, "crc32": {crc32(text.encode())}}}\n'


def read_curve(path: Path) -> tuple[Point, ...]:
    """Read a curve file; a last line that was cut off by a crash is left out.

    Raises DamagedError if another line is not what was written, and for what is not a regular file; lines of earlier
    versions have no checksum.
    """
    if not path.exists():
        return ()
    *lines, rest = read_regular(path).split(b"\n")
    if _WHOLE_LINE.search(rest):
        raise DamagedError(f"line {path.name}:{len(lines) + 1} is not what was written: its end differs")
    return tuple(_point(line, f"{path.name}:{number}") for number, line in enumerate(lines, 1) if line)


def _point(line: bytes, where: str) -> Point:
    try:
        fields = json.loads(line)
        checksum = fields.pop("crc32", None)
        point = Point(**fields)
        right = crc32(json.dumps(asdict(point), allow_nan=False).encode())
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedError(f"line {where} is not a point of a curve") from error
    if checksum not in {None, right}:
        raise DamagedError(f"line {where} is not what was written: its checksum differs")
    return point


_PROGRESS_BYTES = 1 << 16  # far more than a worker ever writes there


def read_progress(folder: Path) -> dict[str, Any] | None:
    """Return how far an attempt says that it is; None while it says nothing, or nothing that can be understood.

    The file lies where a person's own function may write, too: it may hold anything.
    """
    try:
        with open_regular(folder / PROGRESS_FILE) as file:
            said = json.loads(file.read(_PROGRESS_BYTES))
        return said if _is_progress(said) else None
    except (OSError, ValueError, RecursionError, DamagedError):
        return None


def _is_progress(said: Any) -> bool:
    """Return whether it has what a display and a search look for: a step with metrics, items, or epochs."""
    if not isinstance(said, dict) or not _is_count(said.get("step")):
        return False
    if "items" in said:  # of an evaluation
        has_steps = _is_count(said.get("steps")) and isinstance(said["items"], str)
        return has_steps and isinstance(said.get("metric_name", ""), str) and _is_number(said.get("metric"))
    if "metrics" in said:
        metrics = said["metrics"]
        return _is_count(said.get("steps", 0)) and isinstance(metrics, dict) and all(map(_is_number, metrics.values()))
    counts, numbers = ("epoch", "epochs", "steps"), ("loss", "metric", "images_per_s")
    if not isinstance(said.get("metric_name", ""), str):
        return False
    return all(_is_count(said.get(name)) for name in counts) and all(_is_number(said.get(name)) for name in numbers)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def read_result(folder: Path) -> AttemptResult | None:
    """Return the result that lies in an attempt's folder, or None while there is none.

    Raises DamagedError if it, or the curve beside it, is not what was written.
    """
    path = folder / RESULT_FILE
    if not path.exists():
        return None
    written = read_regular(path)
    try:
        return AttemptResult.from_json(written.decode(), read_curve(folder / CURVE_FILE))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedError(f"it is not a result ({type(error).__name__}: {error})") from error
