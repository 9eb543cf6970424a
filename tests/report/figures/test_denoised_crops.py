"""Crops and residuals of denoisers: who is shown with whom, what is measured, what is left out, and the bytes."""

import numpy as np
import pytest
import torch
from denoising_records import ByHand, kept, run, study

from harness.report.figures.make import image_figures
from harness.report.figures.maps import stored_maps
from harness.report.figures.pictures import crops_and_residuals, psnr_of, residual
from harness.report.figures.results import Results
from harness.report.figures.style import NotDrawn, as_bytes, styled
from harness.tasks.quality import psnr_db


def draw(pictures, attempts=None, trials=("a", "b", "c"), **options):
    attempts = attempts or [run(trial) for trial in trials]
    with styled():
        return crops_and_residuals(ByHand(study(attempts, trials, **options), pictures), "denoise")


def heads(figure):
    return [axes.get_title(loc="center") for axes in figure.axes if axes.get_title(loc="center")]


def below(figure):
    return [axes.get_xlabel() for axes in figure.axes]


def test_a_row_per_crop_and_a_column_per_trial_with_its_psnr():
    crops, residuals = draw({"a-0": kept(3), "b-0": kept(6), "c-0": kept(0)})
    assert (crops.name, residuals.name) == ("crops-denoise", "residuals-denoise")
    assert heads(crops.figure) == ["clean", "noisy", "a", "b", "c"]
    assert heads(residuals.figure) == ["clean", "noisy − clean", "a", "b", "c"]
    # 20·log10(255 / error): 22.11 dB of 20, 38.59 of 3, 32.57 of 6
    assert below(crops.figure) == ["", "22.11 dB", "38.59 dB", "32.57 dB", "no error"] * 2
    assert below(residuals.figure) == below(crops.figure)
    assert "×4 around mid-grey" in residuals.caption


def test_each_picture_is_what_was_kept_and_each_residual_four_times_the_error():
    crops, residuals = draw({"a-0": kept(3), "b-0": kept(40)}, trials=("a", "b"))
    shown = [np.unique(axes.images[0].get_array()).tolist() for axes in crops.figure.axes[:4]]
    assert shown == [[100], [120], [103], [140]]
    shown = [np.unique(axes.images[0].get_array()).tolist() for axes in residuals.figure.axes[:4]]
    assert shown == [[100], [128 + 80], [128 + 12], [255]]  # 128 + 160 does not fit
    assert crops.figure.axes[0].images[0].get_array().shape == (16, 12, 3)


def test_a_residual_keeps_its_sign():
    estimate, clean = np.array([[0, 255, 90]], dtype=np.uint8), np.array([[255, 0, 100]], dtype=np.uint8)
    assert residual(estimate, clean).tolist() == [[0, 255, 88]]


def test_psnr_is_that_of_the_task():
    drawn = np.random.default_rng(0).integers(0, 256, (2, 3, 9, 7), dtype=np.uint8)
    theirs = psnr_db(torch.from_numpy(drawn[:1]).float(), torch.from_numpy(drawn[1:]).float())
    assert psnr_of(drawn[0], drawn[1]) == pytest.approx(float(theirs), abs=1e-4)


def test_grey_crops_are_shown_as_grey():
    crops, _ = draw({"a-0": kept(channels=1)})
    assert crops.figure.axes[0].images[0].get_array().shape == (16, 12)


def test_the_lowest_seed_that_has_crops_is_shown_and_a_diverged_network_never():
    attempts = [run("a", 0), run("a", 1), run("b", 0, state="nan"), run("c", 2)]
    pictures = {"a-1": kept(3), "b-0": kept(90), "c-2": kept(6)}
    crops, _ = draw(pictures, attempts)
    assert heads(crops.figure) == ["clean", "noisy", "a", "c"]
    assert "Seed 1, 2." in crops.caption


def test_four_crops_at_most():
    crops, _ = draw({"a-0": kept(crops=6)})
    assert len(crops.figure.axes) == 4 * 3


def test_other_images_or_other_noise_make_a_figure_of_their_own():
    louder = kept() | {"noisy": kept()["noisy"] + np.uint8(9)}
    figures = draw({"a-0": kept(), "b-0": louder, "c-0": kept(base=101), "d-0": kept(5)}, trials=("a", "b", "c", "d"))
    crops = [figure for figure in figures if figure.name.startswith("crops")]
    assert [heads(figure.figure)[2:] for figure in crops] == [["a", "d"], ["b"], ["c"]]
    assert [figure.name for figure in crops] == ["crops-denoise", "crops-denoise-part2", "crops-denoise-part3"]
    assert crops[1].title.endswith(", part 2 of 3")


def test_more_than_six_trials_are_split():
    trials = tuple("abcdefgh")
    crops = draw({f"{trial}-0": kept() for trial in trials}, trials=trials)[::2]
    assert [len(heads(figure.figure)) for figure in crops] == [8, 4]


@pytest.mark.parametrize(
    "unlike",
    [
        {"images": np.zeros((1, 1, 4, 4), np.uint8), "maps": np.zeros((1, 2, 4, 4)), "labels": np.zeros(1, int)},
        {name: array[:, :, 0] for name, array in kept().items()},  # signals
        {name: array / 255 for name, array in kept().items()},
        {name: array[:0] for name, array in kept().items()},
        kept(channels=2),
        kept() | {"estimate": kept(size=(8, 6))["estimate"]},
    ],
    ids=["classification", "signals", "floats", "none", "two channels", "other size"],
)
def test_arrays_that_are_no_such_pictures_are_left_alone(unlike):
    assert draw({"a-0": unlike}, task="other") == []
    assert heads(draw({"a-0": unlike, "b-0": kept()}, task="other")[0].figure) == ["clean", "noisy", "b"]


def test_of_a_denoising_study_it_is_said_that_nothing_is_stored():
    crops, residuals = draw({})
    assert isinstance(crops, NotDrawn)
    assert isinstance(residuals, NotDrawn)
    assert crops.why == "no finished run has its crops stored next to the results"


def test_a_dollar_in_a_name_is_no_formula():
    with styled():
        trials = ("$a_b$ $c", "b")
        results = ByHand(study([run(trial) for trial in trials], trials), {f"{trials[0]}-0": kept()})
        assert b"<svg" in as_bytes(crops_and_residuals(results, "denoise")[0], "svg")


@pytest.mark.parametrize("form", ["svg", "pdf"])
def test_the_same_results_give_the_same_bytes(form):
    noise = np.random.default_rng(3).integers(0, 9, (2, 3, 16, 12), dtype=np.uint8)
    pictures = {"a-0": kept() | {"estimate": kept()["clean"] + noise}, "b-0": kept()}
    results = ByHand(study([run("a"), run("b")], ("a", "b")), pictures)
    made = []
    for _ in range(2):
        with styled():
            made.append([as_bytes(figure, form) for figure in image_figures(results, "denoise")[:2]])
    assert made[0] == made[1]
    assert made[0][0] != made[0][1]


def test_crops_are_no_maps_of_figure_5(published, monkeypatch):
    """A run of Table 1 with the arrays of another task has no maps, and stops nothing."""
    assert stored_maps(published)
    monkeypatch.setattr(Results, "kept", lambda *_: kept())
    assert stored_maps(published) == []
