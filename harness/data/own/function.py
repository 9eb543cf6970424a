"""Data that a person's own function gives, `module:function` or an entry point of another package.

It is called with the options of the study and returns {"train": (images, labels), "test": (images, labels)}, and where
it likes "classes" (names by label) and "layout" (nchw or nhwc). Whoever plans calls it: nobody else can tell whether
what it gives has changed.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from harness.base.checks import FieldError
from harness.base.errors import HarnessError, did_you_mean
from harness.data.dataset import Hashed
from harness.data.own.contents import Contents, Unread
from harness.data.own.pixels import LAYOUTS, as_arrays, class_names
from harness.plugins.plugin import load_object

_SPLITS = ("train", "test")
_MAY_RETURN = (*_SPLITS, "classes", "layout")


def load(source: Mapping[str, Any], _root: Path) -> Mapping[str, Hashed]:
    """Return the splits `train` and `test` of a source."""
    return look(source).read().splits


def look(source: Mapping[str, Any]) -> Unread:
    """Find a function. Raises HarnessError if it is not there, or was edited since it was planned."""
    target = load_object(source["kind"], source["folders"], digest=source["code"])
    return Unread(None, partial(_read, source, target), cacheable=False)


def _read(source: Mapping[str, Any], target: Any) -> Contents:
    kind = source["kind"]
    try:
        returned = target(**source["options"])
    except HarnessError:
        raise
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split())
        raise FieldError(("kind",), f"'{kind}' gives no data: {type(error).__name__}: {reason}") from error
    try:
        return _contents(returned)
    except HarnessError as error:
        raise FieldError(("kind",), f"'{kind}': {error}") from None
    except (ValueError, TypeError, OverflowError) as error:  # numpy's, of lists of different lengths
        raise FieldError(("kind",), f"'{kind}' returns no arrays: {' '.join(str(error).split())}") from error


def _contents(returned: Any) -> Contents:
    if not isinstance(returned, Mapping) or not set(_SPLITS) <= set(returned):
        only = ", ".join(map(str, returned)) if isinstance(returned, Mapping) else ""
        what = f"only {only}" if only else type(returned).__name__
        raise HarnessError(f'{{"train": (images, labels), "test": (images, labels)}} is wanted, it returns {what}')
    for key in returned:
        if key not in _MAY_RETURN:
            raise HarnessError(f"it returns an unknown key '{key}'{did_you_mean(key, _MAY_RETURN)}")
    layout = returned.get("layout")
    if layout not in (None, *LAYOUTS):
        raise HarnessError(f"unknown layout '{layout}'{did_you_mean(layout, LAYOUTS)}")
    splits = {}
    for split in _SPLITS:
        pair = returned[split]
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise HarnessError(f"the {split} split is to be a pair (images, labels), not {type(pair).__name__}")
        splits[split] = as_arrays(pair[0], pair[1], split, layout)
    shapes = {split: arrays.images.shape[1:] for split, arrays in splits.items()}
    if shapes["train"] != shapes["test"]:
        raise HarnessError(f"the training images are {shapes['train']}, those to test on {shapes['test']}")
    classes = class_names(returned.get("classes"), *splits.values())
    return Contents({split: Hashed.of(arrays).in_order() for split, arrays in splits.items()}, classes)
