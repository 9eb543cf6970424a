"""What the models' sites and channels are, declared once and without torch.

The study files are checked against these declarations in milliseconds, and the models' code reads the same ones.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True)
class Site:
    """A place where a compressor can stand, named by the module behind which it stands."""

    name: str
    channels: int
    narrowable: bool  # may the convolution before it simply make fewer maps?


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

    def sites_of(self, options: ModelOptions) -> Mapping[str, Site]:
        """Return the sites of the model as `options` make it."""
        return self.sites if self.resized is None else self.resized(options)


def _sites(*sites: Site) -> dict[str, Site]:
    return {site.name: site for site in sites}


MNIST_CNN = ModelDeclaration(
    name="mnist_cnn",
    input_shape=(1, 28, 28),
    classes=10,
    sites=_sites(Site("conv2", channels=32, narrowable=True)),
    code="harness.models.mnist_cnn:MnistCnn",
)


class WidthOptions(ModelOptions):
    """Options of a model that can be made uniformly narrower or wider."""

    width: Annotated[float, Field(gt=0, le=4, strict=True, allow_inf_nan=False)] = 1.0

    def channels(self, full: int) -> int:
        """Return how many of `full` channels are left at this width: the nearest whole number, at least 1."""
        return max(1, int(full * self.width + 0.5))


VGG16_CHANNELS = (64, 128, 256, 512, 512)
"""Channels of each block of VGG-16 at full width; the site `convN` stands behind block N."""


def _vgg16_sites(options: ModelOptions) -> dict[str, Site]:
    if not isinstance(options, WidthOptions):
        raise TypeError(f"VGG-16 takes WidthOptions, not {type(options).__name__}")
    return _sites(
        *(Site(f"conv{n}", options.channels(full), narrowable=True) for n, full in enumerate(VGG16_CHANNELS, 1))
    )


VGG16 = ModelDeclaration(
    name="vgg16",
    input_shape=(3, 32, 32),
    classes=10,
    sites=_vgg16_sites(WidthOptions()),
    code="harness.models.vgg16:Vgg16",
    options=WidthOptions,
    resized=_vgg16_sites,
)

MODELS: Mapping[str, ModelDeclaration] = {m.name: m for m in (MNIST_CNN, VGG16)}
