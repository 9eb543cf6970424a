"""What came of the claims of studies: each decided on the seeds that it was entered with, when all of them have run.

A claim of a study whose seeds run until it is decided is looked at several times (`stats.sequential`), and counts with
the seeds of the look that decided it, whatever has run since.

A family is what Holm's correction is over: the claims of a study that name it, by default all of them. A claim that was
withdrawn after results of it were known counts on, so that withdrawing it makes no other test easier. What was entered
when results were known is exploratory: corrected by itself, shown as such, and no confirmation. Beside the p of the
family is always that over all claims of the study.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, Literal

from harness.attempt.metrics import Metric
from harness.report.claims.claim import Verdict
from harness.report.tables.declared import metric_named, metrics_of
from harness.stats.comparison import alike
from harness.stats.sequential import Followed, Looks, Stopped, follow, repeated_interval
from harness.stats.tests import ALPHA, gap, interval, mean
from harness.stats.verdicts import Asked, Decision, Hypothesis, Question, decide
from harness.store.claims import runs_of_claim, values_by_seed
from harness.store.records import ClaimRecord, Snapshot

HYPOTHESES: Mapping[str, Hypothesis] = {
    "better": "superiority", "worse": "superiority", "not_worse": "non_inferiority", "equal": "equivalence",
}  # fmt: skip
_SAID = {"better": "is better than", "worse": "is worse than", "not_worse": "is not worse than", "equal": "equals"}
_BOUND = {"better": "by at least", "worse": "by at least", "not_worse": "by", "equal": "within"}


@dataclass(frozen=True)
class StudyFinding:
    """A claim of a study with what came of it. Differences are a minus b, in the metric's unit; p as in `Decision`."""

    study: str
    id: str
    title: str
    family: str  # "" of one that names none
    verdict: Verdict
    why: str
    metric: str
    unit: str
    on: str  # the evaluation in words; "" of a function's
    says: str
    by: float
    reason: str
    pairs: tuple[tuple[str, str], ...]  # names of trials
    effect: float | None
    interval: tuple[float, float] | None  # 95 %, by Student's t; of one with looks the repeated interval
    seeds: tuple[int, ...]  # that all its trials have run
    planned: tuple[int, ...]  # that it was entered with
    tests: int  # of its family
    p: float | None = None
    p_against: float | None = None
    p_all: float | None = None  # over all claims of the study
    p_against_all: float | None = None
    tests_all: int = 0
    smallest_p: float | None = None
    draws: int | None = None
    error: float | None = None
    exploratory: bool = False
    known: tuple[int, ...] = ()  # seeds whose results were known when it was entered
    entered: str = ""  # ISO 8601, UTC
    commit: str | None = None
    dirty: bool | None = None
    entered_again: str | None = None  # when, of one that had been withdrawn in between
    withdrawn: str | None = None  # when
    known_then: tuple[int, ...] = ()  # seeds whose results were known when it was withdrawn
    replaced: bool = False  # by one of its name that stands
    earlier: Verdict | None = None  # what a withdrawn one gives
    looks: tuple[int, ...] = ()  # after how many seeds it is looked at; of one that has none: when all have run
    looked: int = 0  # seeds at the look that decided it, else at the last look that there was
    paired_unlike: bool = False  # protocols or data of a pair differ, so that seeds pair weights and order at most

    @property
    def is_decided(self) -> bool:
        """Whether its verdict, or that which it had when it was withdrawn, is one way or another."""
        verdict = self.verdict if self.earlier is None else self.earlier
        return verdict not in {"undecided", "not run"}


@dataclass(frozen=True)
class _Measured:
    record: ClaimRecord
    question: Question
    gaps: dict[int, float]
    known: tuple[int, ...]

    @property
    def is_whole(self) -> bool:
        """Whether all of its seeds have run."""
        return len(self.gaps) == len(self.record.content["seeds"])

    @property
    def counts(self) -> bool:
        """Whether it counts for Holm: one that was withdrawn before any result was known does not."""
        return self.record.stands or bool(self.record.changed_known)

    @property
    def looks(self) -> Looks | None:
        """When it is looked at, if its seeds run until it is decided."""
        said = self.record.content.get("looks")
        return None if said is None else Looks(tuple(said["at"]), said["alpha"])

    def followed(self, looks: Looks) -> Followed:
        """Return it with the gaps of its first seeds, up to the first one that is missing."""
        first = takewhile(self.gaps.__contains__, self.record.content["seeds"])
        return Followed(self.question, [self.gaps[seed] for seed in first], looks)

    def cut(self, number: int) -> "_Measured":
        """Return it with its first so many seeds alone."""
        return replace(self, gaps={seed: self.gaps[seed] for seed in self.record.content["seeds"][:number]})

    @property
    def asked(self) -> Asked:
        return Asked(self.question, list(self.gaps.values()) if self.is_whole and self.looks is None else ())


