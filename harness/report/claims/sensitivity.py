"""Whether a claim's outcome depends on a setting that the paper does not state, from stored runs alone.

A family names the study that varies the setting (`sensitivity`). Its trials are found by what they are: the claim's own
in everything but the protocol, once for each protocol in which both are stored; the claim's own runs are one of them.
A claim depends on the setting if, under some value, the mean gap points the other way than the claim's own and lies
farther from it than seeds alone would take it: few seeds turn a small gap whatever the setting is. Of times the setting
is how the network is computed: by plain torch's operators in the paper's order, or by our kernels with channels pooled
first.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from harness.report.claims.claim import Claim, Family
from harness.report.claims.gap_tests import effect_of, middle, points, timed_way
from harness.report.claims.values import BASELINE, Measured, Stored
from harness.report.tables.timings import Composition
from harness.stats.tests import ALPHA, deviation
from harness.stats.verdicts import mean_gap
from harness.store.circumstances import flat
from harness.store.diff import differing
from harness.store.records import TrialRecord
from harness.trial.overrides import in_words

_SPELT = {"optimizer": "optimiser"}
_COMPOSED: Mapping[Composition, str] = {"paper": "plain torch", "ours": "our kernels"}
KERNELS = "kernels"


@dataclass(frozen=True)
class Tried:
    """A value of the setting, and the claim's mean gap under it."""

    value: str
    effect: float  # on the claim's scale
    way: bool | None  # whether it points the claim's way; None if that cannot be told
    seeds: int  # behind it; 0 of times
    reach: float | None = None  # how far from the claim's own gap seeds alone would take this one, on the claim's scale
    apart: bool = False  # whether it lies farther


@dataclass(frozen=True)
class Sensitivity:
    """A setting, and how a claim fares under its values."""

    setting: str
    scale: Literal["difference", "ratio"]  # of the effects
    own: Tried | None  # under the claim's own value; of times by plain torch; None if that is not stored
    others: tuple[Tried, ...]

    @property
    def flips(self) -> bool:
        """Whether the claim depends on the setting."""
        own = None if self.own is None else self.own.way
        return own is not None and any(t.apart and t.way is (not own) for t in self.others)

    @property
    def tested(self) -> bool:
        """Whether some value was held against what seeds alone do."""
        return any(t.reach is not None for t in self.others)

    @property
    def of_the_paper(self) -> bool:
        """Whether the setting is one that the paper leaves open, not one of how we compute."""
        return self.setting != KERNELS

    def __str__(self) -> str:
        """Return "depends on: optimiser (…)" or that this is not shown, with the effect under each value."""
        tried = ", ".join(_in_words(t) for t in (self.own, *self.others) if t is not None)
        reaches = [t.reach for t in self.others if t.reach is not None]
        if self.of_the_paper and not self.tested:
            return f"{self.setting} was varied, by too few seeds for a test ({tried})"
        said = "depends on" if self.flips else "not shown to depend on"
        far = f"; seed noise alone can move these from the first by {_far(max(reaches), self.scale)}" if reaches else ""
        return f"{said}: {self.setting} ({tried}{far})"


def _far(reach: float, scale: str) -> str:
    return f"a factor of {reach:.3g}" if scale == "ratio" else f"{reach:.2g}"


def _in_words(tried: Tried) -> str:
    seeds = f" over {tried.seeds} seed{'s' if tried.seeds > 1 else ''}" if tried.seeds else ""
    return f"{tried.effect:.3g} with {tried.value}{seeds}{' (farther)' if tried.apart and tried.seeds else ''}"


def sensitivity(stored: Stored, family: Family, claim: Claim) -> Sensitivity | None:
    """Return how a claim fares under the values of a setting; None if fewer than two of them are stored."""
    if claim.test == "timing":
        return _of_kernels(stored, family, claim)
    if family.sensitivity is None or claim.test != "sign_flip":
        return None
    trials = stored.keys(family, family.quantities[claim.quantity])
    if any(trials[name] is None for name in claim.trials):
        return None
    varied = list(_variants(stored, family, claim, trials))
    measured = [(variant, stored.measure(family, claim, variant[1])) for variant in varied]
    known = [(variant, m) for variant, m in measured if m.gaps and not math.isnan(mean_gap(m.gaps))]
    if len(known) < 2:
        return None
    setting = _setting([protocol for protocol, _, _ in varied])
    own: Tried | None = None
    spread: Sequence[float] = ()
    others = []
    for (protocol, keys, words), m in known:
        said = (words or in_words(_differences(protocol, varied))).removeprefix(f"{setting} ")
        gap = mean_gap(m.gaps)
        tried = Tried(said, effect_of(claim, gap), points(claim, gap), len(m.gaps))
        if all(keys[name] == trials[name] for name in claim.trials):
            own, spread = tried, m.gaps
        else:
            others.append((tried, m))
    return Sensitivity(setting, claim.scale, own, tuple(_beside(claim, t, m, spread, len(others)) for t, m in others))


