"""What was read of own data is kept below the data root, so that it is not read again each time.

Two files a source (a path with its options): KEY.json, by which a study is checked and planned without decoding, and
for folders KEY.npz, the decoded images, so that not every worker decodes them again. Both hold the state of the files
that they were made of (paths, sizes, times of writing), and count for that state alone. They may be deleted at any
time.
"""

import hashlib
import json
import logging
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import __version__ as pillow

from harness.base.files import atomic_open, atomic_write
from harness.base.keys import canonical_json
from harness.data.dataset import Arrays, Hashed
from harness.data.locations import own_cache
from harness.plugins.digests import code_digest

_READERS = (
    "harness.data.own.folder",
    "harness.data.own.scaled",
    "harness.data.own.arrays",
    "harness.data.own.declare",
    "harness.data.photographs",
)
DAMAGED = (OSError, EOFError, ValueError, KeyError, TypeError, MemoryError, zlib.error, zipfile.BadZipFile)
_SPLITS = ("train", "test")

_log = logging.getLogger(__name__)


def keep_facts(source: Mapping[str, Any], root: Path, state: str, facts: Mapping[str, Any]) -> None:
    """Keep what a declaration is made of: plain data."""
    text = json.dumps({"source": dict(source), "state": state, "facts": facts}, indent=1)
    try:
        atomic_write(place_of(source, root, ".json"), text)
    except OSError as error:
        warn(root, error)


def kept_facts(source: Mapping[str, Any], root: Path, state: str) -> Any:
    """Return what was kept for this state of the files, or None."""
    try:
        kept = json.loads(place_of(source, root, ".json").read_text(encoding="utf-8"))
        return kept["facts"] if kept["state"] == state else None
    except DAMAGED:
        return None


def keep_images(source: Mapping[str, Any], root: Path, state: str, splits: Mapping[str, Hashed]) -> None:
    """Keep the decoded images with their labels and hashes."""
    arrays: dict[str, NDArray[Any]] = {"state": np.array(state)}
    for split in _SPLITS:
        images = splits[split].arrays
        hashes = np.frombuffer(b"".join(splits[split].hashes), np.uint8).reshape(len(images), -1)
        arrays |= {f"{split}_images": images.images, f"{split}_labels": images.labels, f"{split}_hashes": hashes}
    try:
        with atomic_open(place_of(source, root, ".npz")) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy declares allow_pickle only
    except OSError as error:
        warn(root, error)


def kept_images(source: Mapping[str, Any], root: Path, state: str) -> dict[str, Hashed] | None:
    """Return the images that were kept for this state of the files, or None, also if the file is damaged."""
    try:
        with np.load(place_of(source, root, ".npz"), allow_pickle=False) as arrays:
            if str(arrays["state"]) != state:
                return None
            return {split: _split(arrays, split) for split in _SPLITS}
    except DAMAGED:
        return None


def _split(arrays: Mapping[str, NDArray[Any]], split: str) -> Hashed:
    images = Arrays(arrays[f"{split}_images"], arrays[f"{split}_labels"])
    return Hashed(images, [row.tobytes() for row in arrays[f"{split}_hashes"]])


def place_of(source: Mapping[str, Any], root: Path, suffix: str) -> Path:
    """Return the cached file of a source as our code and this version of Pillow read it."""
    text = f"{canonical_json(source)} {code_digest(_READERS)} {pillow}"
    return own_cache(root) / f"{hashlib.sha256(text.encode(errors='surrogateescape')).hexdigest()[:32]}{suffix}"


def warn(root: Path, error: OSError) -> None:
    """Tell that nothing can be cached."""
    _log.warning("%s cannot be written (%s): own data are read again each time", own_cache(root), error.strerror)
