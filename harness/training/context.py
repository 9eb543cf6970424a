"""What a person's own function is given: `def run(context, *, width, epochs)` of `task: function` (docs/own.md).

Any framework may train inside it: nothing here asks for torch but `generator`.
"""

import json
import operator
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, SupportsFloat, SupportsIndex

from harness.attempt.checkpoints import Mark, Saved, check_folder, has_checkpoint, is_half_written, take_over
from harness.attempt.messages import (
    CHECKPOINT_FOLDER,
    CURVE_FILE,
    MARK_FILE,
    MARK_LOCK,
    Artifact,
    AttemptRequest,
    Point,
    read_curve,
)
from harness.base.errors import DamagedError, HarnessError, name_fault, printable_line, shortened
from harness.base.files import atomic_open
from harness.base.locks import hold
from harness.base.sealed import copy_hashed, sha256_of
from harness.training.curve import Curve
from harness.training.libraries import stream_seed
from harness.training.progress_file import FunctionProgressFile
from harness.trial.function import as_number

if TYPE_CHECKING:
    import numpy as np
    import torch

_PATIENCE_S = 60.0  # while another thread or child process writes the mark
_LAST_STEP = 2**63 - 1  # the largest whole number that the store holds
_NOT_IN_A_NAME = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f\ud800-\udfff]')


class Stop(Protocol):
    """Whether to stop."""

    def __bool__(self) -> bool: ...


