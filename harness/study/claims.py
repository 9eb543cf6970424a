"""The claims of a study: what it says before its runs of two of its trials, or of two groups of them.

    claims:
      - {id: helps, a: Spatial, b: Baseline, metric: accuracy, says: better, by: 0.002}
      - {id: same, a: {compressor.kind: spatial}, b: {compressor.kind: topk}, metric: accuracy, says: equal, by: 0.001}

A side is a trial's name, a list of names, or a condition on what trials set, as in `exclude`. Two lists are paired in
their order. Two groups are paired by everything else
that varies within them; a group against one trial has that trial in each pair. A claim's gap at a seed is the mean over
its pairs, so that the seed stays the unit of the test.

A claim is checked, and written out with the trials and seeds that it is about, before anything runs.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.attempt.messages import EvaluationSpec, option_in_words
from harness.attempt.metrics import Metric
from harness.base.checks import FieldError
from harness.base.errors import did_you_mean
from harness.base.keys import canonical_json
from harness.stats.sequential import Looks
from harness.study.exclude import View, leads_nowhere, same
from harness.study.grid import steps
from harness.study.study_file import ClaimEntry, UntilDecided

if TYPE_CHECKING:
    from harness.study.study import StudyTrial

Side = str | Sequence[str] | Mapping[str, Any]


@dataclass(frozen=True)
class StudyClaim:
    """A claim with the trials that it is about, by their names and keys, a's and b's of each pair."""

    entry: ClaimEntry
    pairs: tuple[tuple["StudyTrial", "StudyTrial"], ...]
    metric: Metric
    evaluation: EvaluationSpec
    looks: Looks | None = None  # if its seeds run until it is decided

    @property
    def id(self) -> str:
        """Its name, by which people speak of it."""
        return self.entry.id

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds at which it is tested: those of all its trials, or of these the ones that it names.

        A trial that draws no random numbers has one value, which is that at each seed of the others.
        """
        involved = [item for pair in self.pairs for item in pair]
        drawing = [item for item in involved if item.trial.seeded] or involved
        shared = set.intersection(*(set(item.seeds) for item in drawing))
        return tuple(sorted(shared if self.entry.seeds is None else shared.intersection(self.entry.seeds)))

    def content(self) -> dict[str, Any]:
        """Return all that it says, as JSON holds it: what is stored before its runs.

        "looks" has after how many seeds it is looked at, and what of alpha may be spent by then, if its seeds run until
        it is decided. "constant" has the keys of the trials whose one value counts at each seed, if there are any.
        """
        seeded = {item.trial.key: item.trial.seeded for pair in self.pairs for item in pair}
        constant = sorted(key for key, draws in seeded.items() if not draws) if any(seeded.values()) else []
        return {
            "a": side_in_words(self.entry.a),
            "b": side_in_words(self.entry.b),
            "better": self.metric.better,
            "by": self.entry.by,
            **({"constant": constant} if constant else {}),
            "evaluation": self.evaluation.key,
            "family": self.entry.family,
            **({"looks": self.looks.content()} if self.looks else {}),
            "metric": self.metric.name,
            "pairs": [[a.name, a.trial.key, b.name, b.trial.key] for a, b in self.pairs],
            "says": self.entry.says,
            "seeds": list(self.seeds),
            "title": self.entry.title,
        }


def side_in_words(side: Side) -> str:
    """Return "Baseline", or of a group "compressor.kind spatial, compressor.stride 2"."""
    if isinstance(side, str):
        return side
    if not isinstance(side, Mapping):
        return f"{len(side)} trials ({'; '.join(side)})"
    return ", ".join(f"{path} {v if isinstance(v, str) else canonical_json(v)}" for path, v in side.items())


def resolve_claims(
    entries: Sequence[ClaimEntry],
    trials: Sequence["StudyTrial"],
    skipped: Mapping[str, str],
    until: UntilDecided | None = None,
) -> tuple[StudyClaim, ...]:
    """Return the claims of a study. Raises FieldError, by the path from `claims`, for the first that cannot be tested.

    A claim on a trial that was skipped is left out. `until` says when they are looked at, if seeds run until then.
    """
    found: dict[str, StudyClaim] = {}
    for number, entry in enumerate(entries):
        if entry.id in found:
            raise FieldError((number, "id"), f"two claims are called '{entry.id}'")
        if any(isinstance(side, str) and side in skipped for side in (entry.a, entry.b)):
            continue
        claim = _resolved(entry, number, trials)
        if until is not None:
            _check_seeds(claim, number, until)
            claim = replace(claim, looks=Looks(tuple(until.looks)))
        for other in found.values():
            if _tested(claim) == _tested(other):
                raise FieldError((number,), f"'{claim.id}' says the same as '{other.id}': leave one of them out")
        found[entry.id] = claim
    return tuple(found.values())


