"""A linear mixed model with one random intercept per seed, for designs of which seeds lack some runs.

y = X b + u[seed] + e with u ~ N(0, between) and e ~ N(0, within), by restricted maximum likelihood: Laird and Ware,
"Random-effects models for longitudinal data", Biometrics 38, 1982. With one variance ratio the likelihood is profiled
to one dimension, so that it is maximised to machine precision. If every seed has all its runs, the estimates are those
of one contrast per seed.
"""

import math
import sys
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.stats.tests import LEVEL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_RATIO = (-12.0, 12.0)  # natural logarithms of between / within, in which the maximum is looked for


@dataclass(frozen=True)
class Effect:
    """A coefficient with its error, 95 % interval and two-sided p of Student's t."""

    estimate: float
    error: float
    low_95: float
    high_95: float
    p: float


@dataclass(frozen=True)
class Mixed:
    """A fitted model: the effects in the order of the columns, and the two variances."""

    effects: tuple[Effect, ...]
    between: float  # variance of the seeds
    within: float  # variance of the runs of a seed
    df: int  # of t: runs less the columns and the seeds that are fitted, each direction counted once
    log_likelihood: float  # restricted


def fit(rows: Sequence[Sequence[float]], values: Sequence[float], seeds: Sequence[Hashable]) -> Mixed:
    """Return the model of `values` with a row of the design, without intercept, and a seed each; it adds the intercept.

    The first of its effects is the intercept. Raises ValueError if the runs do not tell the columns apart, or leave no
    degree of freedom.
    """
    import numpy as np
    from scipy.optimize import minimize_scalar
    from scipy.special import stdtr, stdtrit

    y = np.asarray(values, dtype=np.float64)
    x = np.column_stack([np.ones(len(y)), np.asarray(rows, dtype=np.float64).reshape(len(y), -1)])
    number = {seed: i for i, seed in enumerate(dict.fromkeys(seeds))}
    group = np.asarray([number[seed] for seed in seeds])
    belongs = (group[:, None] == np.arange(len(number))).astype(np.float64)
    df = len(y) - int(np.linalg.matrix_rank(np.column_stack([x, belongs])))
    if np.linalg.matrix_rank(x) < x.shape[1] or df < 1:
        raise ValueError("the runs do not tell the effects apart")
    found = minimize_scalar(
        lambda at: -_Profile(x, y, belongs, math.exp(at)).log_likelihood, bounds=_RATIO, method="bounded",
        options={"xatol": 1e-10},
    )  # fmt: skip
    ratios = (0.0, math.exp(_RATIO[1]), math.exp(found.x))
    best = max((_Profile(x, y, belongs, ratio) for ratio in ratios), key=lambda profile: profile.log_likelihood)
    errors = np.sqrt(np.diag(best.covariance))
    reach = float(stdtrit(df, (1 + LEVEL) / 2))
    effects = []
    for estimate, error in zip(best.effects.tolist(), errors.tolist(), strict=True):
        p = 2 * float(stdtr(df, -abs(estimate) / error)) if error else float(estimate == 0)
        effects.append(Effect(estimate, error, estimate - reach * error, estimate + reach * error, p))
    return Mixed(tuple(effects), best.ratio * best.within, best.within, df, best.log_likelihood)


class _Profile:
    """The model at one ratio of the variances: effects and the variance within are then in closed form."""

    def __init__(self, x: "Floats", y: "Floats", belongs: "Floats", ratio: float) -> None:
        import numpy as np

        sizes = belongs.sum(axis=0)
        shrunk = ratio / (1 + ratio * sizes)  # of (I + ratio J)⁻¹ = I - shrunk J, seed by seed

        def weighted(left: "Floats", right: "Floats") -> "Floats":
            product: Floats = left.T @ right - (belongs.T @ left).T @ (shrunk[:, None] * (belongs.T @ right))
            return product

        information = weighted(x, x)
        column = y[:, None]
        self.ratio = ratio
        self.effects: Floats = np.linalg.solve(information, weighted(x, column))[:, 0].astype(np.float64)
        rest = column - x @ self.effects[:, None]
        left = len(y) - x.shape[1]
        self.within = max(float(weighted(rest, rest)[0, 0]) / left, sys.float_info.min)
        self.covariance: Floats = self.within * np.linalg.inv(information).astype(np.float64)
        determinants = float(np.log1p(ratio * sizes).sum()) + float(np.linalg.slogdet(information)[1])
        self.log_likelihood = -0.5 * (left * (math.log(2 * math.pi * self.within) + 1) + determinants)
