"""Write `golden_of_others.json`: what scikit-posthocs, rliable, baycomp and statsmodels give, by these packages
themselves, on their own examples and on the table of Demšar (JMLR 7, 2006, Table 6). In an environment of its own:

    python -m venv /tmp/others
    /tmp/others/bin/pip install scikit-posthocs==0.17.1 baycomp==1.0.3 statsmodels==0.15.0 arch==8.0.0 absl-py seaborn
    /tmp/others/bin/pip install --no-deps rliable==1.2.0
    /tmp/others/bin/python tests/stats/golden_of_others.py > tests/stats/golden_of_others.json
"""

import json
import sys

import baycomp
import numpy as np
import pandas as pd
import scikit_posthocs
import scipy.stats
import statsmodels.formula.api as smf
from rliable import library, metrics

DEMSAR = [  # AUC on 14 data sets of C4.5, C4.5+m, C4.5+cf, C4.5+m+cf
    [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967],
    [0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931],
    [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875],
    [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
    [0.972, 0.981, 0.975, 0.975], [0.957, 0.978, 0.946, 0.970],
]  # fmt: skip
BLOCKS = [[31, 27, 24], [31, 28, 31], [45, 29, 46], [21, 18, 48], [42, 36, 46], [32, 17, 40]]  # scikit-posthocs' own
GROUPS = [[1, 2, 3, 4, 5], [35, 31, 75, 40, 21], [10, 6, 9, 6, 1]]  # its own of posthoc_wilcoxon
RUNS_X = [[1, 2], [2, 2], [1, 1], [2, 1]]  # rliable's own, runs by tasks
RUNS_Y = [[1, 1], [2, 2], [3, 3]]
LEFT, RIGHT = [15, 16, 17, 24, 11, 12, 13, 14], [10, 13, 15, 24, 15, 82, 83, 84]  # baycomp's own
FOLDS_X, FOLDS_Y = [4, 2, 6], [5, 7, 3]  # baycomp's own
CELLS = [  # seed, whether each of two parts is on, score: seeds lack different cells
    (0, 0, 0, 91.2), (0, 0, 1, 92.1), (0, 1, 0, 91.7), (0, 1, 1, 93.4), (1, 0, 0, 90.5), (1, 1, 0, 91.4),
    (1, 1, 1, 92.5), (2, 0, 0, 90.9), (2, 0, 1, 91.5), (2, 1, 1, 92.6), (3, 0, 1, 92.4), (3, 1, 0, 92.1),
    (4, 0, 0, 91.6), (4, 0, 1, 92.7), (4, 1, 0, 92.6), (4, 1, 1, 93.6), (5, 0, 0, 90.3), (5, 1, 1, 92.1),
]  # fmt: skip


def _without_random_state(kind):
    """rliable 1.2 hands on an argument that arch 8 calls otherwise, and draws from numpy's own generator."""
    made = kind.__init__

    def init(self, *args, random_state=None, **kwargs):
        made(self, *args, **kwargs)

    kind.__init__ = init


def friedman_of(table):
    statistic, p = scipy.stats.friedmanchisquare(*np.asarray(table).T)
    nemenyi = scikit_posthocs.posthoc_nemenyi_friedman(np.asarray(table))
    return {"table": table, "chi2": statistic, "p_chi2": p, "nemenyi": nemenyi.to_numpy().tolist()}


def rliable_of():
    np.random.seed(1)  # noqa: NPY002 - from which rliable draws
    x, y, both = np.asarray(RUNS_X), np.asarray(RUNS_Y), np.asarray(DEMSAR)
    generator = np.random.RandomState(7)
    runs = {name: (both[:, i] + generator.normal(0, 0.01, (5, 14))).round(4) for i, name in enumerate("ab")}
    estimates, intervals = library.get_interval_estimates(
        runs, lambda scores: np.asarray([metrics.aggregate_iqm(scores)]), reps=50_000
    )
    pairs, of_pairs = library.get_interval_estimates(
        {"a,b": (runs["b"], runs["a"])}, metrics.probability_of_improvement, reps=5_000
    )
    thresholds = [0.6, 0.7, 0.8, 0.9]
    profiles, bands = library.create_performance_profile(runs, thresholds, reps=20_000)
    return {
        "own": {"x": RUNS_X, "y": RUNS_Y, "iqm": [metrics.aggregate_iqm(x), metrics.aggregate_iqm(y)],
                "improvement": metrics.probability_of_improvement(x, y)},
        "runs": {name: of.T.tolist() for name, of in runs.items()},
        "iqm": {name: [estimates[name].item(), *intervals[name].ravel().tolist()] for name in runs},
        "improvement": [float(np.squeeze(pairs["a,b"])), *of_pairs["a,b"].ravel().tolist()],
        "thresholds": thresholds,
        "profiles": {name: [profiles[name].tolist(), *bands[name].tolist()] for name in runs},
    }  # fmt: skip


def baycomp_of():
    tables = [(LEFT, RIGHT, rope) for rope in (0, 1, 3)]
    demsar = np.asarray(DEMSAR)
    tables += [(demsar[:, 0].tolist(), demsar[:, 3].tolist(), rope) for rope in (0, 0.01)]
    draws = 400_000
    many = [{"a": a, "b": b, "rope": rope,
             "p": baycomp.SignedRankTest.probs(np.asarray(a), np.asarray(b), rope, nsamples=draws, random_state=1)}
            for a, b, rope in tables]  # fmt: skip
    x, y = np.asarray(FOLDS_X), np.asarray(FOLDS_Y)
    folds = [{"a": FOLDS_X, "b": FOLDS_Y, "rope": rope, "p": list(baycomp.CorrelatedTTest.probs(x, y, rope))}
             for rope in (0, 1)]  # fmt: skip
    return {"signed_rank": many, "correlated_t": folds}


def mixed_of():
    frame = pd.DataFrame(CELLS, columns=["seed", "a", "b", "y"])
    frame[["a", "b"]] = frame[["a", "b"]] - 0.5
    model = smf.mixedlm("y ~ a * b", frame, groups=frame["seed"])
    found = model.fit(reml=True, method="powell")
    hessian = model.hessian(found.params_object)[0][:4, :4]  # of the effects, the variances being what they are
    return {
        "cells": CELLS,
        "effects": found.fe_params.to_dict(),
        "errors": dict(zip(found.fe_params.index, np.sqrt(np.diag(np.linalg.inv(-hessian))).tolist(), strict=True)),
        "between": float(found.cov_re.iloc[0, 0]),
        "within": float(found.scale),
        "log_likelihood": float(found.llf),
    }


if __name__ == "__main__":
    for bootstrap in (library.arch_bs.IIDBootstrap, library.arch_bs.IndependentSamplesBootstrap):
        _without_random_state(bootstrap)
    with np.errstate(all="ignore"):
        wilcoxon = [
            scikit_posthocs.posthoc_wilcoxon(GROUPS, p_adjust=adjust).to_numpy().tolist() for adjust in (None, "holm")
        ]
    found = {
        "friedman": [friedman_of(BLOCKS), friedman_of(DEMSAR)],
        "wilcoxon": {"groups": GROUPS, "p": wilcoxon[0], "holm": wilcoxon[1]},
        "rliable": rliable_of(),
        "baycomp": baycomp_of(),
        "mixed": mixed_of(),
    }
    lines = (f"{json.dumps(name)}: {json.dumps(each)}" for name, each in found.items())
    sys.stdout.write("{" + ",\n ".join(lines) + "}\n")
