"""What own data are by contents: the declaration by which a study is checked, planned and costed, from what was read.

`harness.trial.own_data` calls this by name, since what is declared there is all that it may know of data.
"""

import importlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.attempt.data import DatasetDeclaration, DatasetSplit
from harness.base.checks import FieldError
from harness.base.errors import HarnessError
from harness.data.dataset import arrange
from harness.data.locations import data_root
from harness.data.own import scaled
from harness.data.own.cache import keep_facts, keep_images, kept_facts
from harness.data.own.contents import Contents, Pair, Unread, check_contents

_READERS = {"folder": "harness.data.own.folder", "arrays": "harness.data.own.arrays"}
_SCALED = "harness.data.own.scaled"
_FUNCTION = "harness.data.own.function"

_log = logging.getLogger(__name__)


def declare(name: str, source: Mapping[str, Any]) -> DatasetDeclaration:
    """Return the declaration of a source: its contents are read if they are not known for this state of its files.

    What was left out is told. Raises FieldError, by the option that it is about, if nobody could train on it.
    """
    facts = facts_of(source, data_root())
    for line in left_out(facts):
        _log.warning("%s: %s", name, line)
    return DatasetDeclaration(
        name=name,
        description=f"own data, {source['kind']} {source.get('path', '')}".rstrip(),
        input_shape=tuple(facts["input_shape"]),
        classes=len(facts["class_names"]),
        splits={split: DatasetSplit(name, split, **one) for split, one in facts["splits"].items()},
        code=f"{reader_of(source)}:load",
        source=source,
        normalization=_pair(facts["normalization"]),
        class_names=tuple(facts["class_names"]),
    )


def facts_of(source: Mapping[str, Any], root: Path) -> Mapping[str, Any]:
    """Return what is known of a source by its contents: plain data. They are read if no file's state tells."""
    if is_kept_whole(source):
        return scaled.facts_of(source, root)
    unread: Unread = importlib.import_module(reader_of(source)).look(source)
    if unread.state is not None:
        kept = kept_facts(source, root, unread.state)
        if kept is not None:
            return kept  # type: ignore[no-any-return]  # JSON, as it was kept
    return _read(source, root, unread)


def read_facts(source: Mapping[str, Any], root: Path) -> Mapping[str, Any]:
    """Return the same as `facts_of`, read again, whatever was kept."""
    if is_kept_whole(source):
        return scaled.read_facts(source, root)
    return _read(source, root, importlib.import_module(reader_of(source)).look(source))


def left_out(facts: Mapping[str, Any]) -> list[str]:
    """Return in words what of the files is not among the images."""
    corrupt = facts["corrupt"]
    count = "1 image is" if len(corrupt) == 1 else f"{len(corrupt)} images are"
    told = [f"{count} corrupt and left out, the first {corrupt[0]}"] if corrupt else []
    return [*told, *facts["notes"]]


def is_kept_whole(source: Mapping[str, Any]) -> bool:
    """Return whether images are scaled but not cropped, so that training may draw crops."""
    return "short_side" in source


def _pair(values: Any) -> Pair | None:
    return None if values is None else (tuple(values[0]), tuple(values[1]))


def reader_of(source: Mapping[str, Any]) -> str:
    """Return the module that reads a source."""
    if is_kept_whole(source):
        return _SCALED
    return _READERS.get(source["kind"], _FUNCTION)


def _read(source: Mapping[str, Any], root: Path, unread: Unread) -> Mapping[str, Any]:
    path = ("path",) if "path" in source else ("kind",)
    try:
        contents = unread.read()
    except MemoryError:
        raise FieldError(path, f"{source.get('path', source['kind'])}: there is not enough memory to read it") from None
    try:
        check_contents(contents, source.get("path", f"'{source['kind']}'"))
    except HarnessError as error:
        raise FieldError(path, str(error)) from None
    facts = _facts(contents)
    if unread.state is not None:
        if unread.cacheable:
            keep_images(source, root, unread.state, contents.splits)
        keep_facts(source, root, unread.state, facts)
    return facts


def _facts(contents: Contents) -> dict[str, Any]:
    _, measured = arrange("", contents.splits)
    return {
        "input_shape": list(contents.shape),
        "class_names": list(contents.classes),
        "splits": {
            split: {"fingerprint": one.fingerprint, "images": one.images, "bytes": one.bytes}
            for split, one in measured.items()
        },
        "normalization": [list(values) for values in contents.normalization()],
        "corrupt": list(contents.corrupt),
        "notes": list(contents.notes),
    }
