"""A comparison over data sets as a document: scores by data set and method, the pairs, and the verdicts in words."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from harness.report.datasets.comparison import Comparison, PairResult
from harness.report.datasets.scores import Scores
from harness.report.document import Cell, DocColumn, DocRow, Document, Note, StatisticsTable
from harness.report.printing import fitted, fixed, number
from harness.report.render.machines import json_text
from harness.report.tables.statistics_table import p_text
from harness.report.tables.table import NumberFormat
from harness.stats.aggregate import Estimate
from harness.stats.bayesian import Posterior
from harness.stats.ranks import datasets_needed
from harness.stats.tests import LEVEL, mean

_PAIRS = ("Verdict", "Wins/ties/losses", "Median difference", "p (Holm)", "A run is better [95%]", "Probably")


def datasets_document(found: Comparison) -> Document:
    """Return data sets × methods with mean ranks and means below, the pairs, and the verdicts."""
    scores = found.scores
    names = [method.name for method in found.methods]
    means = {m: [mean(list(scores.runs[m][d].values())) for d in scores.datasets] for m in names}
    form = fitted(NumberFormat(digits=scores.metric.digits), [value for of in means.values() for value in of])
    rows = [_row(scores, names, i, [means[m][i] for m in names], form) for i in range(len(scores.datasets))]
    of_methods = (
        ("mean rank", [(method.mean_rank, fixed(method.mean_rank, 2)) for method in found.methods]),
        ("mean [95% over seeds]", [(m.mean.value, _estimate(m.mean, form)) for m in found.methods]),
        (
            "interquartile mean [95% over seeds]",
            [(m.interquartile_mean.value, _estimate(m.interquartile_mean, form)) for m in found.methods],
        ),
    )
    for label, values in of_methods:
        cells = (Cell(scores.study, label, m, ours=v, text=text) for m, (v, text) in zip(names, values, strict=True))
        rows.append(DocRow(label, tuple(cells)))
    under = f", {scores.condition}" if scores.condition else ""
    better = "lower is better" if scores.lower_is_better else "higher is better"
    return Document(
        title=f"Study {scores.study}",
        caption=f"{scores.metric.label}{under} by {scores.by} (rows) and method (columns), {better}: means over"
        f" {_seeds(scores)}",
        columns=tuple(map(DocColumn, names)),
        rows=tuple(rows),
        notes=tuple(_notes(found)),
        compares=False,
        statistics=(_pairs(found, form),),
    )


def _row(scores: Scores, names: Sequence[str], i: int, means: Sequence[float], form: NumberFormat) -> DocRow:
    """Return a data set's means, the best in bold."""
    dataset, best = scores.datasets[i], (min if scores.lower_is_better else max)(means)
    cells = []
    for name, value in zip(names, means, strict=True):
        values = tuple(scores.runs[name][dataset].values())
        cells.append(
            Cell(scores.study, dataset, name, ours=value, unit=scores.metric.unit, runs=len(values), select="mean",
                 values=values, dataset=dataset, text=number(value, form), bold=value == best)
        )  # fmt: skip
    return DocRow(dataset, tuple(cells))


def _seeds(scores: Scores) -> str:
    counts = sorted({len(values) for values in scores.runs[scores.methods[0]].values()})
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{seeds} seed{'' if counts[-1] == 1 else 's'}"


def _estimate(found: Estimate, form: NumberFormat) -> str:
    if found.low_95 is None or found.high_95 is None:
        return number(found.value, form)
    return f"{number(found.value, form)} [{number(found.low_95, form)}, {number(found.high_95, form)}]"


def _pairs(found: Comparison, form: NumberFormat) -> StatisticsTable:
    two = NumberFormat(digits=2)
    rows = [
        (
            f"{pair.b} against {pair.a}",
            pair.verdict,
            f"{pair.test.wins}/{pair.test.ties}/{pair.test.losses}",
            f"{pair.test.median:+.2g}" if pair.test.median else number(0.0, form),
            f"{p_text(pair.test.p, pair.test.draws)} ({p_text(pair.test.p_holm)})",
            _estimate(pair.improvement, two),
            _posterior(pair.posterior, found.rope),
        )
        for pair in found.pairs
    ]
    return StatisticsTable(
        name="pairs",
        title="Pairs of methods, the data set as the unit",
        columns=_PAIRS,
        rows=tuple(rows),
        notes=tuple(_how_to_read(found)),
        data=(),
        networks=False,
    )


def _posterior(found: Posterior, rope: float) -> str:
    same = f", same {found.same:.2f}" if rope else ""
    return f"better {found.better:.2f}{same}, worse {found.worse:.2f}"


