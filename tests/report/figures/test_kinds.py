"""Plots of any study: they show the numbers that simple loops give, and say in a line what cannot be drawn."""

import math
from itertools import product
from statistics import fmean, median, quantiles

import pytest
from matplotlib.text import Text

from harness.attempt.metrics import Metric
from harness.base.errors import HarnessError
from harness.report.figures.kinds import KINDS, check_options, draw_kind
from harness.report.figures.style import COLOURS, GREY, as_bytes, styled
from harness.report.tidy import Tidy
from harness.stats.tests import interval

RATES, WIDTHS, SEEDS = (0.01, 0.1, 1.0), (8, 16), (0, 1, 2)


def score(rate, width, seed):
    return math.sin(9 * rate) + width / 10 + ((7 * seed + width) % 5) / 50


def row(rate, width, seed, **changes):
    return {
        "study": "s",
        "trial": f"{rate} {width}",
        "seed": seed,
        "attempt": f"{rate}-{width}-{seed}",
        "arguments.rate": rate,
        "model.width": width,
        "score": score(rate, width, seed),
        "parameters": 1000.0 * width,
        **changes,
    }


ROWS = tuple(row(*place) for place in product(RATES, WIDTHS, SEEDS))
RUNS = Tidy(
    rows=ROWS,
    columns=dict.fromkeys(ROWS[0], object),
    settings=("arguments.rate", "model.width"),
    metrics={"score": Metric("score", "dB")},
    baselines=("0.01 8",),
)
POINTS = [
    {**{name: r[name] for name in ("study", "trial", "seed", "attempt")}, "split": split, "metric": "score",
     "step": step, "value": r["score"] * step + r["seed"]}
    for r in ROWS for split in ("train", "test") for step in range(5)
]  # fmt: skip


def draw(kind, runs=RUNS, points=POINTS, **options):
    with styled():
        return draw_kind(kind, "s", runs, lambda: points, options)


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_a_curve_is_the_median_with_the_range():
    drawn = draw("curves", by="rate")
    (axes,) = drawn.figure.axes
    assert [label.get_text() for label in drawn.figure.legends[0].get_texts()] == [
        f"{rate:g} (n = 6)" for rate in RATES
    ]
    expected = [
        [[score(rate, width, seed) * step + seed for width in WIDTHS for seed in SEEDS] for step in range(5)]
        for rate in RATES
    ]
    for line, band, values in zip(axes.lines, axes.collections, expected, strict=True):
        assert list(line.get_ydata()) == pytest.approx([median(each) for each in values])
        corners = {(int(x), round(float(y), 9)) for x, y in band.get_paths()[0].vertices}
        assert {(step, round(end(each), 9)) for step, each in enumerate(values) for end in (min, max)} <= corners
    assert axes.get_ylabel() == "score (test)"


def test_quartiles_of_many_runs_and_a_gap_where_half_of_them_diverged():
    points = [
        {**POINTS[0], "attempt": str(run), "step": step, "value": float(run)} for run in range(9) for step in (0, 1)
    ]
    for point in points:
        if point["step"] == 1 and int(point["attempt"]) < 5:
            point["value"] = math.nan
    (axes,) = draw("curves", points=points).figure.axes
    assert list(axes.lines[0].get_ydata()) == pytest.approx([4, math.nan], nan_ok=True)
    low, _, high = quantiles(range(9), n=4, method="inclusive")
    heights = {float(y) for x, y in axes.collections[0].get_paths()[0].vertices if x == 0}
    assert heights == {low, high}


def test_too_many_lines_are_told_apart_by_a_setting_or_refused():
    many = [row(rate, width, 0, trial=str(rate)) for rate in range(20) for width in WIDTHS]
    points = [{**POINTS[0], "trial": r["trial"], "attempt": r["attempt"]} for r in many]
    runs = Tidy(tuple(many), RUNS.columns, RUNS.settings, RUNS.metrics)
    assert "s by model.width" in draw("curves", runs, points).figure.axes[0].get_title(loc="left")
    with pytest.raises(HarnessError, match=r"20 lines cannot be told apart; choose by: 'model\.width'"):
        draw("curves", runs, points, by="rate")


def test_a_cell_is_the_mean_of_its_runs():
    (axes,) = draw("heatmap").figure.axes
    means = [fmean(score(rate, width, seed) for seed in SEEDS) for width in WIDTHS for rate in RATES]
    assert texts(axes) == [f"{value:.1f}" for value in means]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("rate", "model.width")
    (turned,) = draw("heatmap", x="model.width", y="rate").figure.axes
    assert sorted(texts(turned)) == sorted(texts(axes))
    (of_seeds,) = draw("heatmap", x="seed", y="rate").figure.axes
    assert len(texts(of_seeds)) == 9


def test_many_numbers_are_put_into_intervals():
    rows = [row(10 ** (-3 + at / 10), 8 + at % 2, 0) for at in range(31)]
    (axes,) = draw("heatmap", Tidy(tuple(rows), RUNS.columns, RUNS.settings, RUNS.metrics)).figure.axes
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["0.001–0.0032", "0.0032–0.01", "0.01–0.032", "0.032–0.1", "0.1–0.32", "0.32–1"]
    own = [r["score"] for r in rows if r["arguments.rate"] < 0.00316 and r["model.width"] == 8]
    assert len(own) == 3
    assert texts(axes)[0] == f"{fmean(own):.1f}"
    assert len(texts(axes)) == 12


