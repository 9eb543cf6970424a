"""Are factorial effects recovered? Studies are simulated, their effects estimated by the functions that reports call:

    python tests/stats/simulate_effects.py --studies 20000

Each is the factorial design of three parts of a real study file, at eight seeds: the level of a seed, the effects below
and noise. Of each effect it prints the mean estimate and how often the 95 % interval covers the truth: of one contrast
per seed (`report findings`), and of the mixed model (`report effects`) when each run is missing with probability 0.15.
Three standard errors of a coverage of 0.95 are 0.0046 in 20,000 studies.
"""

import argparse
import math
import tempfile
from itertools import combinations
from pathlib import Path

import numpy as np

from harness.report.effects import signs_of
from harness.stats.mixed import fit
from harness.stats.tests import gap, interval, mean
from harness.study.ablate import factorial_levels
from harness.study.study import load_study

PARTS = "abc"
TRUE = {"a": 0.5, "b": 0.0, "c": 0.2, "a × b": -0.1, "a × c": 0.0, "b × c": 0.0}
SEEDS, BETWEEN, WITHIN, MISSING = 8, 0.4, 0.3, 0.15
ABLATE = {
    "switches": {f"arguments.{part}": 0 for part in PARTS}, "design": "factorial", "metric": "score", "by": 0.1,
}  # fmt: skip
NOISE = {
    "normal": lambda draw, size: draw.normal(size=size),
    "skewed": lambda draw, size: draw.exponential(size=size) - 1,
    "coarse": lambda draw, size: draw.normal(size=size).round(),  # few values, many ties
}


def claims():
    """Return of each effect the pairs of trials whose mean gap is its contrast, as a study's claims have them."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "train.py").write_text("def run(context, *, a=1, b=1, c=1):\n    return {}\n")
        file = Path(folder) / "own.yml"
        switches = ", ".join(f"{path}: 0" for path in ABLATE["switches"])
        file.write_text(
            "study: own\ntask: function\ntarget: train.py:run\nmetrics: {score: maximize}\nseeds: [0]\n"
            f"ablate: {{switches: {{{switches}}}, design: factorial, metric: score, by: 0.1}}\n"
        )
        found = {claim.id: [(a.name, b.name) for a, b in claim.pairs] for claim in load_study(file).claims}
    names = {**{part: part for part in PARTS}, **{f"{a} × {b}": f"{a}-by-{b}" for a, b in combinations(PARTS, 2)}}
    return {effect: found[name] for effect, name in names.items()}


def simulate(noise, studies, seed=0):
    """Return by effect the mean estimate and the coverage of the contrasts, then of the mixed model, and how many
    studies the model fitted.
    """
    draw, levels, pairs = np.random.RandomState(seed), factorial_levels(ABLATE), claims()
    signs = signs_of(levels)
    trials = list(levels.by_trial)
    truth = np.asarray([sum(TRUE[e] * signs[e][t] / 2 for e in TRUE) for t in trials])
    sums = {effect: np.zeros(4) for effect in TRUE}
    fitted = 0
    for _ in range(studies):
        level = BETWEEN * draw.normal(size=(SEEDS, 1))
        scores = truth + level + WITHIN * NOISE[noise](draw, (SEEDS, len(trials)))
        by_trial = [dict(zip(trials, row, strict=True)) for row in scores.tolist()]
        for effect, true in TRUE.items():
            gaps = [mean([gap(row[a], row[b]) for a, b in pairs[effect]]) for row in by_trial]
            low, high = interval(gaps)
            sums[effect][:2] += mean(gaps), low <= true <= high
        there = np.argwhere(draw.random_sample(scores.shape) >= MISSING).tolist()
        rows = [[of[trials[i]] / 2 for of in signs.values()] for _, i in there]
        try:
            model = fit(rows, [scores[s, i] for s, i in there], [s for s, _ in there])
        except ValueError:
            continue
        fitted += 1
        for effect, found in zip(signs, model.effects[1:], strict=True):
            sums[effect][2:] += found.estimate, found.low_95 <= TRUE[effect] <= found.high_95
    of = np.asarray([studies, studies, fitted, fitted])
    return {effect: (total / of).tolist() for effect, total in sums.items()}, fitted


def main():
    """Print a line per kind of noise and effect."""
    asked = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    asked.add_argument("--studies", type=int, default=2000)
    studies = asked.parse_args().studies
    print("noise   effect   truth   contrasts: mean, coverage   mixed model: mean, coverage")
    for noise in NOISE:
        found, fitted = simulate(noise, studies)
        for effect, (middle, covered, of_model, covered_by_model) in found.items():
            print(
                f"{noise:<7} {effect:<8} {TRUE[effect]:>5.2f}   {middle:>15.4f}  {covered:>8.4f}"
                f"   {of_model:>17.4f}  {covered_by_model:>8.4f}"
            )
        off = 3 * math.sqrt(0.95 * 0.05 / studies)
        print(f"{noise:<7} {studies} studies, {fitted} of them with runs left for the model; 0.95 ± {off:.4f}")


if __name__ == "__main__":
    main()
