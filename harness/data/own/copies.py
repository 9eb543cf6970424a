"""Images that lie in two folders, found by the bytes of their files: left out of training, or refused.

`without: PATH` leaves every training image out whose file is also anywhere below PATH. Copies that were scaled or
compressed again have other bytes: `harness.data.overlap` looks for these.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.attempt.data import DatasetDeclaration
from harness.data.own.cache import keep_facts, kept_facts
from harness.data.own.listing import ImageFile, Listing, list_folder, list_images, state_of


def leave_out(listing: Listing, source: Mapping[str, Any]) -> Listing:
    """Return a listing whose training images are in none of the folders that `without` of its source names."""
    if "without" not in source or "train" not in listing.splits:
        return listing
    train = listing.splits["train"]
    others = {digest for path in source["without"] for digest in _digests(list_images(Path(path)))}
    copies = [file for file, digest in zip(train, _digests(train), strict=True) if digest in others]
    where = " and ".join(source["without"])
    note = f"left out: {len(copies)} training images that are also in {where}"
    if copies:
        note += f", the first {copies[0].path}"
    left = {file.path for file in copies}
    splits = {**listing.splits, "train": tuple(file for file in train if file.path not in left)}
    return replace(listing, splits=splits, notes=(*listing.notes, note))


def state_of_others(source: Mapping[str, Any]) -> str:
    """Return a hash that changes with the folders of `without`; "" if there are none."""
    return "".join(f" {state_of(list_images(Path(path)))}" for path in source.get("without", ()))


def copies(train: DatasetDeclaration, tested: DatasetDeclaration, root: Path) -> str | None:
    """Return in words which files a folder to test on shares with another one that is trained on; None for none.

    What was found is kept below the data root. Data that are not folders of files are not searched.
    """
    if not (_is_folder(train) and _is_folder(tested)) or train.source == tested.source:
        return None
    pair = {"copies": [train.splits["train"].fingerprint, tested.splits["test"].fingerprint]}
    known = kept_facts(pair, root, "")
    if known is None:
        trained = {digest: file.path for digest, file in _by_digest(train, "train").items()}
        both = [
            (file.path, trained[digest]) for digest, file in _by_digest(tested, "test").items() if digest in trained
        ]
        known = {"count": len(both), "first": [os.fspath(path) for path in min(both, default=())]}
        keep_facts(pair, root, "", known)
    if not known["count"]:
        return None
    of, first = tested.splits["test"].images, known["first"]
    path = (tested.source or {})["path"]
    return (
        f"{known['count']} of the {of} test images of '{tested.name}' are also training images of '{train.name}' (the "
        f"first: {first[0]} is {first[1]}): write 'without: {path}' into the dataset"
    )


def _is_folder(data: DatasetDeclaration) -> bool:
    return data.source is not None and data.source["kind"] == "folder" and Path(data.source["path"]).is_dir()


def _by_digest(data: DatasetDeclaration, split: str) -> dict[bytes, ImageFile]:
    """Return the files of a split by the hash of their bytes; of one that is made by `test: PART`, all files."""
    source = data.source or {}
    listing = list_folder(Path(source["path"]), "test" in source, "take", test_only=bool(source.get("test_only")))
    listing = leave_out(listing, source)
    files = listing.splits.get(split, listing.splits.get("train", ()))
    return dict(zip(_digests(files), files, strict=True))


def _digests(files: Sequence[ImageFile]) -> list[bytes]:
    """Return the SHA-256 of each file, of what cannot be read that of nothing but its path."""

    def one(file: ImageFile) -> bytes:
        try:
            with file.path.open("rb") as opened:
                return hashlib.file_digest(opened, "sha256").digest()
        except OSError:
            return hashlib.sha256(os.fsencode(file.path)).digest()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, files))
