"""What a study of denoising may say: noise levels, conditions, data and networks that fit, and what is refused."""

import pytest

from harness.base.checks import FieldError
from harness.trial.resolve import resolve_trial
from harness.trial.tasks import DenoisingOptions

SIGMA = {"kind": "denoising", "sigma": 25}


def trial(**parts):
    usual = {"task": SIGMA, "dataset": "cifar10", "model": "dncnn", "protocol": "denoise-tuned"}
    return resolve_trial(**{**usual, **parts})


def conditions(**parts):
    return [dict(evaluation.condition) for evaluation in trial(**parts).evaluations]


def test_it_is_evaluated_under_the_noise_that_it_is_trained_on():
    assert conditions() == [{"kind": "gaussian", "sigma": 25.0}]
    assert conditions(task={**SIGMA, "clip": True}) == [{"kind": "gaussian", "sigma": 25.0, "clip": True}]


@pytest.mark.parametrize(("low", "high", "usual"), [(0, 55, 25.0), (30, 60, 30.0), (5, 20, 20.0)])
def test_a_blind_network_is_evaluated_at_25_or_what_is_nearest_to_it(low, high, usual):
    blind = {"kind": "denoising", "sigma": {"from": low, "to": high}}
    assert conditions(task=blind) == [{"kind": "gaussian", "sigma": usual}]
    assert trial(task=blind).config["task"]["sigma"] == {"from": float(low), "to": float(high)}


def test_a_level_is_one_key_however_it_is_written():
    assert trial().key == trial(task={"kind": "denoising", "sigma": 25.0}).key
    whole, real = (trial(evaluate=[{"sigma": level}]).evaluations[0] for level in (20, 20.0))
    assert whole == real


def test_lists_stand_for_an_evaluation_each():
    several = conditions(evaluate=[{"dataset": "cbsd68", "sigma": [15, 50], "noise_seed": [0, 1]}])
    assert [(one["sigma"], one.get("noise_seed", 0)) for one in several] == [(15, 0), (15, 1), (50, 0), (50, 1)]


@pytest.mark.parametrize(
    ("parts", "path", "words"),
    [
        ({"task": "denoising"}, ("task", "sigma"), "'sigma' is missing"),
        ({"task": {"kind": "denoising", "sigma": 0}}, ("task", "sigma"), "greater than 0"),
        ({"task": {"kind": "denoising", "sigma": "25"}}, ("task", "sigma"), "must be a number"),
        ({"task": {"kind": "denoising", "sigma": {"from": 50, "to": 20}}}, ("task", "sigma"), "from a lower level"),
        ({"task": {"kind": "denoising", "sigma": {"form": 5, "to": 20}}}, ("task", "sigma", "form"), "mean 'from'"),
        ({"model": "vgg16"}, ("model",), "gives classes, not images"),
        ({"protocol": "cifar-fast"}, ("protocol", "normalization"), "write 'normalization: none'"),
        ({"dataset": "cbsd68"}, ("dataset",), "has no images for 'train', only for: test"),
        ({"dataset": "bsd432"}, ("protocol", "augmentation"), "has several sizes"),
        ({"dataset": "bsd432", "protocol": "dncnn"}, ("evaluate",), "has no test split: name what to test on"),
        ({"protocol": "dncnn"}, ("protocol", "augmentation"), "the patches are larger than the images of 'cifar10'"),
        ({"evaluate": [{"sigma": -1}]}, ("evaluate", 0, "sigma"), "greater than or equal to 0"),
        ({"evaluate": [{"dataset": "bsd68"}]}, ("evaluate", 0, "dataset"), "has 1-channel images"),
        (
            {"protocol": {"kind": "denoise-tuned", "train_on": "without_validation"}, "evaluate": ["cbsd68"]},
            ("evaluate", 0, "split"),
            "unknown split 'validation'",
        ),
    ],
)
def test_what_does_not_fit_is_refused(parts, path, words):
    with pytest.raises(FieldError) as raised:
        trial(**parts)
    assert (raised.value.path, words in raised.value.message) == (path, True), raised.value


def test_images_without_classes_cannot_be_classified():
    with pytest.raises(FieldError, match="have no classes"):
        trial(task="classification", dataset="sample-photos", model="dncnn", protocol="cifar-paper")
    with pytest.raises(FieldError, match="gives images, not classes"):
        trial(task="classification", model="dncnn", protocol="cifar-paper")
    patches = {"kind": "cifar-fast", "augmentation": {"kind": "patches", "size": 8, "per_image": 1}}
    with pytest.raises(FieldError, match="a patch is not the whole image"):
        trial(task="classification", model="vgg16", protocol=patches)


def test_its_options_are_read_back_from_the_key():
    config = trial(task={"kind": "denoising", "sigma": {"from": 5, "to": 50}, "clip": True}).config["task"]
    options = DenoisingOptions.model_validate({name: value for name, value in config.items() if name != "kind"})
    assert (options.sigma.from_, options.sigma.to, options.clip) == (5.0, 50.0, True)