def _beside(claim: Claim, tried: Tried, measured: Measured, own: Sequence[float], values: int) -> Tried:
    """Say how far a value's gap may lie from the claim's own by seeds alone, and whether it lies farther.

    A new mean of n gaps lies within t sd sqrt(1/n + 1/N) of one of N, at 95 % for all values together (Bonferroni),
    where gaps vary over seeds under each value as they do under the claim's own.
    """
    sd = deviation(own)
    if sd is None or math.isnan(sd):
        return tried
    from scipy.special import stdtrit

    n = len(measured.gaps)
    reach = float(stdtrit(len(own) - 1, 1 - ALPHA / (2 * values))) * sd * math.sqrt(1 / n + 1 / len(own))
    apart = abs(mean_gap(measured.gaps) - mean_gap(own)) > reach
    return replace(tried, reach=math.exp(reach) if claim.scale == "ratio" else reach, apart=apart)


def _of_kernels(stored: Stored, family: Family, claim: Claim) -> Sensitivity | None:
    found = []
    for composed, words in _COMPOSED.items():
        measured = stored.measure(family, claim, composed=composed)
        if measured.gaps:
            effect = effect_of(claim, middle(claim, measured.gaps))
            found.append(Tried(words, effect, timed_way(claim, measured.gaps), 0, apart=True))
    return Sensitivity(KERNELS, claim.scale, found[0], (found[1],)) if len(found) == len(_COMPOSED) else None


_Variant = tuple[Mapping[str, Any], dict[str, str | None], str]


def _variants(stored: Stored, family: Family, claim: Claim, own: Mapping[str, str | None]) -> Iterator[_Variant]:
    """Yield each protocol of the study, with the claim's trials trained by it and what the study calls it."""
    trials = stored.snapshot.trials
    names = tuple(dict.fromkeys((*claim.trials, *(n for n in (BASELINE,) if own.get(n) is not None))))
    places = [r for r in stored.snapshot.study_trials if r.study == family.sensitivity and r.overrides is None]
    planned = [(r.name, trials[r.trial_key]) for r in places]
    mine = [trials[str(own[name])] for name in names]
    protocols: list[Mapping[str, Any]] = []
    for trial in [*(t for _, t in planned), mine[0]]:
        if trial.config.get("protocol", {}) not in protocols:
            protocols.append(trial.config.get("protocol", {}))
    for protocol in protocols:
        by = [(name, t) for name, t in planned if t.config.get("protocol", {}) == protocol]
        known = [*(t for _, t in by), *(t for t in mine if t.config.get("protocol", {}) == protocol)]
        keys = {name: _alike(t, known) for name, t in zip(names, mine, strict=True)}
        if all(keys[name] is not None for name in claim.trials):
            yield protocol, keys, _common([name for name, _ in by])


def _alike(wanted: TrialRecord, among: list[TrialRecord]) -> str | None:
    """Return the key of the trial that is `wanted` in everything but its protocol."""
    parts = {k: v for k, v in wanted.config.items() if k != "protocol"}
    return next((t.key for t in among if {k: v for k, v in t.config.items() if k != "protocol"} == parts), None)


def _common(names: list[str]) -> str:
    """Return the parts, between commas, with which all names end: "SGD 0.01" of "Baseline, SGD 0.01" and its like."""
    split = [name.split(", ") for name in names]
    shared: list[str] = []
    for parts in zip(*(reversed(parts) for parts in split), strict=False):
        if len(set(parts)) > 1:
            break
        shared.insert(0, parts[0])
    return ", ".join(shared if len(names) > 1 else shared[-1:])


def _setting(protocols: list[Mapping[str, Any]]) -> str:
    """Return what varies among protocols in words: one field by its name, several by the part that they are of."""
    first = flat(protocols[0])
    paths = sorted({path for other in protocols[1:] for path in differing(first, flat(other))})
    parts = list(dict.fromkeys(path.split(".")[0] for path in paths))
    if len(paths) == 1:
        return paths[0].split(".")[-1].replace("_", " ")
    return " and ".join(_SPELT.get(part, part.replace("_", " ")) for part in parts)


def _differences(protocol: Mapping[str, Any], varied: list[_Variant]) -> Any:
    """Return the parts of a protocol in which it differs from the others; of one part its value."""
    parts = {part for other, _, _ in varied for part in differing(protocol, other)}
    found = {part: protocol.get(part) for part in sorted(parts)}
    return found.popitem()[1] if len(found) == 1 else found
