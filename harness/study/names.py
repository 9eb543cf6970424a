"""Names of trials: templates over dotted paths, `{at}` and `{reduction}`."""

from collections.abc import Mapping, Sequence
from functools import cache
from string import Formatter
from typing import Any

from harness.base.checks import FieldError
from harness.study.grid import steps

_LONGEST = 500  # characters


def render_name(template: str, parts: Mapping[str, Any]) -> str:
    """Fill in `{compressor.stride}`, `{at}` (the sites) or `{reduction}` (1 − 1/stride as "50%") from a trial's parts.

    Raises FieldError for a word that the trial does not have.
    """
    name = ""
    for text, word in _pieces(template):
        name += text + (_value(word, parts) if word is not None else "")
        if len(name) > _LONGEST:
            raise FieldError(("name",), f"the name '{name[:20]}…' has more than {_LONGEST} characters")
    return name


@cache
def _pieces(template: str) -> Sequence[tuple[str, str | None]]:
    """Return a template's texts, each with the word in braces that follows it."""
    try:
        pieces = list(Formatter().parse(template))
    except ValueError as error:
        raise FieldError(("name",), f"the name '{template}' is no template: {error}") from None
    if any(form or conversion for _, _, form, conversion in pieces):
        raise FieldError(("name",), f"the name '{template}' holds a format: write words in braces, as {{reduction}}")
    return [(text, word) for text, word, _, _ in pieces]


def _value(word: str, parts: Mapping[str, Any]) -> str:
    if word == "reduction":
        return f"{1 - 1 / _one('stride', word, parts):.0%}"
    if word == "at" and isinstance(parts.get("compressors"), Mapping) and parts["compressors"]:
        return ", ".join(parts["compressors"])
    if word == "compressor":
        return str(_one("kind", word, parts))
    if word.startswith("compressor."):
        return str(_one(word.removeprefix("compressor."), word, parts))
    value: Any = parts
    for key in steps(word, parts):
        if not isinstance(value, Mapping) or key not in value:
            raise FieldError(("name",), f"'{{{word}}}' in the name is nothing that this trial sets")
        value = value[key]
    return str(value["kind"] if isinstance(value, Mapping) and "kind" in value else value)


def _one(option: str, word: str, parts: Mapping[str, Any]) -> Any:
    """Return an option that all of the trial's compressors share."""
    by_site = parts.get("compressors")
    by_site = by_site if isinstance(by_site, Mapping) else {}
    found = [c.get(option) for c in by_site.values() if isinstance(c, Mapping)]
    if not found or any(value != found[0] for value in found) or found[0] is None:
        raise FieldError(("name",), f"'{{{word}}}' in the name needs compressors that share one {option}")
    if option == "stride" and (type(found[0]) is not int or found[0] < 1):
        raise FieldError(("compressors", next(iter(by_site)), "stride"), f"stride {found[0]!r} is not a stride")
    return found[0]
