"""What a person's own function is given: `def run(context, *, width, epochs)` of `task: function` (docs/own.md).

Any framework may train inside it: nothing here asks for torch but `generator`.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from harness.spec.attempt import CHECKPOINT_FOLDER, CURVE_FILE, Artifact, AttemptRequest, has_checkpoint, read_curve
from harness.spec.errors import HarnessError
from harness.spec.files import atomic_open, atomic_write
from harness.training.curve import Curve
from harness.training.libraries import stream_seed
from harness.training.outcome import artifact
from harness.training.tell import FunctionTeller

if TYPE_CHECKING:
    import numpy as np
    import torch

_MARK = ".compatible.json"  # in the checkpoint folder: what must be equal for another attempt to go on with it


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
        self._saved: dict[str, Artifact] = {}
        self._teller = FunctionTeller(self._folder)
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

    def report(self, step: int, *, split: str = "returned", **metrics: float) -> None:
        """Add points to the run's curves; reported again, after going on from a checkpoint, a step is replaced.

        Args:
            step: from 0, of whatever the function counts.
            split: what the metrics were measured on, e.g. "train".
            metrics: numbers by name.
        """
        if isinstance(step, bool) or not isinstance(step, int) or step < 0:
            raise HarnessError(f"report takes a step, a whole number from 0, not {step!r}")
        for name, value in metrics.items():
            self._curve.add(split, name, step, float(value))
        self._teller.tell(step, metrics)

    def should_stop(self) -> bool:
        """Return whether to write a checkpoint and return at once, with None: the next call goes on from there."""
        return bool(self._stop)

    @property
    def checkpoints(self) -> Path:
        """The folder for checkpoints, whatever their form. A run that was stopped or killed finds it as it left it."""
        folder = self._folder / CHECKPOINT_FOLDER
        if not (folder / _MARK).exists():
            folder.mkdir(exist_ok=True)
            atomic_write(folder / _MARK, json.dumps(dict(self._compatible), sort_keys=True))
        return folder

    @contextmanager
    def checkpoint(self, name: str) -> Iterator[IO[bytes]]:
        """Give a binary file in the folder for checkpoints, which is there under its name whole or not at all.

        Raises HarnessError for a name that leads out of it.
        """
        if not (self.checkpoints / name).resolve().is_relative_to(self.checkpoints.resolve()):
            raise HarnessError(f"checkpoint takes the name of a file in the folder for checkpoints, not '{name}'")
        with atomic_open(self.checkpoints / name) as file:
            yield file

    def resume(self) -> Path | None:
        """Return the folder for checkpoints where an earlier attempt at this run left some, else None.

        What was left by other code, on another device or with other threads counts as nothing.
        """
        return self.checkpoints if self.resumed_from else None

    def save(self, kind: str, path: str | Path) -> None:
        """Keep a file with the run, e.g. `context.save("weights", "model.pt")`; one from elsewhere is copied.

        Raises HarnessError where there is no such file.
        """
        source = Path(path)
        if not source.is_file():
            raise HarnessError(f"there is no file {source} to save as '{kind}'")
        if not source.resolve().is_relative_to(self._folder.resolve()):
            copy = self._folder / "files" / source.name
            with atomic_open(copy) as target, source.open("rb") as content:
                shutil.copyfileobj(content, target)
            source = copy
        found = artifact(kind, source.resolve(), self._folder.resolve())
        self._saved[found.path] = found

    def finish(self) -> tuple[Curve, tuple[Artifact, ...]]:
        """Make all that was said durable, and return it."""
        self._curve.sync()
        return self._curve, tuple(self._saved.values())

    def drop_checkpoints(self) -> None:
        """Remove the folder for checkpoints: the run is at its end."""
        shutil.rmtree(self._folder / CHECKPOINT_FOLDER, ignore_errors=True)

    def _take_over(self, request: AttemptRequest) -> Curve:
        """Take the checkpoints of the attempt that is to be gone on with, if they fit; return its curve, or a new one.

        The curve first: from when the checkpoints are here, this attempt is the one to go on from.
        """
        earlier = None if request.resume_folder is None else Path(request.resume_folder)
        if earlier is None or not self._fits(earlier):
            return Curve(self._folder)
        curve = Curve(self._folder, read_curve(earlier / CURVE_FILE))
        (earlier / CHECKPOINT_FOLDER).rename(self._folder / CHECKPOINT_FOLDER)
        self.resumed_from = request.resume_from
        return curve

    def _fits(self, earlier: Path) -> bool:
        """Return whether an attempt left checkpoints that this one may go on with."""
        mark = earlier / CHECKPOINT_FOLDER / _MARK
        if not has_checkpoint(earlier) or not mark.exists():
            return False
        left = json.loads(mark.read_text(encoding="utf-8"))
        return bool(left == json.loads(json.dumps(dict(self._compatible))))
