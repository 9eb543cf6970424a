"""Checksums that are written with what they are of, so that a flipped bit is found before anything is read from it."""

import hashlib
import json
import lzma
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile, ZipFile, is_zipfile

from harness.base.errors import DamagedError
from harness.base.files import open_regular

_SEAL = "seal"  # the key under which a JSON text holds the SHA-256 of the rest


def seal(fields: Mapping[str, Any]) -> str:
    """Return fields as one JSON text with the checksum of its contents."""
    return json.dumps({**fields, _SEAL: _digest(fields)}, allow_nan=False)


def unseal(text: str, *, required: bool = True, checked: bool = True) -> dict[str, Any]:
    """Invert `seal`. Raises DamagedError for a text that is not what was written, or has no checksum if one must be.

    What an earlier version wrote has none. Not `checked` the checksum may be wrong.
    """
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"it is not JSON ({error})") from error
    if not isinstance(fields, dict):
        raise DamagedError("it is not a JSON object")
    sealed = fields.pop(_SEAL, None)
    if checked and sealed != _digest(fields) and (required or sealed is not None):
        raise DamagedError("its checksum is not that of its contents")
    return fields


def _digest(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, allow_nan=False).encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, read piece by piece; raises as `open_regular` does."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy_hashed(source: IO[bytes], target: IO[bytes]) -> tuple[str, int]:
    """Copy a file, and return the SHA-256 and the number of the bytes that were copied."""
    digest, size = hashlib.sha256(), 0
    while piece := source.read(1 << 20):
        target.write(piece)
        digest.update(piece)
        size += len(piece)
    return digest.hexdigest(), size


def crcs_hold(path: Path) -> bool:
    """Return whether a file, if it is a zip as torch and NumPy write them, has the contents that its CRCs are of.

    Raises as `open_regular` does.
    """
    with open_regular(path) as file:
        return not is_zipfile(file) or _crcs_hold(file)


def _crcs_hold(opened: IO[bytes]) -> bool:
    try:
        with ZipFile(opened) as file:
            without = not any(entry.CRC for entry in file.infolist())  # as torch leaves it to a person to write them
            return without or file.testzip() is None
    except RuntimeError:  # with a password, or packed in a way that Python does not know
        return True
    except (BadZipFile, ValueError, EOFError, OSError, zlib.error, lzma.LZMAError):
        return False
