"""The curve of an attempt: its points, in memory and in its folder, where each is written as it comes."""

import errno
import os
from pathlib import Path

from harness.attempt.checkpoints import CurveLength
from harness.attempt.messages import CURVE_FILE, Point, curve_line, flagged
from harness.base.files import atomic_write


class Curve:
    """The points of an attempt so far, in memory and in its folder."""

    def __init__(self, folder: Path, points: tuple[Point, ...] = ()) -> None:
        self._path = folder / CURVE_FILE
        self._durable = CurveLength()
        self.points = list(points)
        atomic_write(self._path, "".join(curve_line(point) for point in points))

    def add(self, split: str, name: str, step: int, value: float) -> None:
        """Add a point and write it; of one that a full disk cuts off nothing is left, so that the next may follow."""
        number, flag = flagged(value)
        point = Point(split, name, step, number, flag)
        line = curve_line(point).encode()
        with self._path.open("ab", buffering=0) as file:
            written = file.write(line)
            if written != len(line):
                file.truncate(file.tell() - written)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        self.points.append(point)

    def sync(self) -> CurveLength:
        """Make what was written durable, before a result or a checkpoint says that it is there; return how far it is.

        It is the file that counts: a child process may have written to it, too.
        """
        with self._path.open("rb+") as file:
            file.seek(self._durable.size)
            new = file.read()
            new = new[: new.rfind(b"\n") + 1]
            if new:
                os.fsync(file.fileno())
        self._durable = self._durable.with_more(new)
        return self._durable
