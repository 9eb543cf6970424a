"""Is B better, worse, or practically the same? Posterior probabilities, with a region of practical equivalence.

Source: Benavoli, Corani, Demšar and Zaffalon, "Time for a change: a tutorial for comparing multiple classifiers through
Bayesian analysis", JMLR 18, 2017, and their package baycomp. `signed_rank` is about other data sets, `correlated_t`
about one data set. No p, and no correction: a probability is of what is asked, given the prior.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.stats.tests import deviation, mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DRAWS = 50_000
_PRIOR = 0.5  # the weight of a data set without a difference, as baycomp has it
_AT_ONCE = 4_000_000
_SEED = 0
_EQUAL = 1e-12


@dataclass(frozen=True)
class Posterior:
    """How probable it is that B is worse than A, practically the same, or better; they add up to 1."""

    worse: float
    same: float  # within the region of practical equivalence
    better: float
    draws: int | None = None  # of the posterior; None if it is known in closed form


def signed_rank(differences: Sequence[float], rope: float = 0.0, draws: int = DRAWS) -> Posterior:
    """Return what is most probable on a further data set, from B's scores minus A's on those that there are.

    The posterior is a Dirichlet process over the differences, with a prior weight of 1/2 on none. Each draw weighs the
    data sets, and says which of worse, same (mean of two differences within ± `rope`) and better has the most weight;
    the result is how often each does. `rope` 0 knows no "same". Higher is better. Raises ValueError without data sets.
    """
    import numpy as np

    if not differences:
        raise ValueError("there is no data set")
    gaps = np.asarray([0.0, *differences])
    sums = gaps[:, None] + gaps
    above, below = (_step(side, 2 * rope) for side in (sums, -sums))
    weights = np.ones(len(gaps))
    weights[0] = _PRIOR
    generator = np.random.RandomState(_SEED)  # whose numbers no version of numpy changes
    won = np.zeros(3)
    step = max(1, _AT_ONCE // len(gaps))
    for start in range(0, draws, step):
        drawn = generator.dirichlet(weights, min(step, draws - start))
        better, worse = (np.einsum("ni,ni->n", drawn @ side, drawn) for side in (above, below))
        same = 1 - better - worse if rope > 0 else np.full_like(better, -1.0)
        shares = np.stack([worse, same, better])
        ahead = shares >= shares.max(axis=0) - _EQUAL
        won += (ahead / ahead.sum(axis=0)).sum(axis=1)  # of equal shares each has its part
    worse_share, same_share, better_share = (won / draws).tolist()
    return Posterior(worse_share, same_share, better_share, draws)


def _step(sums: "NDArray[np.float64]", bound: float) -> "NDArray[np.float64]":
    """Return 1 above the bound, 1/2 on it, 0 below."""
    weights: NDArray[np.float64] = (sums > bound) + 0.5 * (sums == bound)
    return weights


def correlated_t(differences: Sequence[float], rope: float = 0.0, overlap: float = 0.0) -> Posterior:
    """Return where the mean difference on one data set lies, from B's scores minus A's, run by run.

    Student's t with n - 1 degrees of freedom; the variance of the mean is s² (1/n + ρ/(1 - ρ)), where `overlap` ρ is
    the share of the data that each run tests on if all runs draw training and test data from the same (Nadeau and
    Bengio, 2003: 0.1 of ten-fold cross-validation), 0 of runs that are independent. Raises ValueError for fewer than
    two runs or an overlap outside [0, 1).
    """
    from scipy.special import stdtr

    sd = deviation(differences)
    if sd is None or not 0 <= overlap < 1:
        raise ValueError("two runs, and an overlap from 0 to below 1")
    middle, n = mean(differences), len(differences)
    error = sd * math.sqrt(1 / n + overlap / (1 - overlap))
    if error == 0:
        worse, better = float(middle < -rope), float(middle > rope)
        half = 0.0 if rope else 0.5 * (middle == 0)
        worse, better = worse + half, better + half
    else:
        worse = float(stdtr(n - 1, (-rope - middle) / error))
        better = float(stdtr(n - 1, (middle - rope) / error))
    return Posterior(worse, max(0.0, 1 - worse - better) if rope else 0.0, better)
