"""Publishing: the attempts that count, each as one line of JSON, the same bytes for the same contents.

What counts is each run's accepted attempt, the evaluations made from its weights, and the finished timings. Another
attempt at the run goes with it if nothing supersedes it (two machines made the run), or if the two show that their
codes give the same bits (`same_code`).
Of what the harness has recorded neither the machine's name nor an absolute path leaves the store; in what a study's
repository differed from its commit, and what was installed but not imported, leave it only on request. What a person
wrote is exported as it is: a study's text with its description, its arguments, the names of its trials.
"""

import base64
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.attempt.messages import ENDED_WELL, flagged
from harness.base.files import atomic_open
from harness.base.keys import canonical_json
from harness.store.connection import Store
from harness.store.published import FORMAT, without_private
from harness.store.queries import artifacts, curve_rows, installed, samples, snapshot, source
from harness.store.records import AcceptanceRecord, AttemptRecord, Snapshot, StudyTrialRecord, TrialRecord

# The folders of an absolute path within a text: all of it but its last name. Not part of a URL.
_FOLDERS = re.compile(r"(?<![\w./])(?:[A-Za-z]:[\\/]|[\\/])(?:[^\s\\/:'\"]+[\\/])+")


def published_lines(store: Store, *, studies: Sequence[str] | None, with_source: bool = False) -> Iterator[str]:
    """Yield the lines, without their line ends, sorted by trial key, seed, kind and uid.

    With `studies` (names) only their trials, and of each trial only its places in them. `with_source` adds what
    environments name by a SHA-256, each text to the first line that names it. Raises HarnessError for a study that is
    not in the store.
    """
    found = snapshot(store)
    places: defaultdict[str, list[StudyTrialRecord]] = defaultdict(list)
    for place in sorted(found.places(studies), key=lambda p: p.study):
        places[place.trial_key].append(place)
    published = {a.uid: a for a in (*counting(found.attempts), *_showing_same_code(found.attempts))}.values()
    chosen = [a for a in published if studies is None or _is_wanted(found, a.trial_key, places)]
    unnamed = _Sources(store) if with_source else None
    for attempt in sorted(chosen, key=lambda a: (a.trial_key, a.seed, a.kind, a.uid)):
        environment = without_private(attempt.environment)
        if unnamed is not None:
            environment = unnamed.added(environment)
        yield _line(store, found, attempt, places, environment)


def _is_wanted(found: Snapshot, key: str, places: Mapping[str, object]) -> bool:
    """Return whether a trial, or one for which its results count, has a place in the studies that are exported."""
    return key in places or any(word.key in places for word in _words(found, key))


def _words(found: Snapshot, key: str) -> list[AcceptanceRecord]:
    """Return by whose word the results of a trial count for others, and those of these for others again."""
    words: list[AcceptanceRecord] = []
    reached = [key]
    for old_key in reached:
        for word in found.acceptances:
            if word.old_key == old_key and word.key not in reached:
                reached.append(word.key)
                words.append(word)
    return words


def write_jsonl(lines: Iterable[str], path: Path) -> int:
    """Write lines to `path`, all or nothing. Return how many there were."""
    count = 0
    with atomic_open(path) as file:
        for line in lines:
            file.write(line.encode() + b"\n")
            count += 1
    return count


def counting(attempts: Iterable[AttemptRecord]) -> list[AttemptRecord]:
    """Return what counts: trainings that ended well and that none supersedes, evaluations of their weights, timings."""
    attempts = list(attempts)
    trained = [a for a in attempts if a.kind == "train" and a.state in ENDED_WELL]
    superseded = {(a.trial_key, a.seed, a.supersedes) for a in trained}
    runs = {a.uid: run for a in trained if (*(run := (a.trial_key, a.seed)), a.uid) not in superseded}
    return [
        a
        for a in attempts
        if a.uid in runs
        or (a.kind == "timing" and a.state == "done")
        or (
            a.kind == "evaluate"
            and a.state in ENDED_WELL
            and a.weights_from is not None
            and runs.get(a.weights_from) == (a.trial_key, a.seed)
        )
    ]


def _showing_same_code(attempts: Iterable[AttemptRecord]) -> list[AttemptRecord]:
    """Return the attempts that do not count, by code that is shown to give the accepted attempt's bits."""
    attempts = list(attempts)
    codes = {(a.trial_key, a.seed): str(a.code_digest) for a in attempts if a.accepted}
    return [
        a
        for a in attempts
        if a.kind == "train"
        and a.state in ENDED_WELL
        and not a.accepted
        and a.code_digest != (code := codes.get((a.trial_key, a.seed), ""))
        and code in a.same_code
    ]


