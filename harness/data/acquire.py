"""Getting datasets onto the disk: by torchvision's download, or from a folder or an archive that has their files."""

import gzip
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO, TypeVar

from harness.base.errors import HarnessError
from harness.base.files import atomic_open
from harness.data import cifar10
from harness.data.dataset import check, read_splits
from harness.data.locations import MNIST_FILES, PHOTOGRAPHS, cifar10_decoded, mnist_folder, require
from harness.torchvision_compat import import_torchvision
from harness.trial.datasets import DATASETS

_CLASSES = {"mnist": "MNIST", "cifar10": "CIFAR10"}  # torchvision's
_UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile, RuntimeError)
_MOST_BYTES = 4 * 2**30  # of an archive, unpacked
_MOST_OF_A_FILE = 64 * 2**20  # of MNIST's four, the largest of which has 47 MB
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")

Member = TypeVar("Member", zipfile.ZipInfo, tarfile.TarInfo)


def download(name: str, root: Path) -> None:
    """Download a dataset with torchvision. Raises HarnessError if there is no network."""
    if name not in _CLASSES:
        require(DATASETS[name], root)  # its error says where to put the files
    import_torchvision()
    from torchvision import datasets

    try:
        getattr(datasets, _CLASSES[name])(str(root), download=True)
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise HarnessError(
            f"{name} cannot be downloaded ({reason}): 'harness data import {name} FOLDER' takes its files from a folder"
        ) from error


def import_dataset(name: str, source: Path, root: Path) -> None:
    """Take a dataset from a folder, or an archive of one, into its layout below `root`.

    Raises HarnessError if the files are missing, cannot be read, or are other data than the name stands for.
    """
    if name not in _CLASSES:
        require(DATASETS[name], root)
        where = "is here" if name in PHOTOGRAPHS else "comes with the harness"
        raise HarnessError(f"the dataset '{name}' {where}: there is nothing to import")
    with _opened(source) as folder:
        (import_mnist if name == "mnist" else import_cifar10)(folder, root)


@contextmanager
def _opened(source: Path) -> Iterator[Path]:
    """Yield a folder, or what an archive holds, unpacked for as long as the block lasts."""
    if source.is_dir():
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="harness-import-") as made:
        folder = Path(made)
        try:
            if zipfile.is_zipfile(source):
                with zipfile.ZipFile(source) as zipped:
                    for info in _bounded(zipped.infolist(), lambda info: info.file_size):
                        zipped.extract(info, folder)  # members that lead out of the folder are put into it
            elif tarfile.is_tarfile(source):
                with tarfile.open(source) as tarred:
                    for member in _bounded(tarred, lambda member: member.size):
                        tarred.extract(member, folder, filter="data")
            else:
                raise HarnessError(f"{source} is neither a folder nor an archive ({', '.join(ARCHIVES)})")
        except _UNREADABLE as error:
            raise HarnessError(f"{source} cannot be unpacked: {error}") from error
        yield folder


def _bounded(members: Iterable[Member], size: Callable[[Member], int]) -> Iterator[Member]:
    """Yield an archive's members while all that they claim is no more than any of these datasets has.

    Raises OSError for the member that is too much, before it is unpacked: an archive of a few kilobytes fills a disk.
    """
    total = 0
    for member in members:
        total += size(member)
        if total > _MOST_BYTES:
            raise OSError(f"it holds more than {_MOST_BYTES // 2**30} GiB")
        yield member


def import_cifar10(source: Path, root: Path) -> None:
    """Decode CIFAR-10 from batches or class folders at or below `source`, check it, and keep it below `root`.

    Raises HarnessError if there is neither, or if the images are not CIFAR-10's; nothing is kept then.
    """
    splits = cifar10.read_any(source)
    if splits is None:
        folders = "{train,test}/{airplane, …}"
        raise HarnessError(f"there are no batches ('data_batch_1', …) and no class folders ({folders}) below {source}")
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="import-", dir=root) as made:
        cifar10.keep(splits, Path(made))
        _, measured = read_splits(DATASETS["cifar10"], Path(made))
        check(DATASETS["cifar10"], measured, source)
        cifar10_decoded(Path(made)).replace(cifar10_decoded(root))


def import_mnist(source: Path, root: Path) -> None:
    """Copy MNIST's four files, packed or not, from anywhere below `source` into the layout below `root`.

    Raises HarnessError if one of them is missing or cannot be unpacked.
    """
    found: dict[str, Path] = {}
    for name in MNIST_FILES:
        spellings = (name, f"{name}.gz", name.replace("-idx", ".idx"), f"{name.replace('-idx', '.idx')}.gz")
        matches = [path for spelling in spellings for path in sorted(source.rglob(spelling)) if path.is_file()]
        if not matches:
            raise HarnessError(f"there is no '{name}' (or .gz) below {source}")
        found[name] = matches[0]
    folder = mnist_folder(root)
    for name, path in found.items():
        try:
            with (
                (gzip.open if path.suffix == ".gz" else open)(path, "rb") as packed,
                atomic_open(folder / name) as plain,
            ):
                _copy(packed, plain)
        except (OSError, EOFError, zlib.error) as error:
            raise HarnessError(f"{path} cannot be copied to {folder}: {error}") from error


def _copy(packed: gzip.GzipFile | BufferedReader, plain: IO[bytes]) -> None:
    """Copy a file of MNIST. Raises OSError if it is larger than any of them, packed as it may be."""
    data = packed.read(_MOST_OF_A_FILE + 1)
    if len(data) > _MOST_OF_A_FILE:
        raise OSError(f"it has more than {_MOST_OF_A_FILE // 2**20} MiB")
    plain.write(data)
