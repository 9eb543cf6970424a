"""What a figure is drawn from: the snapshot, and by attempt its curves and maps, read once each."""

import copy
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.attempt.messages import Sample, unflagged
from harness.store.artifacts import read_artifact
from harness.store.connection import Store
from harness.store.queries import artifacts, curve, samples, snapshot
from harness.store.records import AttemptRecord, Snapshot

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Series:
    """A metric while training: one value per step, steps rising; nan and infinities are kept."""

    steps: tuple[int, ...]
    values: tuple[float, ...]

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self.steps)


@dataclass(frozen=True)
class Maps:
    """Some images and a network's maps of them before its first fully connected layer."""

    images: Array  # (n, C, H, W), uint8
    maps: Array  # (n, C', H', W'), float64
    labels: Array  # (n,)


class Results:
    """An open store with what lies beside it. `sources` are the paths that it was opened from."""

    def __init__(self, store: Store, sources: Sequence[Path], found: Snapshot | None = None) -> None:
        self.snapshot = snapshot(store) if found is None else found
        self.store = store
        self._sources = tuple(sources)
        self._curves: dict[str, Mapping[tuple[str, str], Series]] = {}

    def of_study(self, study: str) -> "Results":
        """Return the same with those results alone that a study asks for (`Snapshot.of_study`)."""
        narrowed = copy.copy(self)
        narrowed.snapshot = self.snapshot.of_study(study)
        return narrowed

    def curves(self, uid: str) -> Mapping[tuple[str, str], Series]:
        """Return an attempt's curves by (split, name), in this order."""
        if uid not in self._curves:
            points: dict[tuple[str, str], list[tuple[int, float]]] = {}
            for point in curve(self.store, uid):
                value = unflagged(point.value, point.flag)
                points.setdefault((point.split, point.name), []).append((point.step, value))
            self._curves[uid] = {
                place: Series(tuple(step for step, _ in sorted(pairs)), tuple(value for _, value in sorted(pairs)))
                for place, pairs in sorted(points.items())
            }
        return self._curves[uid]

    def maps(self, attempt: AttemptRecord) -> Maps | None:
        """Return an attempt's maps; None if its task keeps none, or their file is not beside the results."""
        kept = self.kept(attempt)
        if not kept.keys() >= {"images", "maps", "labels"}:  # another task keeps other arrays
            return None
        return Maps(kept["images"], kept["maps"].astype(np.float64), kept["labels"])

    def kept(self, attempt: AttemptRecord) -> Mapping[str, Array]:
        """Return the arrays that an attempt's task kept for reports, by name.

        There are none if none are stored or their file is not beside the results.
        """
        stored = [artifact for artifact in artifacts(self.store, attempt.uid) if artifact.kind == "maps"]
        content = read_artifact(self._sources, attempt.uid, stored[0]) if stored else None
        if content is None:
            return {}
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return {name: file[name] for name in sorted(file.files)}

    def samples(self, uid: str) -> Sequence[Sample]:
        """Return an attempt's values by image, packed as they were stored."""
        return samples(self.store, uid)


def observed(results: Results, uid: str, name: str) -> tuple[str, Series] | None:
    """Return the densest curve of a metric that an attempt has on data that it did not train on, with its split."""
    found = [(len(s), split, s) for (split, n), s in results.curves(uid).items() if n == name and split != "train"]
    if not found:
        return None
    _, split, series = max(found, key=lambda item: (item[0], item[1]))
    return split, series