def _check_seeds(claim: StudyClaim, number: int, until: UntilDecided) -> None:
    """Raise FieldError for a claim that does not have all seeds of a study that runs them until it is decided."""
    if claim.entry.seeds is not None:
        why = "seeds that run until the claims are decided are those of all claims: leave them out"
        raise FieldError((number, "seeds"), why)
    for item in (item for pair in claim.pairs for item in pair):
        if item.trial.seeded and sorted(item.seeds) != until.seeds:
            why = f"'{item.name}' has seeds of its own, and the claim '{claim.id}' is decided on those of the study"
            raise FieldError((number,), f"{why}: leave its own out")


def check_looks(until: UntilDecided, claims: Sequence[StudyClaim]) -> None:
    """Raise FieldError, by the path from `seeds`, for looks at which no claim of some family can be decided."""
    if not claims:
        raise FieldError(("until",), "'until: decided' needs claims to decide: write some under 'claims:'")
    looks = until.looks
    if sorted(set(looks)) != looks:
        raise FieldError(("looks",), f"looks must go up, not {looks}")
    if looks[-1] != until.at_most:
        raise FieldError(("looks",), f"the last look is the one at 'at_most', {until.at_most} seeds, not {looks[-1]}")
    families = Counter(claim.entry.family for claim in claims)
    family, tests = families.most_common(1)[0]
    for number, n in enumerate(looks):
        before = Looks((*looks[:number], until.at_most))
        if not before.can_decide(n, tests):
            later = (n for n in range(n + 1, until.at_most + 1) if before.can_decide(n, tests))
            named = f" of family '{family}'" if family else ""
            many = f"any of the {tests} claims{named}" if tests > 1 else f"a claim{named}"
            instead = next((f"the next that can is {n}" for n in later), "no more than 'at_most' can")
            raise FieldError(("looks", number), f"a look at {n} seeds cannot decide {many}: {instead}")


def _tested(claim: StudyClaim) -> Mapping[str, Any]:
    return {name: value for name, value in claim.content().items() if name not in {"a", "b", "family", "title"}}


def _resolved(entry: ClaimEntry, number: int, trials: Sequence["StudyTrial"]) -> StudyClaim:
    a, b = (_trials_of(side, (number, name), trials) for name, side in (("a", entry.a), ("b", entry.b)))
    pairs = tuple(_paired(entry, number, a, b))
    involved = [item for pair in pairs for item in pair]
    for one, other in pairs:
        if one.trial.key == other.trial.key:
            raise FieldError((number, "b"), f"'{one.name}' is on both sides of the claim")
    metric = _metric(entry.metric, number, involved)
    claim = StudyClaim(entry, pairs, metric, _evaluation(entry, number, involved))
    if not claim.seeds:
        what = "shared seeds" if entry.seeds is None else f"shared seeds among {entry.seeds}"
        raise FieldError((number,), f"the trials of '{entry.id}' have no {what}, by which they could be paired")
    return claim


def _trials_of(side: Side, place: tuple[int, str], trials: Sequence["StudyTrial"]) -> list["StudyTrial"]:
    """Return the trials of a side: the one of a name, or all that fulfil a condition."""
    if isinstance(side, str):
        names = [item.name for item in trials]
        if side not in names:
            raise FieldError(place, f"no trial is called '{side}'{did_you_mean(side, names)}")
        return [trials[names.index(side)]]
    if not isinstance(side, Mapping):
        return [item for name in side for item in _trials_of(name, place, trials)]
    for path in side:
        if (why := leads_nowhere(path, [item.view for item in trials])) is not None:
            raise FieldError((*place, path), why)
    found = [item for item in trials if item.view.fulfils(side)]
    if not found:
        raise FieldError(place, f"no trial of the study has {side_in_words(side)}")
    return found


