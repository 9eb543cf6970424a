"""What a study's seeds can show of its claims, before they have run: from the spread of stored gaps, or a given one.

Power is that of the test which will decide: Holm's first step over the family, normal gaps, 80 %. Of `better` and
`worse` the effect that can be shown is the least true one by which the claim would be supported; of `not_worse` and
`equal` the least margin, if in truth there is no difference. The seeds that a claim needs are those that tell a true
difference of `by` from none, and none from `by`.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.base.errors import HarnessError
from harness.stats.power import POWER, Test, seeds_for, smallest_effect
from harness.stats.tests import ALPHA, deviation, gap, mean, smallest_p
from harness.store.claims import seeds_stored, values_by_seed
from harness.store.records import Snapshot
from harness.study.claims import StudyClaim
from harness.study.study import Study

_LEAST = 3
"""Seeds from which a spread is taken; of two it could be anything."""
_UPPER = 0.8  # of the one-sided upper limit of a spread


@dataclass(frozen=True)
class PlannedClaim:
    """A claim with what its seeds can show. Differences are in the metric's unit."""

    study: str
    id: str
    metric: str
    says: str
    by: float
    seeds: int  # at which it is tested
    stored: int  # seeds of which results of all its trials are stored, whether it is tested there or not
    tests: int  # of its family
    smallest_p: float  # that so many seeds can give after Holm's correction
    sd: float | None  # of a gap; None if it is not known
    sd_upper: float | None  # its 80 % upper limit, by chi square; None of one that was given
    can_show: float | None  # with 80 % power: an effect, or a margin
    needed: int | None  # seeds for `by`; None if that is not known, or more than 200
    trials: tuple[str, ...]  # keys
    looks: tuple[int, ...] = ()  # after how many seeds it is looked at, if these run until it is decided
    constant: tuple[str, ...] = ()  # of these, those that draw no random numbers: a single run is all they need

    @property
    def in_words(self) -> str:
        """What its seeds can show, in a sentence."""
        if self.smallest_p >= ALPHA:
            least = Test(self.tests).least
            words = f"{self.seeds} seeds can never decide it (smallest p {self.smallest_p:.2g}): at least {least}"
            return words if self.needed is None else f"{words}, {self.needed} for {self.by:g}"
        if self.sd is None:
            return f"its spread is not known: run {_LEAST} seeds as a pilot, or give --sd"
        what = "a margin" if self.says in {"not_worse", "equal"} else "a difference"
        needed = "more than 200 seeds" if self.needed is None else f"{self.needed} seeds"
        shows = "nothing" if self.can_show is None else f"{what} of {self.can_show:.2g}"
        seeds = f"up to {self.seeds}" if self.looks else f"{self.seeds}"
        return f"{seeds} seeds show {shows} with {POWER:.0%} power; {needed} tell {self.by:g} from nothing"


def plan_claims(study: Study, found: Snapshot, sd: float | None = None) -> list[PlannedClaim]:
    """Return what the seeds of a study can show of each of its claims; `sd` is the spread of a gap, if given.

    Raises HarnessError for a study without claims.
    """
    if not study.claims:
        raise HarnessError(f"study '{study.name}' has no claims to plan: write some under 'claims:'")
    tests = Counter(claim.entry.family for claim in study.claims)
    return [_planned(study.name, claim, tests[claim.entry.family], _gaps(found, claim), sd) for claim in study.claims]


def _gaps(found: Snapshot, claim: StudyClaim) -> list[float]:
    """Return the gaps at all stored seeds, those that it is not tested at among them."""
    content = claim.content()
    values: Mapping[int, Any] = values_by_seed(found, {**content, "seeds": seeds_stored(found, content)})
    gaps = (mean([gap(a, b) for a, b in pairs]) for pairs in values.values())
    return [value for value in gaps if math.isfinite(value)]


def _planned(study: str, claim: StudyClaim, tests: int, gaps: Sequence[float], given: float | None) -> PlannedClaim:
    entry, n, test = claim.entry, len(claim.seeds), Test(tests)
    sd = given if given is not None else deviation(gaps) if len(gaps) >= _LEAST else None
    shows = needed = None
    if sd is not None and sd > 0:
        by, one_sided = entry.by / sd, entry.says != "equal"
        wanted = POWER if one_sided else 1 - (1 - POWER) / 2  # each of the two tests of equivalence
        effect = smallest_effect(n, test, by if entry.says in {"better", "worse"} else 0.0, wanted)
        shows, needed = None if effect is None else effect * sd, seeds_for(by, test, wanted)
    return PlannedClaim(
        study=study,
        id=claim.id,
        metric=claim.metric.name,
        says=entry.says,
        by=entry.by,
        seeds=n,
        stored=len(gaps),
        tests=tests,
        smallest_p=min(1.0, tests * smallest_p(n, 1, tests)),
        sd=sd,
        sd_upper=None if sd is None or given is not None else _upper(sd, len(gaps)),
        can_show=shows,
        needed=needed,
        trials=tuple(dict.fromkeys(item.trial.key for pair in claim.pairs for item in pair)),
        looks=() if claim.looks is None else claim.looks.at,
        constant=tuple(claim.content().get("constant", ())),
    )


def _upper(sd: float, n: int) -> float:
    """Return the upper limit of a standard deviation that n values gave."""
    from scipy.special import chdtri

    return sd * math.sqrt((n - 1) / float(chdtri(n - 1, _UPPER)))
