"""Getting MNIST onto the disk: by torchvision's download, or from a folder that has its files."""

import gzip
import shutil
import zlib
from pathlib import Path

from harness.data.locations import MNIST_FILES, mnist_folder
from harness.spec.errors import HarnessError
from harness.spec.files import atomic_open
from harness.torchvision_compat import import_torchvision


def download(root: Path) -> None:
    """Download MNIST with torchvision. Raises HarnessError where there is no network."""
    import_torchvision()
    from torchvision.datasets import MNIST

    try:
        MNIST(str(root), download=True)
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise HarnessError(
            f"MNIST cannot be downloaded ({reason}): 'harness data import mnist FOLDER' takes its files from a folder"
        ) from error


def import_files(source: Path, root: Path) -> None:
    """Copy MNIST's four files, packed or not, from anywhere below `source` into the layout below `root`.

    Raises HarnessError where one of them is missing or cannot be unpacked.
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
                shutil.copyfileobj(packed, plain)
        except (OSError, EOFError, zlib.error) as error:
            raise HarnessError(f"{path} cannot be copied to {folder}: {error}") from error