@dataclass(frozen=True)
class _Sources:
    """What environments name by a SHA-256, each given once."""

    store: Store
    given: set[str] = field(default_factory=set)

    def added(self, environment: dict[str, Any]) -> dict[str, Any]:
        """Return an environment with what it names, unless it was given before."""
        packages = self._once(environment.get("installed"), lambda sha: installed(self.store, sha))
        study = environment.get("study") or {}
        patch = self._once(study.get("diff"), lambda sha: source(self.store, sha))
        return {
            **environment,
            **({"installed": packages} if packages else {}),
            **({"study": {**study, "patch": patch}} if patch else {}),
        }

    def _once(self, sha: object, look: Callable[[str], Any]) -> Any:
        if not isinstance(sha, str) or sha in self.given:
            return None
        self.given.add(sha)
        return look(sha)


def _line(
    store: Store,
    found: Snapshot,
    attempt: AttemptRecord,
    places: Mapping[str, Sequence[StudyTrialRecord]],
    environment: Mapping[str, Any],
) -> str:
    """Return one attempt as a line. `places` has those of each trial in studies."""
    trial = found.trials[attempt.trial_key]
    values = samples(store, attempt.uid)
    evaluations = [
        found.evaluations[key] for key in sorted({key for key, _ in attempt.results} | {s.evaluation for s in values})
    ]
    fingerprints = {e.fingerprint for e in evaluations} | {_training_data(trial)}
    line = {
        "format": FORMAT,
        **{name: getattr(attempt, name) for name in _AS_THEY_ARE},
        **({} if attempt.ordered is None else {"ordered": attempt.ordered}),
        "trial": _trial(trial),
        "studies": [_place(found, p) for p in places.get(attempt.trial_key, ())],
        "datasets": [asdict(found.datasets[f]) for f in sorted(fingerprints & found.datasets.keys())],
        "evaluations": [{"key": e.key, "fingerprint": e.fingerprint, "condition": e.condition} for e in evaluations],
        "execution": without_private(attempt.execution),
        "environment": environment,
        "error": None if attempt.error is None else _FOLDERS.sub("", attempt.error),
        "curve": list(curve_rows(store, attempt.uid)),
        "results": [[*key, *flagged(value)] for key, value in sorted(attempt.results.items())],
        "measures": [[name, *flagged(value)] for name, value in sorted(attempt.measures.items())],
        "samples": [{**asdict(s), "packed": base64.b64encode(s.packed).decode()} for s in values],
        "artifacts": [asdict(a) for a in artifacts(store, attempt.uid)],
    }
    accepted = [
        {
            **{name: getattr(word, name) for name in ("old_key", "author", "reason", "accepted")},
            "trial": _trial(found.trials[word.key]),
            "studies": [_place(found, p) for p in places.get(word.key, ())],
        }
        for word in _words(found, attempt.trial_key)
    ]
    return canonical_json({**line, "accepted_for": accepted} if accepted else line)


_AS_THEY_ARE = (
    "uid", "kind", "state", "seed", "weights_from", "resumed_from", "supersedes", "device", "threads",
    "exclusive", "code_digest", "started", "ended", "error_kind",
)  # fmt: skip


def _trial(trial: TrialRecord) -> dict[str, Any]:
    """Return a trial as the line has it; without its metrics, if it was stored by a version that did not keep them."""
    line = {name: value for name, value in asdict(trial).items() if name != "metrics"}
    return {**line, "metrics": [metric.to_dict() for metric in trial.metrics]} if trial.metrics else line


def _place(found: Snapshot, place: StudyTrialRecord) -> dict[str, Any]:
    """Return a trial's place in a study as the line has it, with the claims of the study that it has part in."""
    claims = [
        {name: value for name, value in asdict(record).items() if name != "study"}
        for record in found.claims
        if record.study == place.study and any(place.trial_key in pair for pair in record.content["pairs"])
    ]
    made_by = {} if place.overrides is None else {"overrides": place.overrides}
    return {
        "name": place.study,
        "spec_yaml": place.spec_yaml,
        "spec_sha": place.spec_sha,
        "created": place.created,
        "trial_name": place.name,
        "position": place.position,
        "seeds": list(place.seeds),
        "protocol_name": place.protocol_name,
        "added": place.added,
        **made_by,
        **({} if place.evaluations is None else {"evaluations": list(place.evaluations)}),
        **({"claims": claims} if claims else {}),
    }


def _training_data(trial: TrialRecord) -> str:
    """Return the fingerprint of a trial's training data, "" if it has none (a user's function)."""
    data = trial.config.get("data")
    return str(data.get("train", "")) if isinstance(data, dict) else ""
