"""Two networks image by image: what is counted, which runs are paired, what is left out, and the bytes."""

import math

import numpy as np
import pytest
from denoising_records import ByHand, run, study, values

from harness.attempt.messages import Sample
from harness.attempt.metrics import Metric
from harness.report.figures.scatter import item_scatters, pair_of
from harness.report.figures.style import NotDrawn, as_bytes, styled

SAMPLES = {
    "a-0": [values([30, 31, 32, 33]), values([20, 21], "sigma-50")],
    "b-0": [values([31, 30, 34, 33]), values([22, 22], "sigma-50")],
    "c-0": [values([29, 29, 29, 29])],
}


def draw(samples, attempts=None, trials=("a", "b", "c"), **options):
    attempts = attempts or [run(trial) for trial in trials]
    with styled():
        return item_scatters(ByHand(study(attempts, trials, **options), samples=samples), "denoise")


def words(figure):
    return [text.get_text() for text in figure.figure.legends[0].get_texts()]


def panels(figure):
    return [axes for axes in figure.figure.axes if axes.get_visible()]


def test_a_figure_per_evaluation_and_a_panel_per_other_trial():
    at_25, at_50 = draw(SAMPLES)
    assert at_25.name == "scatter-denoise-photos-test-gaussian-sigma-25"
    assert at_50.name == "scatter-denoise-photos-test-gaussian-sigma-50"
    assert words(at_25) == [
        "b: mean difference +0.50 dB, 2 of 4 images better",  # an equal image is not better
        "c: mean difference \N{MINUS SIGN}2.50 dB, 0 of 4 images better",
    ]
    assert words(at_50) == ["b: mean difference +1.50 dB, 2 of 2 images better"]
    assert [axes.get_title(loc="left") for axes in panels(at_25)] == ["b", "c"]
    assert panels(at_25)[0].get_xlabel() == "psnr_db [dB], a"
    assert "Above the diagonal the other trial is better than a. Seed 0." in at_25.caption


def test_the_baseline_is_on_x_and_the_scales_are_the_same():
    axes = panels(draw(SAMPLES)[0])
    diagonal, points = axes[0].lines
    assert points.get_xdata().tolist() == [30, 31, 32, 33]
    assert points.get_ydata().tolist() == [31, 30, 34, 33]
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata())
    assert len({(each.get_xlim(), each.get_ylim()) for each in axes}) == 1
    assert axes[0].get_xlim() == axes[0].get_ylim()


def test_lower_is_better_if_the_metric_says_so():
    lower = Metric("error", "", "lower", by_item="wrong")
    samples = {"a-0": [values([0.5, 0.25], name="wrong")], "b-0": [values([0.25, 0.5], name="wrong")]}
    (drawn,) = draw(samples, trials=("a", "b"), metrics=[lower])
    assert words(drawn) == ["b: mean difference +0.0000, 1 of 2 images better"]
    assert pair_of("b", {0: np.array([3.0, 2.0])}, {0: np.array([1.0, 1.0])}).better(lower) == 2
    assert "Below the diagonal" in drawn.caption


def test_the_lowest_common_seed_is_paired():
    x = {seed: np.array([float(seed)]) for seed in (0, 1, 2)}
    assert pair_of("b", x, {1: x[1], 2: x[2]}).seeds == (1, 1)
    assert pair_of("b", {0: x[0]}, {1: x[1], 2: x[2]}).seeds == (0, 1)
    attempts = [run("a", 0), run("a", 1), run("b", 1), run("c", 2)]
    samples = {each.uid: [values([30 + each.seed, 31])] for each in attempts}
    (drawn,) = draw(samples, attempts)
    assert drawn.caption.endswith("Seeds: b 1 against 1; c 2 against 0.")


def test_images_without_a_finite_number_are_left_out_and_said():
    (drawn,) = draw({"a-0": [values([30, math.inf, 32])], "b-0": [values([31, 30, math.nan])]}, trials=("a", "b"))
    assert words(drawn) == ["b: mean difference +1.00 dB, 1 of 1 images better"]
    assert "Up to 2 images without a finite number are left out." in drawn.caption
    assert pair_of("b", {0: np.array([math.nan])}, {0: np.array([1.0])}) is None


def test_a_later_evaluation_counts_and_a_diverged_run_does_not():
    later = run("a", 0, uid="later", kind="evaluate", weights_from="a-0", accepted=False)
    attempts = [run("a"), later, run("b"), run("c", state="nan")]
    samples = {"later": [values([30, 31])], "b-0": [values([31, 32])], "c-0": [values([1, 2])]}
    (drawn,) = draw(samples, attempts)
    assert words(drawn) == ["b: mean difference +1.00 dB, 2 of 2 images better"]


@pytest.mark.parametrize(
    "metric",
    [Metric("accuracy", "fraction", by_item="correct"), Metric("psnr_db", "dB")],
    ids=["right or wrong", "no number per item"],
)
def test_other_metrics_have_no_such_figure(metric):
    packed = Sample("sigma-25", "correct", 8, "bits", b"\xf0")
    assert draw({"a-0": [packed], "b-0": [packed]}, metrics=[metric]) == []


def test_one_trial_has_nothing_to_be_held_against():
    assert draw({"a-0": [values([30])]}, trials=("a",)) == []


def test_what_is_missing_is_said():
    (none,) = draw({"b-0": [values([30])]})
    assert isinstance(none, NotDrawn)
    assert none.why == "no value per image is stored of the first trial, a"
    (alone,) = draw({"a-0": [values([30])], "b-0": [values([30], "sigma-50")]})
    assert alone.why == "no trial but the first, a, has values of the same images"


def test_five_trials_take_two_rows():
    trials = tuple("abcde")
    (drawn,) = draw({f"{trial}-0": [values([30, 31])] for trial in trials}, trials=trials)
    assert len(panels(drawn)) == 4
    assert [bool(axes.get_xlabel()) for axes in panels(drawn)] == [False, True, True, True]  # a label below each column


def test_many_points_do_not_make_a_large_file():
    numbers = np.random.default_rng(0).normal(30, 2, (2, 10_000))
    samples = {f"{trial}-0": [values(row)] for trial, row in zip("ab", numbers, strict=True)}
    with styled():
        assert len(as_bytes(draw(samples, trials=("a", "b"))[0], "svg")) < 300_000


def test_the_same_results_give_the_same_bytes():
    made = []
    for _ in range(2):
        with styled():
            made.append([as_bytes(figure, "svg") for figure in draw(SAMPLES)])
    assert made[0] == made[1]
