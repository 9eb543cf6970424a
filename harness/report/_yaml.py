"""Files that people write (tables, claims): read, checked, and refused in one line with file and line."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from harness.base.checks import FieldError, validate
from harness.base.source import read_source

M = TypeVar("M", bound=BaseModel)


class Part(BaseModel):
    """What every part of such a file has: no unknown keys, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def load(path: Path, model: type[M], check: Callable[[M], None]) -> M:
    """Return the file as `model`, after `check`, which raises FieldError for what no single field shows.

    Raises SpecError (one line: file, line, what is wrong) for a file that is missing, is no YAML, or does
    not fit.
    """
    source = read_source(path)
    try:
        loaded = validate(model, source.data)
        check(loaded)
    except FieldError as error:
        raise source.error(error.path, error.message) from None
    return loaded