def test_an_interval_is_students_and_a_difference_by_seed():
    (axes,) = draw("intervals").figure.axes
    trials = [label.get_text() for label in axes.get_yticklabels()]
    assert trials == [f"{rate} {width}" for rate in RATES for width in WIDTHS]
    ends = [line for line in axes.lines if len(set(line.get_ydata())) == 1 and len(line.get_xdata()) == 2]
    assert list(ends[1].get_xdata()) == pytest.approx(interval([score(0.01, 16, seed) for seed in SEEDS]))
    assert (ends[0].get_color(), ends[1].get_color()) == (GREY, COLOURS[0]), "the study's baseline is grey"
    (against,) = draw("intervals", against="0.01 8").figure.axes
    marks = [float(line.get_xdata()[0]) for line in against.lines if line.get_marker() == "D"]
    assert marks[0] == pytest.approx(fmean(score(0.01, 16, seed) - score(0.01, 8, seed) for seed in SEEDS))
    assert len(marks) == len(trials) - 1


def test_the_front_is_of_what_nothing_beats():
    drawn = draw("pareto", cost="parameters")
    means = {(rate, width): fmean(score(rate, width, seed) for seed in SEEDS) for rate in RATES for width in WIDTHS}
    best = [max(RATES, key=lambda rate: means[rate, width]) for width in WIDTHS]
    assert drawn.caption.endswith(f"On the front: {best[0]} 8; {best[1]} 16.")
    assert "lower is better" in drawn.figure.axes[0].get_xlabel()
    assert draw("pareto").name == "pareto-s-score-parameters", "the first cost in which trials differ"


def test_a_line_goes_through_each_trials_settings():
    drawn = draw("parallel")
    (axes,) = drawn.figure.axes
    lines = [line for line in axes.lines if len(line.get_xdata()) == 3]
    assert len(lines) == len(RATES) * len(WIDTHS)
    assert "(log)" in axes.get_xticklabels()[0].get_text(), "0.01 to 1"
    best = max(product(RATES, WIDTHS), key=lambda place: fmean(score(*place, seed) for seed in SEEDS))
    thick = max(lines, key=lambda line: line.get_linewidth())
    assert thick.get_ydata()[-1] == 1
    assert f"The best, thick: {best[0]} {best[1]}." in drawn.caption


def test_bars_of_importance_add_up():
    (axes,) = draw("importance").figure.axes
    shares = [float(text.removesuffix("%")) for text in texts(axes)]
    assert sum(shares) == pytest.approx(100, abs=0.3)
    assert {label.get_text() for label in axes.get_yticklabels()} > {"rate", "model.width", "seeds (noise)"}


def test_runs_without_a_number_are_counted():
    rows = (*ROWS[:-1], {**ROWS[-1], "score": math.nan})
    runs = Tidy(rows, RUNS.columns, RUNS.settings, RUNS.metrics)
    for kind in ("heatmap", "intervals", "pareto", "parallel"):
        assert "Left out: 1 of 18 runs, without a finite score" in draw(kind, runs).caption


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("heatmap", {"metric": "scroe"}, "no metric 'scroe'; did you mean 'score'"),
        ("heatmap", {"metric": "a"}, "'a' is in several names: 'trial', 'attempt', 'arguments.rate' and 1 more; write"),
        ("heatmap", {"x": "ratte"}, "no field 'ratte'; did you mean 'rate'"),
        ("heatmap", {"x": "rate", "y": "arguments.rate"}, "x and y are both 'rate'"),
        ("intervals", {"against": "0.01 9"}, "no trial '0.01 9' to compare with; did you mean '0.01 8'"),
        ("intervals", {"by": "rate", "against": "0.1"}, "several runs of one rate have one seed"),
        ("pareto", {"cost": "weight"}, "no column of numbers 'weight'"),
        ("curves", {"metric": "los"}, "no curve of 'los'"),
        ("curves", {"split": "tst"}, "no curve of score on 'tst'; did you mean 'test'"),
    ],
)
def test_what_cannot_be_drawn_is_a_line(kind, options, words):
    with pytest.raises(HarnessError, match=words):
        draw(kind, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_no_formulas_and_none_is_left_out(kind):
    names = {"0.01 8": "_under", "0.01 16": r"$\frac$ <b>"}
    rows = [
        {**r, "trial": names.get(r["trial"], r["trial"]), "lo$s$": r["score"], "c$st$": 1.0 * r["seed"]} for r in ROWS
    ]
    points = [{**p, "trial": names.get(p["trial"], p["trial"]), "metric": "lo$s$"} for p in POINTS]
    columns = dict.fromkeys(rows[0], object)
    runs = Tidy(tuple(rows), columns, RUNS.settings, {"lo$s$": Metric("lo$s$", "", "lower")})
    with styled():
        drawn = draw_kind(kind, "s", runs, lambda: points, {"cost": "c$st$"})
        as_bytes(drawn, "png")
    found = [text.get_text() for text in drawn.figure.findobj(Text)]
    assert any("lo$s$" in text for text in found)
    if kind in {"curves", "intervals", "pareto"}:
        assert any(text.strip().startswith("_under") for text in found)
        assert any(text.startswith(r"$\frac$ <b>") for text in found)


def test_a_curve_without_a_number_is_refused():
    with pytest.raises(HarnessError, match=r"no value of score \(test\) is finite"):
        draw("curves", points=[{**point, "value": math.nan} for point in POINTS])


@pytest.mark.parametrize("kind", KINDS)
def test_of_nothing_nothing_is_drawn(kind):
    with pytest.raises(HarnessError):
        draw(kind, Tidy((), RUNS.columns, (), {}), [])


def test_options_go_with_kinds():
    check_options(["curves", "heatmap"], ["by", "x", "metric"])
    with pytest.raises(HarnessError, match="'cost' goes with pareto, not with curves, heatmap"):
        check_options(["curves", "heatmap"], ["cost"])
