"""Where and how an attempt was made, as facts by name, and in which of them two attempts differ.

Records grow: one that was made before a fact was recorded says nothing about it, and differs from no other in it. What
the same bits are promised for comes first: code, device, threads, versions of libraries.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from harness.base.keys import canonical_json, text_sha
from harness.store.records import AttemptRecord

Pairs = dict[str, tuple[Any, Any]]
"""What differs, by dotted path or name; None if one side lacks it."""

_FIRST = (
    "seed", "state", "code_digest", "device", "execution.threads", "cpu", "torch", "python", "cuda.", "driver", "blas.",
    "libc", "packages.", "execution.", "threads_in_use.", "variables.",
)  # fmt: skip
_NO_BITS = (
    "host", "platform", "distribution", "git_sha", "dirty", "packages.harness", "study.", "installed", "installed.",
    "execution.device", "execution.jobs", "execution.checkpoint_every_s",
)  # fmt: skip
"""What may differ without any bit being another: code is compared by its digest, ours and a person's."""


def circumstances(
    environment: Mapping[str, Any], execution: Mapping[str, Any], code_digest: str | None
) -> dict[str, Any]:
    """Return where and how an attempt was made, flat. What is not known is left out."""
    known = {name: fact for name, fact in environment.items() if fact is not None}
    if isinstance(known.get("installed"), Mapping):
        known["installed"] = text_sha(canonical_json(known["installed"]))  # as a store has it
    if not _is_full(known) and "driver" in known:
        known["cuda"] = {"runtime": known.pop("driver")}  # it was called so
    return {"code_digest": code_digest, **flat(known), **flat(execution, "execution.")}


def of_attempt(attempt: AttemptRecord) -> dict[str, Any]:
    """Return the circumstances of a stored attempt."""
    return circumstances(attempt.environment, attempt.execution, attempt.code_digest)


def changed(a: Mapping[str, Any], b: Mapping[str, Any]) -> Pairs:
    """Return the circumstances that differ, the most telling first; what one record is too old to know does not."""
    names = comparable([a], [b])
    return in_order({name: (a.get(name), b.get(name)) for name in names if a.get(name) != b.get(name)})


def comparable(a: Collection[Mapping[str, Any]], b: Collection[Mapping[str, Any]]) -> set[str]:
    """Return the names of facts in which two sides can differ: all, or of older records those that both have."""
    names, others = ({name for known in side for name in known} for side in (a, b))
    return names | others if all(map(_is_full, (*a, *b))) else names & others


def in_order(pairs: Pairs) -> Pairs:
    """Return facts with the most telling first."""
    return dict(sorted(pairs.items(), key=lambda item: (_rank(item[0]), item[0])))


def may_change_bits(name: str) -> bool:
    """Return whether the same bits are promised only if a circumstance is the same."""
    return not _begins(name, _NO_BITS)


def in_words(fact: object) -> str:
    """Return a fact for people: a commit or a checksum by its first digits."""
    if fact is None:
        return "–"
    text = str(fact)
    return text[:10] if _HASH.fullmatch(text) else text


_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def _is_full(known: Mapping[str, Any]) -> bool:
    """Return whether a record, flat or not, has all that is recorded today."""
    return "installed" in known


def _rank(name: str) -> int:
    first = next((place for place, begin in enumerate(_FIRST) if _begins(name, (begin,))), len(_FIRST))
    return first if may_change_bits(name) else len(_FIRST) + 1


def _begins(name: str, beginnings: tuple[str, ...]) -> bool:
    return any(name == begin or (begin.endswith(".") and name.startswith(begin)) for begin in beginnings)


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the leaves of nested mappings by dotted path; an empty mapping is a leaf."""
    leaves: dict[str, Any] = {}
    for key, inner in value.items():
        path = f"{prefix}{key}"
        leaves.update(flat(inner, f"{path}.") if isinstance(inner, Mapping) and inner else {path: inner})
    return leaves
