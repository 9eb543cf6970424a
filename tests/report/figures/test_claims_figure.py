"""The forest plot of a study's claims: what stands where, which verdicts the legend names, and what is left out."""

from contextlib import chdir
from pathlib import Path

import pytest
from own_runs import store_runs

from harness.report.figures.claims import claims_figures
from harness.report.figures.results import Results
from harness.report.figures.style import as_bytes, styled
from harness.store.connection import open_store

STUDY = """study: own
task: function
target: train.py:run
metrics: {loss: minimize, kWh: {direction: minimize, unit: kWh}}
seeds: [0, 1, 2, 3, 4, 5, 6, 7]
trials:
  - {name: "{arguments.kind}", grid: {arguments.kind: [base, good, same]}}
"""
CLAIMS = """claims:
  - {id: good, a: good, b: base, metric: loss, says: better, by: 2}
  - {id: same, a: same, b: base, metric: loss, says: equal, by: 3}
  - {id: wrong, a: good, b: base, metric: loss, says: worse, by: 1}
  - {id: power, a: good, b: base, metric: kWh, says: not_worse, by: 0.5}
"""


def values(seed, kind="base"):
    gain = {"base": 0, "good": -4 - seed % 3, "same": (-1) ** seed}[kind]
    return {"loss": 100 + 10 * seed + gain, "kWh": 1.0 + seed + 0.1 * (kind == "good")}


@pytest.fixture
def drawn(tmp_path):
    """Return a function that draws the figures of a study with some claims."""

    def draw(claims):
        with chdir(tmp_path), styled():
            Path("train.py").write_text("def run(context, *, kind='base'):\n    return {}\n")
            Path("own.yml").write_text(STUDY + claims)
            store_runs("own.yml", values)
            with open_store("results/harness.db") as store:
                return claims_figures(Results(store, [Path("results/harness.db")]), "own")

    return draw


def test_a_figure_per_metric_and_a_row_per_claim(drawn):
    loss, power = drawn(CLAIMS)
    assert (loss.name, power.name) == ("claims-own-loss", "claims-own-kWh")
    (axes,) = loss.figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["good", "same", "wrong"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first on top
    assert (axes.get_xlabel(), power.figure.axes[0].get_xlabel()) == ("difference in loss", "difference in kWh [kWh]")


def test_points_intervals_and_what_is_too_small_are_those_of_the_findings(drawn):
    (axes,) = drawn(CLAIMS)[0].figure.axes
    points = [line.get_xdata()[0] for line in axes.lines if line.get_marker() != "None" and len(line.get_xdata()) == 1]
    assert points == pytest.approx([-4.875, 0.0, -4.875])
    intervals = [
        tuple(line.get_xdata()) for line in axes.lines if line.get_linewidth() == 1.6 and len(line.get_xdata()) == 2
    ]
    assert all(low < point < high for point, (low, high) in zip(points, intervals, strict=True))
    assert [(bar.get_x(), bar.get_width()) for bar in axes.patches] == [(-2, 4), (-3, 6), (-1, 2)]


def test_the_legend_names_the_verdicts_that_there_are(drawn):
    loss, power = drawn(CLAIMS)
    named = [[text.get_text() for text in each.figure.legends[0].get_texts()] for each in (loss, power)]
    assert named == [["supported", "contradicted"], ["supported"]]


def test_a_study_without_claims_has_none_and_late_ones_are_exploratory(drawn):
    assert drawn("") == []
    assert [label.get_text() for label in drawn(CLAIMS)[1].figure.axes[0].get_yticklabels()] == ["power *"]


def test_a_withdrawn_claim_is_left_out(drawn):
    drawn(CLAIMS)
    (loss,) = drawn("claims:\n" + CLAIMS.splitlines(keepends=True)[1])
    assert [label.get_text() for label in loss.figure.axes[0].get_yticklabels()] == ["good"]


def test_the_same_results_give_the_same_bytes(drawn):
    with styled():
        assert as_bytes(drawn(CLAIMS)[0], "svg") == as_bytes(drawn(CLAIMS)[0], "svg")
