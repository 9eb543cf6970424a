"""A dataset in canonical order, checked against its declaration; no torch here, arrays only."""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.attempt.data import DatasetDeclaration, DatasetSplit
from harness.base.errors import HarnessError
from harness.data.fingerprint import fingerprint, image_hashes
from harness.trial.datasets import first_fingerprint, validation_size


@dataclass(frozen=True)
class Arrays:
    """Images uint8 (N, C, H, W) and labels int64 (N,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __getitem__(self, part: slice) -> "Arrays":
        return Arrays(self.images[part], self.labels[part])

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Hashed:
    """Images with the hash of each, by which they are ordered and known."""

    arrays: Arrays
    hashes: list[bytes]

    @classmethod
    def of(cls, arrays: Arrays) -> "Hashed":
        """Return images with the hashes of their pixels."""
        return cls(arrays, image_hashes(arrays.images, arrays.labels))

    def part(self, index: Sequence[int]) -> "Hashed":
        """Return the images at `index`."""
        if list(index) == list(range(len(self.hashes))):
            return self
        chosen = np.asarray(index, dtype=np.int64)
        return Hashed(
            Arrays(self.arrays.images[chosen], self.arrays.labels[chosen]), [self.hashes[i] for i in chosen.tolist()]
        )

    def in_order(self) -> "Hashed":
        """Return the images in canonical order."""
        return self.part(sorted(range(len(self.hashes)), key=self.hashes.__getitem__))


def load_dataset(declaration: DatasetDeclaration, root: Path) -> Mapping[str, Arrays]:
    """Return a dataset's splits in canonical order: train, validation (the first of train), rest, test.

    `root` is where data lie (`harness.data.locations`). Raises HarnessError if the files are missing, or if they
    are not the data that were declared.
    """
    if declaration.source is not None and "short_side" in declaration.source:
        raise HarnessError(f"'{declaration.name}' has 'short_side', which is for classification: leave it out")
    splits, measured = read_splits(declaration, root)
    if declaration.part_of is not None:
        splits = {split: splits[split][: part.images] for split, part in declaration.splits.items()}
        measured = of_the_first(declaration, measured)
    place = root if declaration.source is None else declaration.source.get("path", declaration.source["kind"])
    check(declaration, measured, place)
    return splits


def of_the_first(part: DatasetDeclaration, whole: Mapping[str, DatasetSplit]) -> dict[str, DatasetSplit]:
    """Return what the first images are by contents that a part of a dataset declares, from what all of it is."""
    return {
        split: replace(
            whole[split],
            fingerprint=first_fingerprint(whole[split].fingerprint, declared.images),
            images=declared.images,
            bytes=whole[split].bytes // whole[split].images * declared.images,
        )
        for split, declared in part.splits.items()
    }


def check(declaration: DatasetDeclaration, measured: Mapping[str, DatasetSplit], place: object) -> None:
    """Raise HarnessError if data read from `place` are, by contents, not those that were declared."""
    for split, found in measured.items():
        pinned = declaration.splits[split]
        if found != pinned:
            todo = (
                "" if declaration.source is None else ": they have changed since this was planned; run the study again"
            )
            raise HarnessError(
                f"{place} does not hold '{declaration.name}' as declared: its {split} split has fingerprint "
                f"{found.fingerprint} of {found.images} images, expected {pinned.fingerprint} of {pinned.images}{todo}"
            )


def read_splits(declaration: DatasetDeclaration, root: Path) -> tuple[dict[str, Arrays], dict[str, DatasetSplit]]:
    """Return the splits in canonical order, and what they are by contents.

    What reads our own data is a function of `root`, and gives arrays; what reads a person's is one of their source and
    of `root`, and gives each image's hash too.
    """
    module, _, function = declaration.code.partition(":")
    read = getattr(importlib.import_module(module), function)
    if declaration.source is None:
        raw: Mapping[str, Hashed] = {split: Hashed.of(arrays) for split, arrays in read(root).items()}
    else:
        raw = read(declaration.source, root)
    return arrange(declaration.name, raw)


def arrange(name: str, raw: Mapping[str, Hashed]) -> tuple[dict[str, Arrays], dict[str, DatasetSplit]]:
    """Return the splits of `train` and `test` in canonical order, and what they are by contents."""
    splits: dict[str, Arrays] = {}
    measured: dict[str, DatasetSplit] = {}

    def add(split: str, arrays: Arrays, hashes: list[bytes]) -> None:
        splits[split] = arrays
        measured[split] = DatasetSplit(name, split, fingerprint(hashes), len(arrays), int(arrays.images.nbytes))

    for split in ("train", "test"):
        ordered = raw[split].in_order()
        add(split, ordered.arrays, ordered.hashes)
        if split == "train":
            kept_out = validation_size(len(ordered.arrays))
            add("validation", splits["train"][:kept_out], ordered.hashes[:kept_out])
            splits["rest"] = splits["train"][kept_out:]
    return splits, measured