class Context:
    """One call of a person's function: what it was asked for, and where it says what it finds.

    Attributes:
        config: the trial's resolved configuration.
        seed: of the run; take random numbers from `generator`, `rng` or `seed_for`, each from the seed by its purpose.
        device: "cpu", "cuda:0".
        threads: how many to use.
        precision: "fp32", "tf32" or "bf16", as the study's task says; acting on it is the function's business.
    """

    def __init__(self, request: AttemptRequest, stop: Stop, compatible: Mapping[str, Any]) -> None:
        self.config = request.config
        self.seed = request.seed
        self.device = request.execution.device
        self.threads = request.execution.threads
        self.precision = str(request.config["task"].get("precision", "fp32"))
        self.resumed_from: str | None = None
        self._folder = Path(request.folder)
        self._stop, self._compatible = stop, compatible
        self.notes: list[str] = []
        self._progress_file = FunctionProgressFile(self._folder, request.options.get("metrics", {}))
        self._curve = self._take_over(request)

    def seed_for(self, *purpose: str | int) -> int:
        """Return a seed for a purpose, from 0 to 2³² − 1, as numpy's and scikit-learn's `random_state` take it."""
        return stream_seed(self.seed, *purpose) % 2**32

    def rng(self, *purpose: str | int) -> "np.random.Generator":
        """Return numpy's generator for a purpose, e.g. `context.rng("order", epoch)`."""
        import numpy as np

        return np.random.default_rng(stream_seed(self.seed, *purpose))

    def generator(self, *purpose: str | int) -> "torch.Generator":
        """Return torch's generator on the CPU for a purpose, e.g. `context.generator("initialisation")`."""
        from harness.training.streams import stream

        return stream(self.seed, *purpose)

    def report(self, step: SupportsIndex, *, split: str = "returned", **metrics: SupportsFloat | None) -> None:
        """Add points to the run's curves; reported again, after it resumed from a checkpoint, a step is replaced.

        Args:
            step: from 0, of whatever the function counts; any whole number, NumPy's and torch's among them.
            split: what the metrics were measured on, e.g. "train".
            metrics: numbers by name; None is stored as NaN.
        """
        number = _step(step)
        values = {name: as_number(name, value, "report was given") for name, value in metrics.items()}
        for name, value in values.items():
            self._curve.add(split, name, number, value)
        self._progress_file.write(number, values)

    def total(self, steps: SupportsIndex) -> None:
        """Say how many steps `report` will count, from 0: progress shows "4/20 steps" and the time left.

        Raises HarnessError for what is not a whole number above 0.
        """
        number = _whole_number(steps)
        if not 0 < number <= _LAST_STEP:
            raise HarnessError(f"total takes how many steps there will be, a whole number from 1, not {steps!r}")
        self._progress_file.steps = number

    def should_stop(self) -> bool:
        """Return whether to write a checkpoint and return at once, with None: the next call resumes there."""
        return bool(self._stop)

    @property
    def checkpoints(self) -> Path:
        """The folder for checkpoints, whatever their form. A run that was stopped or killed finds it as it left it."""
        folder = self._folder / CHECKPOINT_FOLDER
        folder.mkdir(exist_ok=True)
        self.note_curve()
        return folder

    def note_curve(self) -> None:
        """Make the curve durable, and note how far it is: an attempt that resumes takes it over up to there."""
        self._note(lambda mark: mark)

    @contextmanager
    def checkpoint(self, name: str) -> Iterator[IO[bytes]]:
        """Give a binary file in the folder for checkpoints, which is there under its name whole or not at all.

        Its checksum is written with it: damaged, it is not resumed from. Raises HarnessError for a name that leads out
        of the folder.
        """
        folder = self.checkpoints
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise HarnessError(f"checkpoint takes the name of a file in the folder for checkpoints, not '{name}'")

        def note(written: Path) -> None:
            digest = sha256_of(written)
            self._note(lambda mark: mark.with_file(path.relative_to(folder).as_posix(), digest))

        with atomic_open(path, before=note) as file:
            yield file

    def resume(self) -> Path | None:
        """Return the folder for checkpoints if an earlier attempt at this run left some, else None.

        What was left by other code, on another device or with other threads counts as nothing, and so does what is not
        as it was written.
        """
        return self.checkpoints if self.resumed_from else None

    def save(self, kind: str, path: str | Path) -> None:
        """Keep a copy of a file with the run, e.g. `context.save("weights", "model.pt")`.

        It is copied at once. Saved again from the same place, it replaces what was saved before; another file of the
        same kind and name is beside it. Raises HarnessError if there is no such file.
        """
        source = Path(path)
        if not isinstance(kind, str) or not kind:
            raise HarnessError(f"save takes what kind of file it is, a word, not {kind!r}")
        if (fault := name_fault(kind)) is not None:
            raise HarnessError(f"a file cannot be of the kind '{printable_line(shortened(kind))}': {fault}")
        if not source.is_file():
            raise HarnessError(f"there is no file {source} to save as '{kind}'")
        origin, known = str(source.resolve()), sha256_of(source)
        alike = [saved for saved in self._mark().saved if saved.artifact.kind == kind]
        if any(s.artifact.sha256 == known and Path(s.source).name == source.name for s in alike):
            return  # as when a run that resumed saves it again
        before = next((saved.artifact for saved in alike if saved.source == origin), None)
        place = before.path if before else self._free_place(kind, source.name)

        def note(was: str | None) -> None:
            kept = Saved(Artifact(kind, place, digest, size), origin, was)
            self._note(lambda mark: mark.with_saved(kept))

        def note_replaced(_: Path) -> None:
            if before:  # one of the two is there, whenever the machine stops
                note(before.sha256)

        with source.open("rb") as content, atomic_open(self._folder / place, before=note_replaced) as target:
            digest, size = copy_hashed(content, target)
        note(None)

    def finish(self, *, stopped: bool) -> tuple[tuple[Point, ...], tuple[Artifact, ...]]:
        """Make all that was said durable, and return it; `stopped`: the run is to be resumed from its checkpoints."""
        self._curve.sync()
        if stopped and has_checkpoint(self._folder):
            self._note_seen()
        return read_curve(self._folder / CURVE_FILE), tuple(saved.artifact for saved in self._mark().saved)

    def drop_checkpoints(self) -> None:
        """Remove the folder for checkpoints, and first what says that it is there: the run is at its end."""
        (self._folder / MARK_FILE).unlink(missing_ok=True)
        shutil.rmtree(self._folder / CHECKPOINT_FOLDER, ignore_errors=True)

    def _free_place(self, kind: str, name: str) -> str:
        """Return where a file may lie in the attempt's folder: `files/KIND/NAME`, or beside others of its name."""
        taken = {saved.artifact.path for saved in self._mark().saved}
        folder = Path("files", _NOT_IN_A_NAME.sub("-", kind).strip(". ") or "-")
        plain = Path(_NOT_IN_A_NAME.sub("-", name))
        names = (plain.name if n == 1 else f"{plain.stem}-{n}{plain.suffix}" for n in count(1))
        return next(place for place in ((folder / name).as_posix() for name in names) if place not in taken)

    def _mark(self) -> Mark:
        """Return the mark as it is in the folder: a child process may have written it, too."""
        return Mark.read(self._folder) or Mark(self._compatible)

    def _note(self, change: Callable[[Mark], Mark]) -> None:
        """Change the mark, which also notes how far the curve is: it is made durable before.

        Threads and child processes may do so at the same time.
        """
        with hold(self._folder / MARK_LOCK, patience_s=_PATIENCE_S):
            mark = self._mark()
            changed = change(replace(mark, curve=self._curve.sync()))
            if changed != mark or not (self._folder / MARK_FILE).exists():
                changed.write(self._folder)

    def _note_seen(self) -> None:
        """Note which checkpoints are there at the end, with the checksums of those that it wrote by itself."""
        folder, known = self._folder / CHECKPOINT_FOLDER, self._mark().files
        written = (path for path in folder.rglob("*") if path.is_file() and not is_half_written(path))
        paths = {path.relative_to(folder).as_posix(): path for path in written}
        seen = {name: (sha256_of(path),) for name, path in paths.items() if name not in known}

        def note(mark: Mark) -> Mark:
            kept = {name: digests for name, digests in mark.files.items() if name in paths}
            return replace(mark, files={**kept, **seen}, seen=tuple(seen), whole=True)

        self._note(note)

    def _take_over(self, request: AttemptRequest) -> Curve:
        """Take the checkpoints of the attempt that is to be resumed, if they fit; return its curve, or a new one."""
        earlier = None if request.resume_folder is None else Path(request.resume_folder)
        mark = None if earlier is None else self._fitting(earlier)
        if earlier is None or mark is None:
            return Curve(self._folder)
        curve = Curve(self._folder, read_curve(earlier / CURVE_FILE))
        take_over(earlier, self._folder, mark)
        self.resumed_from = request.resume_from
        return curve

    def _fitting(self, earlier: Path) -> Mark | None:
        """Return the mark of the checkpoints that an attempt left, if this one may resume from them."""
        if not has_checkpoint(earlier):
            return None
        try:
            mark = check_folder(earlier)
        except DamagedError as error:
            self.notes.append(f"the checkpoint is damaged ({error}): it started afresh")
            return None
        return mark if mark.compatible == json.loads(json.dumps(dict(self._compatible))) else None


def _step(step: SupportsIndex) -> int:
    """Return a step as Python's whole number. Raises HarnessError for what is none, and for what no store holds."""
    number = _whole_number(step)
    if not 0 <= number <= _LAST_STEP:
        raise HarnessError(f"report takes a step, a whole number from 0 to 2**63 - 1, not {step!r}")
    return number


def _whole_number(value: SupportsIndex) -> int:
    """Return Python's whole number of a value, NumPy's and torch's among them; -1 for what is none."""
    kind = str(getattr(value, "dtype", type(value).__name__))
    try:
        return -1 if kind.endswith("bool") else operator.index(value)
    except (TypeError, ValueError):
        return -1
