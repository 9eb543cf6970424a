"""The words in which a model is declared: its sites, layers, options, and which data fit it. Without torch.

The models themselves are declared in `harness.trial.models` and `harness.trial.denoisers`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Generic

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeVar

from harness.attempt.data import DatasetDeclaration


@dataclass(frozen=True)
class Site:
    """A place where a compressor can go, named by the module behind which it is."""

    name: str
    channels: int
    narrowable: bool  # may the convolution before it simply make fewer maps?
    activated: bool = True  # does it end with an activation, before which a compressor may go?


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

    Its sites were found by running it, for the shape of the data, which is in its configuration.
    """
    return "input_shape" in model


class ModelOptions(BaseModel):
    """Options of a model without any; those of other models derive from it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Options = TypeVar("Options", bound=ModelOptions, default=Any)


@dataclass(frozen=True)
class ModelDeclaration(Generic[Options]):
    """A model by name: what it takes, what it gives, where a compressor can go, and where its code is.

    All that depends on its options takes them as what they are, of type `Options`.
    """

    name: str
    input_shape: tuple[int, int, int]  # C, H, W
    classes: int  # 0: it returns images
    sites: Mapping[str, Site]  # with the model's options at their defaults
    code: str  # module:class
    options: type[Options] = field(default=ModelOptions)  # type: ignore[assignment]  # of a model without any
    resized: Callable[[Options], Mapping[str, Site]] | None = None  # if the options change the sites
    layers: "Callable[[Options, Sites], Iterator[Layer]] | None" = None  # None: only torch can count it
    any_size: bool = False
    """It takes images of any height and width; `input_shape` is the one for which costs are counted."""
    shaped: Callable[[Options], tuple[int, int, int]] | None = None  # if the options change the input's shape
    any_channels: bool = False  # it takes grey and colour images alike, whatever `input_shape` says
    libraries: tuple[str, ...] = ()  # of an extra, by the names that are imported (`harness.base.extras`)
    known: Mapping[str, int] = field(default_factory=dict)
    """Of pretrained weights: which of its classes each class of data is, by name; then data may have some of them."""
    seeded: bool = True
    """Of one that is not trained: whether its results follow from the seed of the run, as a plug-in's may."""
    trains: bool = True  # False: it is evaluated as it is, such as a classical method; its trials have no protocol

    def sites_of(self, options: Options) -> Mapping[str, Site]:
        """Return the sites of the model as `options` make it."""
        return self.sites if self.resized is None else self.resized(options)

    def shape_of(self, options: Options) -> tuple[int, int, int]:
        """Return the shape (C, H, W) of the inputs of the model as `options` make it."""
        return self.input_shape if self.shaped is None else self.shaped(options)

    def with_options(self, options: Options) -> "ModelDeclaration[Options]":
        """Return what is declared of the model as `options` make it: its sites, and the shape of its inputs."""
        return replace(self, sites=self.sites_of(options), input_shape=self.shape_of(options))


Sites = Callable[[str, int, int], AtSite]
"""A site's name, channels and places → what is there."""


def by_name(*sites: Site) -> dict[str, Site]:
    """Return sites by their names."""
    return {site.name: site for site in sites}


class WidthOptions(ModelOptions):
    """Options of a model that can be made uniformly narrower or wider."""

    width: Annotated[float, Field(gt=0, le=4, strict=True, allow_inf_nan=False)] = 1.0

    def channels(self, full: int) -> int:
        """Return how many of `full` channels are left at this width: the nearest whole number, at least 1."""
        return max(1, int(full * self.width + 0.5))


def misfit(model: ModelDeclaration, data: DatasetDeclaration) -> str | None:
    """Return why data do not fit a model, None if they do.

    The channels must be equal; height and width too, unless the model takes any; and the classes, if the model has any.
    Data whose images differ in size have an input shape (C, 0, 0), which only a model for any size takes.
    """
    has, takes = data.input_shape, model.input_shape
    fits = (model.any_channels or has[0] == takes[0]) if model.any_size else has == takes
    if fits and model.classes in (0, data.classes):
        return None
    if fits and model.known and data.class_names is not None:
        unknown = [name for name in data.class_names if name not in model.known]
        return f"the model '{model.name}' does not know the class '{unknown[0]}' of '{data.name}'" if unknown else None
    wanted = f"{takes[0]}-channel images of any size" if model.any_size else f"{_times(takes)} images"
    given = _times(has) if any(has[1:]) else f"{has[0]}-channel images of different sizes"
    if model.classes:
        wanted, given = f"{wanted} of {model.classes} classes", f"{given} of {data.classes}"
    return f"the model '{model.name}' takes {wanted}, '{data.name}' has {given}"


def _times(shape: tuple[int, int, int]) -> str:
    return "×".join(str(n) for n in shape)