def study_findings(snapshot: Snapshot, study: str | None = None, alpha: float = ALPHA) -> list[StudyFinding]:
    """Return what came of the claims of a study, or of all: those that stand first, in the order of the file."""
    studies = dict.fromkeys(record.study for record in snapshot.claims if study in {None, record.study})
    return [finding for name in studies for finding in _of_study(snapshot, name, alpha)]


def _of_study(snapshot: Snapshot, study: str, alpha: float) -> list[StudyFinding]:
    measured = {record.sha: _measured(snapshot, record) for record in snapshot.claims if record.study == study}
    counting = {sha: m for sha, m in measured.items() if m.counts}
    families: dict[tuple[str, bool], dict[str, _Measured]] = {}
    for sha, m in counting.items():
        families.setdefault((m.record.content["family"], bool(m.known)), {})[sha] = m
    decided = {sha: (d, len(of)) for of in families.values() for sha, d in _decided(of, alpha).items()}
    over_all = decide({sha: m.asked for sha, m in counting.items()}, alpha)
    standing = {m.record.name for m in measured.values() if m.record.stands}
    return [
        _finding(snapshot, m, decided.get(sha), over_all.get(sha), len(counting), m.record.name in standing)
        for sha, m in measured.items()
    ]


def _decided(family: Mapping[str, _Measured], alpha: float) -> dict[str, Decision | Stopped]:
    """Return what comes of each claim of a family; each counts for the others, whether it has looks or not."""
    fixed = decide({sha: m.asked for sha, m in family.items()}, alpha)
    followed = {sha: m.followed(looks) for sha, m in family.items() if (looks := m.looks) is not None}
    return {**fixed, **follow(followed, others=len(family) - len(followed))}


def _measured(snapshot: Snapshot, record: ClaimRecord) -> _Measured:
    """Return a claim with its gaps by seed: of several pairs their mean."""
    stored = values_by_seed(snapshot, record.content)
    gaps = {seed: mean([gap(a, b) for a, b in pairs]) for seed, pairs in stored.items()}
    return _Measured(record, question_of(record.content), gaps, _known(snapshot, record, gaps))


def question_of(content: Mapping[str, object]) -> Question:
    """Return what a claim asks of a's values minus b's."""
    says, lower = str(content["says"]), content["better"] == "lower"
    sign: Literal[1, -1] = -1 if (says == "worse") != lower else 1
    return Question(HYPOTHESES[says], float(str(content["by"])), sign)


def _known(snapshot: Snapshot, record: ClaimRecord, seeds: Iterable[int]) -> tuple[int, ...]:
    """Return at which seeds results were known when a claim was entered: as stored then, and all that ended before.

    So results that were merged later, or count by a person's word, are not taken for a confirmation.
    """
    runs = list(runs_of_claim(snapshot, record.content).values())
    earlier = {seed for seed in seeds if all((of[seed].ended or of[seed].started) < record.entered for of in runs)}
    return tuple(sorted(earlier.union(record.known_before)))