def _paired(
    entry: ClaimEntry, number: int, a: Sequence["StudyTrial"], b: Sequence["StudyTrial"]
) -> Iterator[tuple["StudyTrial", "StudyTrial"]]:
    """Yield the pairs: each of a group with the one of the other that is like it in all else that varies."""
    if isinstance(entry.a, list) and isinstance(entry.b, list):
        if len(a) != len(b):
            raise FieldError((number, "b"), f"lists of trials are paired in their order: {len(a)} of a, {len(b)} of b")
        yield from zip(a, b, strict=True)
        return
    if len(a) == 1 or len(b) == 1:
        yield from ((one, other) for one in a for other in b)
        return
    paths = [path for side in (entry.a, entry.b) if isinstance(side, dict) for path in side]
    rests = [{item.name: _rest(item.view, paths) for item in side} for side in (a, b)]
    varying = {path for side in rests for path in _varying(list(side.values()))}
    taken: set[str] = set()
    for one in a:
        mine = rests[0][one.name]
        like = [item for item in b if all(mine.get(path) == rests[1][item.name].get(path) for path in varying)]
        if len(like) != 1:
            many = f"several partners in b ({', '.join(other.name for other in like)})" if like else "no partner in b"
            words = ", ".join(sorted(".".join(map(str, path)) for path in varying)) or "nothing that varies"
            raise FieldError((number, "a"), f"'{one.name}' has {many}; trials are paired by {words}")
        taken.add(like[0].name)
        yield one, like[0]
    for other in b:
        if other.name not in taken:
            raise FieldError((number, "b"), f"'{other.name}' of b has no partner in a: narrow the condition of b")


_Path = tuple[str, ...]


def _rest(view: View, conditions: Sequence[str]) -> dict[_Path, str]:
    """Return all that a trial sets, by path, but what the conditions are on."""
    left = [tuple(steps(path, view.parts)) for path in conditions]
    return {
        path: canonical_json(value)
        for path, value in _leaves(view.parts, ())
        if path[0] not in {"seeds", "evaluate", "at"} and not any(_is_under(path, one) for one in left)
    }


def _varying(rests: Sequence[Mapping[_Path, str]]) -> set[_Path]:
    """Return the paths at which not all trials of a side have the same."""
    paths = {path for rest in rests for path in rest}
    return {path for path in paths if len({rest.get(path) for rest in rests}) > 1}


def _is_under(path: _Path, condition: _Path) -> bool:
    """Return whether a path is what a condition is on, or within that; `compressor` is that of any site."""
    if condition[0] == "at":
        return path[0] == "compressors"  # sites are the names of compressors
    if condition[0] == "compressor" and path[0] == "compressors":
        condition, path = condition[1:], path[2:]
    return path[: len(condition)] == condition


def _leaves(value: Any, before: _Path) -> Iterator[tuple[_Path, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*before, str(key)))
    else:
        yield before, value


def _metric(name: str, number: int, trials: Sequence["StudyTrial"]) -> Metric:
    for item in trials:
        if name not in (names := [metric.name for metric in item.trial.metrics]):
            near = did_you_mean(name, names) or f"; it declares {', '.join(names) or 'none'}"
            raise FieldError((number, "metric"), f"'{item.name}' has no metric '{name}'{near}")
    return next(metric for metric in trials[0].trial.metrics if metric.name == name)


def _evaluation(entry: ClaimEntry, number: int, trials: Sequence["StudyTrial"]) -> EvaluationSpec:
    """Return the one evaluation that all trials of a claim have, of those that its `on` means."""
    by_key = {spec.key: spec for spec in trials[0].trial.evaluations}
    shared = set(by_key).intersection(*({spec.key for spec in item.trial.evaluations} for item in trials))
    wanted = entry.on or {}
    found = [spec for key, spec in by_key.items() if key in shared and _is_meant(spec, wanted)]
    if len(found) == 1:
        return found[0]
    known = "; ".join(_in_words(by_key[key]) for key in by_key if key in shared) or "none"
    if found:
        raise FieldError((number,), f"'{entry.id}' must say on which evaluation, by 'on: {{…}}': {known}")
    place, what = ((number, "on"), "that 'on' means") if entry.on else ((number,), "in common")
    raise FieldError(place, f"the trials of '{entry.id}' have no evaluation {what}; they share: {known}")


def _is_meant(spec: EvaluationSpec, wanted: Mapping[str, Any]) -> bool:
    there = {"dataset": spec.dataset, "split": spec.split, **spec.condition}
    return all(name in there and same(there[name], value) for name, value in wanted.items())


def _in_words(spec: EvaluationSpec) -> str:
    options = (f"{name}: {option_in_words(value)}" for name, value in sorted(spec.condition.items()) if name != "kind")
    return f"{{{', '.join([f'dataset: {spec.dataset}', f'split: {spec.split}', *options])}}}"
