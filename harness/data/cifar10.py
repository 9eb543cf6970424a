"""CIFAR-10: 60,000 colour images of 32×32 pixels in ten classes, in whatever layout they came.

Read, in this order, from ROOT/cifar10.npz (decoded before), ROOT/cifar-10-batches-py (torchvision's download), and
ROOT/cifar10/{train,test}/CLASS/NAME.png. What had to be decoded is kept in the first form for the next time. Whichever
way the images came, they are the same data in the same canonical order (`harness.data.dataset`).
"""

import logging
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.base.errors import HarnessError
from harness.base.files import atomic_open
from harness.data.class_folders import SPLITS, find_class_folders, read_class_folders
from harness.data.dataset import Arrays
from harness.data.fingerprint import fingerprint, image_hashes
from harness.data.locations import CIFAR10_BATCHES, cifar10_decoded, cifar10_folder, require
from harness.torchvision_compat import import_torchvision
from harness.trial.datasets import CIFAR10, DATASETS

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SHAPE = (3, 32, 32)

_log = logging.getLogger(__name__)


def load(root: Path) -> dict[str, Arrays]:
    """Return the splits `train` and `test`: images uint8 (N, 3, 32, 32), labels int64 (N,)."""
    require(CIFAR10, root)
    decoded = cifar10_decoded(root)
    if decoded.is_file():
        return _read_decoded(decoded)
    splits = read_any(root / CIFAR10_BATCHES) or read_any(cifar10_folder(root))
    if splits is None:
        raise HarnessError(f"there are no batches and no class folders of CIFAR-10 below {root}")
    if not _as_declared(splits):
        return splits  # for the caller to refuse; nothing wrong is kept
    try:
        keep(splits, root)
    except OSError as error:
        _log.warning("%s cannot be written (%s): the images are decoded again each time", decoded, error.strerror)
    return splits


def _as_declared(splits: Mapping[str, Arrays]) -> bool:
    return all(
        fingerprint(image_hashes(splits[name].images, splits[name].labels))
        == DATASETS["cifar10"].splits[name].fingerprint
        for name in SPLITS
    )


def read_any(source: Path) -> dict[str, Arrays] | None:
    """Return the splits from batches or class folders at or below `source`, or None if there are neither."""
    if not source.is_dir():
        return None
    batches = sorted(path.parent for path in source.rglob("data_batch_1") if path.is_file())
    if batches:
        return _read_batches(batches[0])
    folder = find_class_folders(source, CLASSES)
    return None if folder is None else read_class_folders(folder, CLASSES, SHAPE)


def keep(splits: Mapping[str, Arrays], root: Path) -> None:
    """Write the decoded splits to ROOT/cifar10.npz, whole. Raises OSError if that cannot be written."""
    arrays: dict[str, NDArray[Any]] = {}
    for split in SPLITS:
        arrays |= {f"{split}_images": splits[split].images, f"{split}_labels": splits[split].labels}
    with atomic_open(cifar10_decoded(root)) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy declares allow_pickle only


def _read_decoded(path: Path) -> dict[str, Arrays]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {split: Arrays(arrays[f"{split}_images"], arrays[f"{split}_labels"]) for split in SPLITS}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise HarnessError(f"{path} is damaged ({error}): delete it, and import CIFAR-10 again") from error


def _read_batches(folder: Path) -> dict[str, Arrays]:
    """Read the five training batches and the test batch of the original download, which are checked by their MD5."""
    import_torchvision()
    from torchvision.datasets import CIFAR10

    class Batches(CIFAR10):  # type: ignore[misc]
        base_folder = folder.name

    splits = {}
    for split in SPLITS:
        try:
            batch = Batches(str(folder.parent), train=split == "train")
        except RuntimeError as error:
            raise HarnessError(f"{folder} does not hold the original batches of CIFAR-10: {error}") from error
        images = np.ascontiguousarray(batch.data.transpose(0, 3, 1, 2))
        splits[split] = Arrays(images, np.array(batch.targets, dtype=np.int64))
    return splits
