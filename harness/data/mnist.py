"""MNIST, read by torchvision from its own layout: ROOT/MNIST/raw/*-ubyte."""

from pathlib import Path

import numpy as np

from harness.data.dataset import Arrays
from harness.data.locations import mnist_folder, require
from harness.torchvision_compat import import_torchvision
from harness.trial.datasets import MNIST


def load(root: Path) -> dict[str, Arrays]:
    """Return the splits `train` and `test`: images uint8 (N, 1, 28, 28), labels int64 (N,)."""
    require(MNIST, root)
    import_torchvision()
    from torchvision.datasets.mnist import read_image_file, read_label_file

    folder = mnist_folder(root)
    splits = {}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images = read_image_file(str(folder / f"{prefix}-images-idx3-ubyte")).numpy()
        labels = read_label_file(str(folder / f"{prefix}-labels-idx1-ubyte")).numpy()
        splits[split] = Arrays(images[:, None], labels.astype(np.int64))
    return splits
