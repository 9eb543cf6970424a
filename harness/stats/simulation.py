"""Simulated studies, each decided by `stats.sequential` as real ones are: how often they are wrong, and what they take.

True differences are in units of what a claim says matters, `by`; gaps have a standard deviation of 1. Their kinds:

normal             normal
tied               normal, rounded to a fourth, so that many are equal
skewed values      the difference of two exponential values, as of two trials whose own values are skewed
gaps skewed up     exponential themselves, which breaks the assumption of symmetry
gaps skewed down   the same, the other way round
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.stats.power import MOST_SEEDS, Test, power
from harness.stats.sequential import Followed, Looks, Stopped, follow
from harness.stats.verdicts import Hypothesis, Question

_UPPER = 0.99
_TIED = 4  # values per standard deviation
Draw = Callable[[Any, tuple[int, int]], Any]

GAPS: Mapping[str, Draw] = {
    "normal": lambda draw, shape: draw.standard_normal(shape),
    "tied": lambda draw, shape: (draw.standard_normal(shape) * _TIED).round() / _TIED,
    "skewed values": lambda draw, shape: draw.laplace(0, math.sqrt(0.5), shape),
    "gaps skewed up": lambda draw, shape: draw.standard_exponential(shape) - 1,
    "gaps skewed down": lambda draw, shape: 1 - draw.standard_exponential(shape),
}


@dataclass(frozen=True)
class Setting:
    """A family of claims: what each asks, and the true difference that it is about, times `by`."""

    question: Question
    truths: tuple[float, ...]
    looks: Looks
    gaps: str = "normal"


@dataclass(frozen=True)
class Simulated:
    """What so many simulated studies gave."""

    studies: int
    wrong: int  # studies with a wrong verdict: a true null was rejected
    right: float  # the share of claims that were decided rightly
    seeds: float  # of a claim, on average
    runs: float  # of all trials of a study, on average: one per claim, and the baseline

    @property
    def upper(self) -> float:
        """The upper 99% limit of the chance of a wrong verdict (Clopper and Pearson)."""
        from scipy.special import betaincinv

        return (
            float(betaincinv(self.wrong + 1, self.studies - self.wrong, _UPPER)) if self.wrong < self.studies else 1.0
        )


def simulate(setting: Setting, studies: int, seed: int = 0) -> Simulated:
    """Return what so many studies of a setting give, the same for the same seed."""
    import numpy as np

    draw = np.random.default_rng(seed)
    wrong, right, seeds, runs = 0, 0, 0, 0
    for _ in range(studies):
        made = list(_study(setting, draw))
        alpha = setting.looks.alpha
        wrong += any(_is_wrong(setting.question, truth, of, alpha) for truth, of in made)
        right += sum(is_right(setting.question, truth, of) for truth, of in made)
        took = [of.seeds for _, of in made]
        seeds += sum(took)
        runs += sum(took) + max(took)
    claims = studies * len(setting.truths)
    return Simulated(studies, wrong, right / claims, seeds / claims, runs / studies)


def _study(setting: Setting, draw: Any) -> Iterator[tuple[float, Stopped]]:
    """Yield each claim of a study with its true difference and what came of it."""
    noise = GAPS[setting.gaps](draw, (len(setting.truths), setting.looks.at[-1]))
    by = setting.question.margin
    family = {
        number: Followed(setting.question, (truth * by + of).tolist(), setting.looks)
        for number, (truth, of) in enumerate(zip(setting.truths, noise, strict=True))
    }
    for number, made in follow(family, fine=False).items():
        yield setting.truths[number], made


def _is_wrong(question: Question, truth: float, made: Stopped, alpha: float) -> bool:
    """Return whether a null was rejected that is true."""
    p = made.p_against if holds(question, truth) else made.p
    between = question.hypothesis == "superiority" and 0 < truth < 1  # neither of its nulls is true
    return not between and p is not None and p <= alpha


def holds(question: Question, truth: float) -> bool:
    """Return whether a claim is true, at a difference in units of its margin."""
    if question.hypothesis == "equivalence":
        return abs(truth) < 1
    return truth > -1 if question.hypothesis == "non_inferiority" else truth >= 1


def is_right(question: Question, truth: float, made: Stopped) -> bool:
    """Return whether a claim was decided as it should be: supported if true, else shown not to reach its margin."""
    return made.verdict == "supported" if holds(question, truth) else made.verdict in {"contradicted", "too small"}


_WRONG: tuple[tuple[Hypothesis, str, tuple[float, ...]], ...] = (
    ("superiority", "normal", (0,)),
    ("superiority", "normal", (1,)),
    ("superiority", "normal", (1, 0)),
    ("superiority", "tied", (1, 0)),
    ("superiority", "skewed values", (1, 0)),
    ("non_inferiority", "normal", (-1,)),
    ("equivalence", "normal", (1,)),
    ("equivalence", "tied", (-1, 1)),
    ("superiority", "gaps skewed up", (1, 0)),
    ("superiority", "gaps skewed down", (1, 0)),
)
"""What is simulated of wrong verdicts: hypothesis, gaps, and true differences, which the claims have in turn."""
RIGHT = (0, 1.25, 1.5, 2)
"""True differences at which is simulated how often a claim is decided rightly, and how soon."""


def cases(claims: int) -> list[tuple[Hypothesis, str, tuple[float, ...]]]:
    """Return what is simulated of wrong verdicts of so many claims, each once."""
    return list(dict.fromkeys((hypothesis, gaps, truths[:claims]) for hypothesis, gaps, truths in _WRONG))


_SAYS: Mapping[Hypothesis, str] = {"superiority": "better", "non_inferiority": "not_worse", "equivalence": "equal"}


def wrong_verdicts(
    case: tuple[Hypothesis, str, tuple[float, ...]], claims: int, looks: Looks, by: float, studies: int
) -> dict[str, Any]:
    """Return how often studies of a case have a wrong verdict, with what it is."""
    hypothesis, gaps, truths = case
    setting = Setting(Question(hypothesis, by), _in_turn(truths, claims), looks, gaps)
    found = simulate(setting, studies)
    return {
        "says": _SAYS[hypothesis],
        "gaps": gaps,
        "differences": ", ".join(f"{truth:g}" for truth in dict.fromkeys(setting.truths)),
        "studies": studies,
        "wrong": found.wrong / studies,
        "at_most": found.upper,
    }


def saving(truth: float, claims: int, looks: Looks, by: float, studies: int) -> dict[str, Any]:
    """Return how often claims of `better` are decided rightly, and what that takes; beside it, how often all seeds do
    it at once, how many at once do it as often, and the share of those runs that the looks save.
    """
    found = simulate(Setting(Question("superiority", by), _in_turn((truth,), claims), looks), studies)

    def at_once(n: int) -> float:
        test = Test(claims, looks.alpha)
        return power(n, truth * by, test, by) if truth >= 1 else power(n, (1 - truth) * by, test)

    enough = next((n for n in range(2, MOST_SEEDS) if at_once(n) >= found.right), None)
    return {
        "difference": truth,
        "right": found.right,
        "right_at_once": at_once(looks.at[-1]),
        "seeds": found.seeds,
        "enough_at_once": enough,
        "saved": None if enough is None else 1 - found.runs / (enough * (claims + 1)),
    }


def _in_turn(truths: Sequence[float], claims: int) -> tuple[float, ...]:
    return tuple(itertools.islice(itertools.cycle(truths), claims))
