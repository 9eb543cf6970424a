"""Files that people write (tables, claims): read, checked, and refused in one line with file and line."""

import stat
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ConfigDict

from harness.base.checks import FieldError, validate
from harness.base.source import read_source

M = TypeVar("M", bound=BaseModel)


class Part(BaseModel):
    """What every part of such a file has: no unknown keys, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def load(path: Path, model: type[M], check: Callable[[M], None]) -> M:
    """Return the file as `model`, after `check`, which raises FieldError for what no single field shows.

    A process reads a file once, until it changes: parsing is what takes long.

    Raises SpecError (one line: file, line, what is wrong) for a file that is missing, is not YAML, or does
    not fit.
    """
    try:
        found = path.stat()
    except (OSError, ValueError):  # which reading it tells in words
        return _load(path, model, check)
    if not stat.S_ISREG(found.st_mode):
        return _load(path, model, check)
    version = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return cast("M", _load_once(path, model, check, version))


def _load(path: Path, model: type[M], check: Callable[[M], None]) -> M:
    source = read_source(path)
    try:
        loaded = validate(model, source.data)
        check(loaded)
    except FieldError as error:
        raise source.error(error.path, error.message) from None
    return loaded


@lru_cache(maxsize=256)
def _load_once(
    path: Path, model: type[BaseModel], check: Callable[[Any], None], _version: tuple[int, ...]
) -> BaseModel:
    return _load(path, model, check)
