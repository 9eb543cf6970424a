"""What the models' sites and channels are, declared once and without torch.

The study files are checked against these declarations in milliseconds, and the models' code reads the same ones. The
layers are declared too, so that a table can count a network (`counts`); a test holds them equal to the models' code.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from harness.plugins.registry import Kinds
from harness.plugins.torchvision_models import TORCHVISION


@dataclass(frozen=True)
class Site:
    """A place where a compressor can stand, named by the module behind which it stands."""

    name: str
    channels: int
    narrowable: bool  # may the convolution before it simply make fewer maps?


@dataclass(frozen=True)
class Layer:
    """A convolution or a linear layer as its costs see it, with the batch normalisation behind it, if there is one."""

    inputs: int
    outputs: int
    area: int = 1  # of the kernel: 9 of a 3×3 convolution
    places: int = 1  # at which it is computed: height × width of its output
    bias: bool = True
    norm: bool = False


@dataclass(frozen=True)
class AtSite:
    """What a compressor makes of a site, for counting: channels before and behind it, and its own layers."""

    made: int  # channels, by the convolution before the site
    read: int  # by the next layer
    layers: tuple[Layer, ...] = ()  # whose `places` are those of the site


def is_undeclared(model: Mapping[str, Any]) -> bool:
    """Return whether a resolved network is a plug-in's (torchvision's are too) that does not declare its own sites.

    Its sites were found by running it, for the shape of the data, which stands in its configuration.
    """
    return "input_shape" in model


class ModelOptions(BaseModel):
    """Options of a model without any; those of other models derive from it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class ModelDeclaration:
    """A model by name: what it takes, what it gives, where a compressor can stand, and where its code is."""

    name: str
    input_shape: tuple[int, int, int]  # C, H, W
    classes: int
    sites: Mapping[str, Site]  # with the model's options at their defaults
    code: str  # module:class
    options: type[ModelOptions] = field(default=ModelOptions)
    resized: Callable[[ModelOptions], Mapping[str, Site]] | None = None  # where the options change the sites
    layers: "Callable[[ModelOptions, Sites], Iterator[Layer]] | None" = None  # None: only torch can count it

    def sites_of(self, options: ModelOptions) -> Mapping[str, Site]:
        """Return the sites of the model as `options` make it."""
        return self.sites if self.resized is None else self.resized(options)


Sites = Callable[[str, int, int], AtSite]
"""A site's name, channels and places → what stands there."""


def _sites(*sites: Site) -> dict[str, Site]:
    return {site.name: site for site in sites}


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
    sites=_sites(Site("conv2", channels=32, narrowable=True)),
    code="harness.models.mnist_cnn:MnistCnn",
    layers=_mnist_layers,
)


class WidthOptions(ModelOptions):
    """Options of a model that can be made uniformly narrower or wider."""

    width: Annotated[float, Field(gt=0, le=4, strict=True, allow_inf_nan=False)] = 1.0

    def channels(self, full: int) -> int:
        """Return how many of `full` channels are left at this width: the nearest whole number, at least 1."""
        return max(1, int(full * self.width + 0.5))


VGG16_CHANNELS = (64, 128, 256, 512, 512)
"""Channels of each block of VGG-16 at full width; the site `convN` stands behind block N."""

_VGG16_DEPTHS = (2, 2, 3, 3, 3)  # convolutions of each block


def _vgg16_sites(options: ModelOptions) -> dict[str, Site]:
    if not isinstance(options, WidthOptions):
        raise TypeError(f"VGG-16 takes WidthOptions, not {type(options).__name__}")
    return _sites(
        *(Site(f"conv{n}", options.channels(full), narrowable=True) for n, full in enumerate(VGG16_CHANNELS, 1))
    )


def _vgg16_layers(options: ModelOptions, sites: Sites) -> Iterator[Layer]:
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

MODELS = Kinds(
    "model",
    {m.name: m for m in (MNIST_CNN, VGG16)},
    group="harness.models",
    hint=f" (or {TORCHVISION}NAME)",
)
