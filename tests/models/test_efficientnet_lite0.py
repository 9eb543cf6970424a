"""The pretrained classifier: data with some of its classes, named by WordNet number, and its published weights."""

from dataclasses import replace

import pytest
import torch

from harness.models.build import build_model
from harness.trial.datasets import CIFAR10
from harness.trial.imagenet_classes import IMAGENET
from harness.trial.models import EFFICIENTNET_LITE0, misfit

TEN = replace(CIFAR10, name="ten", input_shape=(3, 224, 224), class_names=tuple(sorted(IMAGENET)))


def test_its_classes_are_imagenets_in_order_of_their_wordnet_numbers():
    assert len(IMAGENET) == 10
    assert [IMAGENET[name] for name in sorted(IMAGENET)] == sorted(IMAGENET.values())
    assert (IMAGENET["n01440764"], IMAGENET["n03888257"]) == (0, 701)  # tench, the very first; parachute


def test_it_takes_data_whose_classes_it_knows():
    assert misfit(EFFICIENTNET_LITE0, TEN) is None
    other = replace(TEN, class_names=("n01440764", "cat", *TEN.class_names[2:]))
    assert misfit(EFFICIENTNET_LITE0, other) == "the model 'efficientnet_lite0' does not know the class 'cat' of 'ten'"
    assert "3×224×224 images of 1000 classes" in misfit(EFFICIENTNET_LITE0, replace(TEN, class_names=None))


def test_its_published_weights_fit():
    for library in EFFICIENTNET_LITE0.libraries:
        pytest.importorskip(library)
    network = build_model({"model": {"kind": "efficientnet_lite0"}, "compressors": {}}, (), {}).eval()
    with torch.no_grad():
        logits = network(torch.full((1, 3, 224, 224), 0.5))
    assert logits.shape == (1, 1000)
    assert bool(torch.isfinite(logits).all())
