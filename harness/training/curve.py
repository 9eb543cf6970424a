"""The curve of an attempt: its points, in memory and in its folder, where each is written as it comes."""

import json
import os
from dataclasses import asdict
from pathlib import Path

from harness.spec.attempt import CURVE_FILE, Point, flagged
from harness.spec.files import atomic_write


class Curve:
    """The points of an attempt so far, in memory and in its folder."""

    def __init__(self, folder: Path, points: tuple[Point, ...] = ()) -> None:
        self._path = folder / CURVE_FILE
        self.points = list(points)
        atomic_write(self._path, "".join(_line(point) for point in points))

    def add(self, split: str, name: str, step: int, value: float) -> None:
        """Add a point and write it."""
        number, flag = flagged(value)
        point = Point(split, name, step, number, flag)
        self.points.append(point)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line(point))

    def sync(self) -> None:
        """Make what was written durable, before a result says that it is there."""
        with self._path.open("rb+") as file:
            os.fsync(file.fileno())


def _line(point: Point) -> str:
    return json.dumps(asdict(point), allow_nan=False) + "\n"
