"""A metric against a number of the evaluations' condition: PSNR against σ."""

from pathlib import Path

from denoising_records import ByHand, run, study

from harness.report.figures.make import figure_files
from harness.report.figures.results import Results
from harness.report.figures.study import condition_figures
from harness.report.figures.style import NotDrawn, styled
from harness.store.merge import open_results

A, B = {15.0: 33, 25.0: 30, 50.0: 26}, {15.0: 34, 50.0: 27}


def draw(attempts):
    with styled():
        return condition_figures(ByHand(study(attempts)))


def test_sigma_is_on_x_and_each_trial_is_a_line_of_its_means():
    (drawn,) = draw([run("a", 0, A), run("a", 1, {15.0: 35, 25.0: 31, 50.0: 26}), run("b", 0, B)])
    assert drawn.name == "psnr_db-sigma-denoise-photos-test-gaussian"
    (axes,) = drawn.figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("sigma", "psnr_db [dB] (photos test, gaussian)")
    found = {line.get_label(): dict(zip(*line.get_data(), strict=True)) for line in axes.lines}
    assert found == {"a": {15: 34, 25: 30.5, 50: 26}, "b": {15: 34, 50: 27}}  # c has no run


def test_the_legend_has_a_line_per_trial_and_hides_no_point():
    long = "with a name that is much too long to have another next to it"
    trials = (f"one {long}", f"two {long}")
    with styled():
        results = ByHand(study([run(trial, 0, A) for trial in trials], trials))
        (drawn,) = condition_figures(results)
        drawn.figure.draw_without_rendering()
        (legend,) = drawn.figure.legends
        box = legend.get_window_extent()
    first, second = (text.get_window_extent() for text in legend.get_texts())
    assert first.x0 == second.x0
    assert first.y0 > second.y1
    assert box.y1 <= drawn.figure.axes[0].get_window_extent().y0
    assert box.x1 <= drawn.figure.bbox.x1


def test_one_sigma_is_no_line():
    assert draw([run("a", 0, {25.0: 30}), run("b", 0, {25.0: 31})]) == [
        NotDrawn("psnr", "PSNR against σ", "no PSNR is stored")
    ]


def test_it_has_a_file_with_the_same_bytes():
    results = ByHand(study([run("a", 0, A), run("b", 0, B)]))
    name = "psnr_db-sigma-denoise-photos-test-gaussian.svg"
    assert figure_files(results, "svg")[0][name] == figure_files(results, "svg")[0][name]


def test_what_differs_in_its_other_options_is_a_line_of_its_own():
    """As of a classifier behind several denoisers."""
    file = Path(__file__).resolve().parents[3] / "results" / "published" / "adversarial-lite0.jsonl"
    with open_results([file]) as store, styled():
        drawn = {each.name: each for each in condition_figures(Results(store, [file]))}
        names = ["256-100-test-fgsm", "256-test-bim", "256-test-fgsm", "256-test-uniform_noise"]
        assert sorted(drawn) == [f"accuracy-epsilon-adversarial-lite0-ilsvrc_val10-224-224-of-{name}" for name in names]
        (axes,) = drawn[f"accuracy-epsilon-adversarial-lite0-ilsvrc_val10-224-224-of-{names[2]}"].figure.axes
        labels = [line.get_label() for line in axes.lines]
    assert len(labels) == len(set(labels)) == 6
    assert "EfficientNet-Lite0, denoiser blur sigma 1.5, knowledge aware" in labels
    assert "EfficientNet-Lite0" in labels