def _how_to_read(found: Comparison) -> Iterator[str]:
    tests = len(found.pairs)
    yield (
        "Wilcoxon's signed ranks, two-sided and exact (± the error of p, if signs were drawn), decide, after Holm's"
        f" correction over {tests} pair{'' if tests == 1 else 's'}."
    )
    yield (
        "A run is better: the probability that a run of the first beats one of the second on a data set of these; its"
        " interval, and those of the means, are over seeds and say nothing of other data sets."
    )
    within = f", same: within ± {found.rope:g}" if found.rope else ""
    yield f"Probably: of a further data set, by the Bayesian signed-rank test{within}; no correction."


def _notes(found: Comparison) -> Iterator[Note]:
    against = "all pairs" if found.against is None else f"against {found.against}"
    yield Note(f"Verdicts ({against}):", tuple(map(verdict_text, found.pairs)))
    yield Note(_friedman(found))
    if len(found.methods) > 2:
        yield Note(_nemenyi(found))
    if found.scores.left_out:
        yield Note("Left out:", found.scores.left_out)


def verdict_text(pair: PairResult) -> str:
    """Return "forest is better than tree: ahead on 8 of 8 data sets, p 0.023"; why, if nothing is shown."""
    test, total = pair.test, pair.test.wins + pair.test.ties + pair.test.losses
    p = f"p {p_text(test.p_holm)} after Holm over {test.tests}" if test.tests > 1 else f"p {p_text(test.p)}"
    if pair.verdict == "too few data sets to tell":
        needed = datasets_needed(test.tests)
        tie = f", {test.ties} of them tied" if test.ties else ""
        return (
            f"{pair.b} and {pair.a}: too few data sets to tell ({total}{tie}; smallest attainable p"
            f" {p_text(test.smallest_holm)}): {needed} without a tie could"
        )
    ahead = f"ahead on {test.wins} of {total} data sets"
    if pair.verdict == "undecided":
        return f"{pair.b} and {pair.a}: undecided, {pair.b} {ahead}, {p}"
    return f"{pair.b} is {pair.verdict} than {pair.a}: {ahead}, {p}"


def _friedman(found: Comparison) -> str:
    test = found.friedman
    how = "all orders counted" if test.draws is None else f"{test.draws:,} random orders"
    n, k = len(found.scores.datasets), len(found.methods)
    if not test.can_tell:
        return (
            f"Friedman: too few to tell whether any of the {k} methods differ on {n} data sets (smallest attainable p"
            f" {p_text(test.smallest_p)})."
        )
    says = "the methods differ" if test.p < test.alpha else "the methods are not shown to differ"
    f = "" if math.isinf(test.f) else f"; Iman and Davenport's F {test.f:.3g}, p {p_text(test.p_f)}"
    return (
        f"Friedman: {says} (p {p_text(test.p, test.draws)}, {how}; by approximation χ² {test.chi2:.3g}, p"
        f" {p_text(test.p_chi2)}{f})."
    )


def _nemenyi(found: Comparison) -> str:
    alpha = f"{1 - LEVEL:.2f}"
    if found.reach > len(found.methods) - 1:
        return (
            f"Nemenyi: the critical difference at {alpha} is {found.reach:.2f} ranks, more than any two of"
            f" {len(found.methods)} methods can lie apart: too few data sets."
        )
    groups = "; ".join(", ".join(group) for group in found.cliques) or "none: all are told apart"
    return f"Nemenyi: critical difference of mean ranks at {alpha}: {found.reach:.2f}; not told apart: {groups}."


def datasets_json(found: Comparison) -> str:
    """Return all of it as JSON, with every number unrounded; scores by method, data set and seed."""
    scores = found.scores
    content = {
        "study": scores.study,
        "metric": asdict(scores.metric),
        "condition": scores.condition,
        "by": scores.by,
        "datasets": list(scores.datasets),
        "left_out": list(scores.left_out),
        "against": found.against,
        "rope": found.rope,
        "overlap": found.overlap,
        "methods": [
            {**asdict(method), "scores": {d: {str(s): v for s, v in scores.runs[method.name][d].items()}
                                          for d in scores.datasets}}
            for method in found.methods
        ],
        "thresholds": list(found.thresholds),
        "friedman": asdict(found.friedman),
        "critical_difference": found.reach,
        "cliques": [list(group) for group in found.cliques],
        "pairs": [
            {**asdict(pair), "test": {k: v for k, v in asdict(pair.test).items() if k not in {"a", "b"}}}
            for pair in found.pairs
        ],
    }  # fmt: skip
    return json_text(content)
