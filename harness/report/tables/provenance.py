"""What a table says of the attempts behind it: threads, and whether they ran the same code, that of today or other."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from harness.store.records import AttemptRecord, TrialRecord
from harness.trial.attempt_digest import digest_now
from harness.trial.trial import is_trained


def short(digest: str) -> str:
    """Return the first twelve characters of a hash, enough to recognise it."""
    return digest[:12]


def threads_of(attempts: Iterable[AttemptRecord]) -> str:
    """Return "1 thread", or all the numbers where they differ: "1 and 2 threads"; 0 is a number that nobody knows."""
    counts = sorted({a.threads for a in attempts})
    if counts == [0]:
        return "an unknown number of threads"
    return f"{' and '.join(map(str, counts))} thread{'' if counts == [1] else 's'}"


def ran_on(configs: Iterable[Mapping[str, Any]]) -> str:
    """Return "Trained on" if all configurations are of networks that are trained, else "Run on"."""
    return "Trained on" if all(map(is_trained, configs)) else "Run on"


def code_remarks(attempts: Iterable[tuple[TrialRecord, AttemptRecord]]) -> list[str]:
    """Return a sentence for each kind of attempt that ran different code, nothing if all ran the same.

    A digest is of the code that an attempt ran, so that it differs between compressors by itself: compared
    are attempts of one kind (train, timing) with the same task, model and kinds of compressors. Code that is shown to
    give the same bits is one.
    """
    digests: dict[str, dict[tuple[str, ...], set[str]]] = defaultdict(lambda: defaultdict(set))
    for trial, attempt in attempts:
        digests[_kind(attempt)][_code_of(trial)].add(
            short(min(attempt.same_code, default=attempt.code_digest or "unknown"))
        )
    remarks = []
    for kind, groups in sorted(digests.items()):
        mixed = sorted({digest for group in groups.values() if len(group) > 1 for digest in group})
        if mixed:
            remarks.append(f"The {kind} attempts behind this table ran different code: {', '.join(mixed)}.")
    return remarks


def _kind(attempt: AttemptRecord) -> str:
    """Return the kind of an attempt; what is not trained is evaluated by the code that ran it first."""
    return "train" if attempt.kind == "evaluate" else attempt.kind


def with_set(overrides: str) -> str:
    """Return what is to be said of a trial that is not the study's own."""
    return f"not the study's own trial: it was run with --set {overrides}"


def accepted_remarks(attempts: Iterable[AttemptRecord]) -> list[str]:
    """Return a sentence for each edit by whose acceptance attempts count for another trial than their own."""
    return list(dict.fromkeys(word.in_words for attempt in attempts for word in attempt.by_word))


def stale_remarks(attempts: Iterable[tuple[TrialRecord, AttemptRecord]], name: str) -> list[str]:
    """Return a sentence for each kind of attempt behind the table `name` that ran other code than today's.

    For people at a terminal, not for files: these must not change with code that has nothing to do with them. What
    cannot be known (data or a model that this harness does not have) is passed over.
    """
    stale: dict[str, set[str]] = defaultdict(set)
    digests: dict[tuple[str, str, str], str | None] = {}  # of a trial's code: its seeds have the same
    for trial, attempt in attempts:
        place = trial.key, attempt.kind, attempt.device
        if place not in digests:
            digests[place] = digest_now(trial.config, attempt.kind, attempt.device)
        now = digests[place]
        if now is not None and attempt.code_digest is not None and not attempt.is_of(now):
            stale[_kind(attempt)].add(short(attempt.code_digest))
    cures = {"train": "run grid FILE --retry stale", "timing": "run timing FILE"}
    return [
        f"the {kind} attempts behind {name} were made by code that has changed since "
        f"(digest {', '.join(sorted(found))}); `harness {cures[kind]}` makes them anew"
        for kind, found in sorted(stale.items())
    ]


def _code_of(trial: TrialRecord) -> tuple[str, ...]:
    """Return the kinds of what a trial is made of."""
    config = trial.config
    compressors = sorted({str(c.get("kind")) for c in config.get("compressors", {}).values()})
    return (str(config["task"].get("kind")), str(config.get("model", {}).get("kind")), *compressors)
