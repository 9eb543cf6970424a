"""Where data lie: one folder for all, in torchvision's layouts. No torch is imported here."""

import os
from pathlib import Path

from harness.attempt.data import DatasetDeclaration
from harness.base.errors import HarnessError
from harness.base.extras import needs

MNIST_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def data_root() -> Path:
    """Return $HARNESS_DATA, or `~/.cache/harness/data` (below $XDG_CACHE_HOME if that is set)."""
    named = os.environ.get("HARNESS_DATA")
    if named:
        return Path(named).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "harness" / "data"


def mnist_folder(root: Path) -> Path:
    """Return where MNIST's four files lie below `root`, as torchvision lays them out."""
    return root / "MNIST" / "raw"


CIFAR10_BATCHES = "cifar-10-batches-py"  # torchvision's name
CIFAR10_FILES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")


def cifar10_folder(root: Path) -> Path:
    """Return where class folders of CIFAR-10 lie below `root`: train/CLASS/NAME.png and test/CLASS/NAME.png."""
    return root / "cifar10"


def cifar10_decoded(root: Path) -> Path:
    """Return where CIFAR-10 is kept once it is decoded."""
    return root / "cifar10.npz"


PHOTOGRAPHS = {
    "bsd500": ("BSDS500",),
    "bsd432": ("BSDS500", "CBSD68"),
    "bsd432-grey": ("BSDS500", "CBSD68"),
    "bsd200": ("BSDS500/test",),
    "cbsd68": ("CBSD68",),
    "bsd68": ("CBSD68",),
    "kodak24": ("Kodak24",),
}
"""The folders below the data root that a set of photographs lies in, by the set's name."""


def own_cache(root: Path) -> Path:
    """Return where is kept what was read of a person's own data; it may be deleted at any time."""
    return root / "own"


def is_present(dataset: str, root: Path) -> bool:
    """Return whether the files of one of our datasets are there; embedded data always are."""
    if dataset == "mnist":
        return all((mnist_folder(root) / name).is_file() for name in MNIST_FILES)
    if dataset == "cifar10":
        batches = (root / CIFAR10_BATCHES / name for name in CIFAR10_FILES)
        folders = (cifar10_folder(root) / split for split in ("train", "test"))
        found = cifar10_decoded(root).is_file() or all(file.is_file() for file in batches)
        return found or all(folder.is_dir() for folder in folders)
    return all((root / folder).is_dir() for folder in PHOTOGRAPHS.get(dataset, ()))


_READ_BY = {"digits": ("sklearn",), "mnist": ("torchvision",), "sample-photos": ("sklearn", "matplotlib")}
"""The libraries without which a dataset of ours cannot be read."""


def require(declaration: DatasetDeclaration, root: Path) -> None:
    """Raise HarnessError, saying what to do, if a dataset's files, or what reads them, are not there."""
    name = declaration.files_of
    needs(*_READ_BY.get(name, ()))
    if name in PHOTOGRAPHS and declaration.source is None and not is_present(name, root):
        folders = " and ".join(str(root / folder) for folder in PHOTOGRAPHS[name])
        raise HarnessError(
            f"the dataset '{name}' is not under {root}: put its images into {folders}, or name another place by "
            "HARNESS_DATA"
        )
    if declaration.source is None and not is_present(name, root):
        raise HarnessError(
            f"the dataset '{name}' is not under {root}: 'harness data get {name}' downloads it, "
            f"'harness data import {name} FOLDER' takes it from a folder, HARNESS_DATA names another place"
        )
    path = (declaration.source or {}).get("path")
    if path is not None and not Path(path).exists():
        raise HarnessError(f"the dataset '{name}' is not at {path} any more")
