"""An attempt as bytes, for machines that do not share the results' folder: its files by their paths below that folder.

To the machine go the request and what it names of the results: the attempt that it resumes from, the weights that it
evaluates, the copies of plug-ins. From there come the files of the attempt's own folder. `launch.launch_apart` is the
other end.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from harness.attempt.messages import LOCK_FILE, REQUEST_FILE, STOP_FILE
from harness.base.errors import DamagedError
from harness.base.files import atomic_write
from harness.base.sealed import seal, unseal

Files = dict[str, bytes]
KEPT = frozenset({REQUEST_FILE, LOCK_FILE, STOP_FILE})
"""Files of an attempt's folder that are the driver's own business: they never come back."""
_DATA = "data_root"


def parcel_of(results: Path, folder: Path) -> Files:
    """Return what the attempt in `folder` needs of the results, by paths below these.

    A request that cannot be read travels alone: the attempt says so.
    """
    found = files_below(folder, results)
    try:
        named = list(_named(json.loads((folder / REQUEST_FILE).read_bytes())))
    except (OSError, ValueError):
        return found
    for place in (Path(text) for text in named if Path(text).is_absolute()):
        if place != folder and results in place.parents:
            found |= files_below(place, results)
    return found


def files_below(place: Path, root: Path) -> Files:
    """Return a file, or all files of a folder, by their paths below `root`."""
    files = place.rglob("*") if place.is_dir() else [place]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files if _is_kept(path)}


def take_files(folder: Path, files: Mapping[str, bytes], *, final: bool = False) -> None:
    """Write what came of an attempt into its folder, each file whole; `final`: what is not among them goes.

    Raises ValueError for a path that leads out of the folder.
    """
    for name, content in files.items():
        parts = PurePosixPath(name).parts
        if ".." in parts or name.startswith("/"):
            raise ValueError(f"the path leads out of the attempt's folder: {name}")
        if name not in KEPT:
            atomic_write(folder.joinpath(*parts), content)
    if final:
        for path in sorted(folder.rglob("*"), reverse=True):
            name = path.relative_to(folder).as_posix()
            if path.is_dir():
                if not any(other.startswith(f"{name}/") for other in files):
                    shutil.rmtree(path, ignore_errors=True)
            elif name not in files and name not in KEPT:
                path.unlink(missing_ok=True)


def settle(folder: Path, root: str, here: str) -> None:
    """Let the request of an attempt name what of the driver's `root` lies `here`; one that is damaged stays so."""
    try:
        fields = unseal((folder / REQUEST_FILE).read_text(encoding="utf-8"))
    except (DamagedError, UnicodeDecodeError):
        return
    atomic_write(folder / REQUEST_FILE, seal(_moved(fields, root, here)))


def _moved(value: Any, root: str, here: str) -> Any:
    if isinstance(value, dict):
        return {key: _moved(inner, root, here) for key, inner in value.items()}
    if isinstance(value, list):
        return [_moved(inner, root, here) for inner in value]
    if not isinstance(value, str) or not value.startswith(f"{root}/"):
        return value
    place = here + value.removeprefix(root)
    return place if Path(place).exists() else value


def _is_kept(path: Path) -> bool:
    unwritten = path.name.startswith(".") and path.name.endswith(".tmp")
    return path.is_file() and "__pycache__" not in path.parts and not unwritten


def _named(value: Any) -> Iterator[str]:
    """Yield every text of a request but the folder of the data, which each machine has."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key != _DATA:
                yield from _named(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _named(inner)
    elif isinstance(value, str):
        yield value
