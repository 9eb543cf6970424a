"""A dataset in canonical order, checked against its declaration; no torch here, arrays only."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.data.fingerprint import canonical, fingerprint
from harness.spec.attempt import DatasetSplit
from harness.spec.datasets import DATASETS, DatasetDeclaration, validation_size
from harness.spec.errors import HarnessError


@dataclass(frozen=True)
class Arrays:
    """Images uint8 (N, C, H, W) and labels int64 (N,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __getitem__(self, part: slice) -> "Arrays":
        return Arrays(self.images[part], self.labels[part])

    def __len__(self) -> int:
        return len(self.labels)


def load_dataset(name: str, root: Path) -> Mapping[str, Arrays]:
    """Return a dataset's splits in canonical order: train, validation (the first of train), rest, test.

    Raises HarnessError where the files are missing, or where they are not the data that the name stands for.
    """
    declaration = DATASETS[name]
    splits, measured = read_splits(declaration, root)
    for split, found in measured.items():
        pinned = declaration.splits[split]
        if found != pinned:
            raise HarnessError(
                f"{root} does not hold '{name}' as declared: the {split} split has fingerprint {found.fingerprint} of "
                f"{found.images} images, expected {pinned.fingerprint} of {pinned.images}"
            )
    return splits


def read_splits(declaration: DatasetDeclaration, root: Path) -> tuple[dict[str, Arrays], dict[str, DatasetSplit]]:
    """Return the splits in canonical order, and what they are by contents."""
    module, _, function = declaration.code.partition(":")
    raw: Mapping[str, Arrays] = getattr(importlib.import_module(module), function)(root)
    splits: dict[str, Arrays] = {}
    measured: dict[str, DatasetSplit] = {}

    def add(split: str, arrays: Arrays, hashes: list[bytes]) -> None:
        splits[split] = arrays
        measured[split] = DatasetSplit(
            declaration.name, split, fingerprint(hashes), len(arrays), int(arrays.images.nbytes)
        )

    for split in ("train", "test"):
        images, labels, hashes = canonical(raw[split].images, raw[split].labels)
        add(split, Arrays(images, labels), hashes)
        if split == "train":
            kept_out = validation_size(len(labels))
            add("validation", splits["train"][:kept_out], hashes[:kept_out])
            splits["rest"] = splits["train"][kept_out:]
    return splits, measured
