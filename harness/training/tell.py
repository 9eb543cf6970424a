"""How far an attempt is, for whoever watches; nothing here can change a result."""

import json
import math
import time
from pathlib import Path

from harness.spec.attempt import PROGRESS_FILE
from harness.training.checkpoint import Progress

_TELL_EVERY_S = 0.5


class Teller:
    """Tells the driver, through a small file, how far an attempt is."""

    def __init__(self, folder: Path, epochs: int, steps: int) -> None:
        self._path = folder / PROGRESS_FILE
        self._epochs, self._steps = epochs, steps
        self._told = 0.0
        self._start: tuple[float, int] | None = None
        self.loss: float | None = None
        self.metric: float | None = None

    def tell(self, progress: Progress, *, at_once: bool = False) -> None:
        """Write the progress, at most every half second unless `at_once`."""
        now = time.monotonic()
        if not at_once and now - self._told < _TELL_EVERY_S:
            return
        if self._start is None:
            self._start = (now, progress.images)
        seconds, images = now - self._start[0], progress.images - self._start[1]
        state = {
            "epoch": progress.epoch,
            "epochs": self._epochs,
            "step": progress.step,
            "steps": self._steps,
            "loss": self.loss if self.loss is None or math.isfinite(self.loss) else None,
            "metric": self.metric,
            "images_per_s": images / seconds if seconds > 0 else None,
        }
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps(state), encoding="utf-8")
        part.replace(self._path)
        self._told = now
