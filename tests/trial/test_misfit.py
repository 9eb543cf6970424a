"""Which data fit which model, and in which words it is said that they do not."""

import pytest

from harness.attempt.data import DatasetDeclaration
from harness.trial.denoisers import DNCNN, DnCnnOptions
from harness.trial.models import VGG16, ModelDeclaration, misfit

ANY = ModelDeclaration("any", (3, 32, 32), 10, {}, "a:b", any_size=True)
FIXED = ModelDeclaration("fixed", (3, 32, 32), 0, {}, "a:b")


def data(*shape, classes=10):
    return DatasetDeclaration("d", "", shape, classes, {}, "nowhere:nothing")


@pytest.mark.parametrize(
    ("model", "given"),
    [
        (VGG16, data(3, 32, 32)),
        (DNCNN, data(3, 32, 32)),
        (DNCNN, data(3, 0, 0, classes=0)),
        (DNCNN.with_options(DnCnnOptions(channels=1)), data(1, 28, 28)),
        (ANY, data(3, 0, 0)),
        (FIXED, data(3, 32, 32, classes=7)),
    ],
)
def test_what_fits(model, given):
    assert misfit(model, given) is None


@pytest.mark.parametrize(
    ("model", "given", "why"),
    [
        (VGG16, data(1, 28, 28), "the model 'vgg16' takes 3×32×32 images of 10 classes, 'd' has 1×28×28 of 10"),
        (
            VGG16,
            data(3, 32, 32, classes=7),
            "the model 'vgg16' takes 3×32×32 images of 10 classes, 'd' has 3×32×32 of 7",
        ),
        (
            VGG16,
            data(3, 0, 0),
            "the model 'vgg16' takes 3×32×32 images of 10 classes, 'd' has 3-channel images of different sizes of 10",
        ),
        (DNCNN, data(1, 28, 28), "the model 'dncnn' takes 3-channel images of any size, 'd' has 1×28×28"),
        (
            DNCNN.with_options(DnCnnOptions(channels=1)),
            data(3, 0, 0),
            "the model 'dncnn' takes 1-channel images of any size, 'd' has 3-channel images of different sizes",
        ),
        (
            ANY,
            data(3, 8, 8, classes=2),
            "the model 'any' takes 3-channel images of any size of 10 classes, 'd' has 3×8×8 of 2",
        ),
        (FIXED, data(3, 8, 8), "the model 'fixed' takes 3×32×32 images, 'd' has 3×8×8"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(model, given, why):
    assert misfit(model, given) == why
