"""Keys: the hash of a resolved configuration, by which a trial or an evaluation is the same wherever it was done.

The canonical form is JSON with sorted keys and no white space. A number is what it is as a JSON number (1e-4 and 0.0001
are equal, 1 and 1.0 are made equal by the declared type of their field before they come here).
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

KEY_SCHEME = 1
"""Raised when a released default or the meaning of a field changes, so that old keys stay recognisable."""

STUDY_NAME, LONGEST_STUDY_NAME = r"^[a-z0-9][a-z0-9_-]*$", 200
"""By its name a study is known: one that may also be a file's, on every system."""

_KEY_DIGITS = 32  # 128 bits of SHA-256


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value. Raises ValueError for NaN and infinities, which JSON does not have."""
    return _CANONICAL.encode(value)


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def trial_key(config: Mapping[str, Any]) -> str:
    """Return the key of a trial's resolved configuration: 32 hexadecimal digits."""
    return _hash("trial", config)


def evaluation_key(data: str, condition: Mapping[str, Any]) -> str:
    """Return the key of an evaluation on the split with fingerprint `data` under `condition`."""
    return _hash("evaluation", {"data": data, "condition": condition})


def text_sha(text: str) -> str:
    """Return the SHA-256 of a text's UTF-8 bytes, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def _hash(what: str, value: Mapping[str, Any]) -> str:
    text = f"{what}/{KEY_SCHEME}/{canonical_json(value)}"
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]