def _finding(
    snapshot: Snapshot, m: _Measured, decided: tuple[Decision | Stopped, int] | None,
    over_all: Decision | None, tests_all: int, replaced: bool,
) -> StudyFinding:  # fmt: skip
    record, content, looks = m.record, m.record.content, m.looks
    made = None if decided is None else decided[0]
    verdict, why = _verdict(m, made)
    metric = _metric(snapshot, record)
    if isinstance(made, Stopped) and made.seeds:
        m = m.cut(made.seeds)
    gaps = list(m.gaps.values())
    evaluation = snapshot.evaluations.get(content["evaluation"])
    return StudyFinding(
        study=record.study,
        id=record.name,
        title=title_of(content),
        family=content["family"],
        verdict=verdict if record.stands else "withdrawn",
        why=why,
        metric=metric.name,
        unit=metric.unit,
        on="" if evaluation is None or evaluation.dataset == "function" else evaluation.words,
        says=content["says"],
        by=content["by"],
        reason=record.why,
        pairs=tuple((a, b) for a, _, b, _ in content["pairs"]),
        effect=mean(gaps) if gaps else None,
        interval=interval(gaps) if looks is None else repeated_interval(gaps, looks),
        seeds=tuple(m.gaps),
        planned=tuple(content["seeds"]),
        tests=0 if decided is None else decided[1],
        tests_all=tests_all,
        exploratory=bool(m.known),
        known=m.known,
        entered=record.entered,
        commit=record.commit,
        dirty=record.dirty,
        entered_again=record.changed if record.stands and record.changed > record.entered else None,
        withdrawn=None if record.stands else record.changed,
        known_then=() if record.stands else record.changed_known,
        replaced=replaced and not record.stands,
        earlier=None if record.stands else verdict,
        looks=() if looks is None else looks.at,
        looked=made.seeds if isinstance(made, Stopped) else 0,
        paired_unlike=_unlike(snapshot, content),
        **_p_values(m, made, over_all, tests_all),
    )


def _p_values(
    m: _Measured, made: Decision | Stopped | None, over_all: Decision | None, tests_all: int
) -> dict[str, Any]:
    """Return the p of a claim, by field of its finding; none before its seeds have run, or its first look."""
    if isinstance(made, Stopped):
        p_all, p_against_all = (None if p is None else min(1.0, tests_all * p) for p in made.single)
        return {"p": made.p, "p_against": made.p_against, "p_all": p_all, "p_against_all": p_against_all}
    if made is None or over_all is None or not m.is_whole:
        return {}
    return {
        "p": made.p,
        "p_against": made.p_against,
        "p_all": over_all.p,
        "p_against_all": over_all.p_against,
        "smallest_p": made.smallest_p,
        "draws": made.draws,
        "error": made.error,
    }


def _verdict(m: _Measured, decision: Decision | Stopped | None) -> tuple[Verdict, str]:
    done, planned = len(m.gaps), len(m.record.content["seeds"])
    if not done:
        return "not run", f"none of its {planned} seeds has run on both sides"
    if isinstance(decision, Stopped):
        return decision.verdict, decision.why
    if not m.is_whole:
        return "undecided", f"{done} of its {planned} seeds have run: it is decided when all have"
    if decision is None:
        return "undecided", "it was withdrawn before any of its results was known"
    return decision.verdict, decision.why


def _metric(snapshot: Snapshot, record: ClaimRecord) -> Metric:
    _, key, _, _ = record.content["pairs"][0]
    return metric_named(metrics_of(snapshot, key, record.study), record.content["metric"])


def _unlike(snapshot: Snapshot, content: Mapping[str, Any]) -> bool:
    """Return whether protocols or data of a pair differ; the seeds of a constant trial pair nothing."""
    pairs = [(a, b) for _, a, _, b in content["pairs"] if not {a, b} & {*content.get("constant", ())}]
    known = [(snapshot.trials.get(a), snapshot.trials.get(b)) for a, b in pairs]
    return any(a is not None and b is not None and not alike(a.config, b.config) for a, b in known)


def title_of(content: Mapping[str, object]) -> str:
    """Return a claim in a sentence: "Spatial is better than Baseline in accuracy, by at least 0.002"."""
    says = str(content["says"])
    if content["title"]:
        return str(content["title"])
    return f"{content['a']} {_SAID[says]} {content['b']} in {content['metric']}, {_BOUND[says]} {content['by']:g}"


AS_CLAIMED, CONTRADICTED, UNDECIDED = 0, 1, 3


def check(verdicts: Iterable[Verdict]) -> int:
    """Return the exit code of `--check`: 1 if a claim is contradicted or its effect too small to matter, else 3 if one
    is undecided or not run, else 0. Those of withdrawn claims play no part.
    """
    found = set(verdicts)
    if found & {"contradicted", "too small"}:
        return CONTRADICTED
    return UNDECIDED if found & {"undecided", "not run"} else AS_CLAIMED
