"""scikit-learn's handwritten digits, enlarged to MNIST's shape: the embedded stand-in that needs no download.

1,797 images of 8×8 pixels in 0…16. Integers throughout: pixel·255//16, each pixel repeated 3×3, padded by 2 to 28×28.
Of each class the first fifth in canonical order is the test split.
"""

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from harness.data.dataset import Arrays
from harness.data.fingerprint import canonical

_FILE = Path("datasets", "data", "digits.csv.gz")  # of scikit-learn


def load(_root: Path) -> dict[str, Arrays]:
    """Return the splits `train` and `test`: images uint8 (N, 1, 28, 28), labels int64 (N,)."""
    table = _table()  # (1797, 65)
    pixels = table[:, :-1].reshape(-1, 8, 8) * 255 // 16  # (1797, 8, 8)
    large = pixels.repeat(3, axis=1).repeat(3, axis=2)  # (1797, 24, 24)
    padded = np.pad(large, ((0, 0), (2, 2), (2, 2))).astype(np.uint8)
    images, labels, _ = canonical(padded[:, None], table[:, -1])
    is_test = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        members = np.flatnonzero(labels == label)
        is_test[members[: len(members) // 5]] = True
    return {
        "train": Arrays(images[~is_test], labels[~is_test]),
        "test": Arrays(images[is_test], labels[is_test]),
    }


def _table() -> "np.ndarray[tuple[int, int], np.dtype[np.int64]]":
    """Return 64 pixels and a label a row, read from scikit-learn's file: importing it takes a worker two seconds."""
    found = find_spec("sklearn")
    (folder, *_) = (found.submodule_search_locations if found else None) or ("",)
    with gzip.open(Path(folder) / _FILE, "rt", encoding="ascii") as lines:
        return np.loadtxt(lines, delimiter=",").astype(np.int64)
