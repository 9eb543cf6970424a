"""The options of the built-in compressors, declared without torch; their code is in `harness.layers`.

A default that was released is frozen: options at their default are left out of the key, so that a new option orphans
no result. Changing one means raising `keys.KEY_SCHEME`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.trial.models import AtSite, Layer

Stride = Annotated[int, Field(ge=2, strict=True)]


class CompressorOptions(BaseModel):
    """What every compressor has: n channels become n/stride."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    stride: Stride


class SpatialOptions(CompressorOptions):
    """Feature pooling by pooling across groups of `stride` neighbouring channels, Eq. (2).

    Spatial: the paper's word for a max over neighbouring channels.
    """

    reduce: Literal["max", "min"] = "max"


class TopkOptions(CompressorOptions):
    """The n/stride largest (or smallest) values at each place, sorted, Eq. (1)."""

    largest: Annotated[bool, Field(strict=True)] = True


class RandomOptions(CompressorOptions):
    """One channel of each group, drawn once and for all from `draw`."""

    draw: Annotated[int, Field(ge=0, lt=2**32, strict=True)] = 0


@dataclass(frozen=True)
class CompressorDeclaration:
    """A compressor by name: its options, what it asks of a site, and where its code is."""

    name: str
    options: type[CompressorOptions]
    code: str  # module:class, a frozen dataclass with the fields of `options`
    narrows: bool = False  # the convolution before the site makes fewer maps
    layers: tuple[Layer, ...] = ()  # of its own, from 1 channel to 1 at one place: `at` gives them their sizes

    def at(self, stride: int, channels: int, places: int) -> AtSite:
        """Return what it makes of a site of so many channels and places (height × width)."""
        kept = channels // stride
        own = tuple(replace(layer, inputs=channels, outputs=kept, places=places) for layer in self.layers)
        return AtSite(kept if self.narrows else channels, kept, own)


COMPRESSORS: Mapping[str, CompressorDeclaration] = {
    c.name: c
    for c in (
        CompressorDeclaration("spatial", SpatialOptions, "harness.layers.spatial:ChannelPool"),
        CompressorDeclaration("topk", TopkOptions, "harness.layers.topk:ChannelTopK"),
        CompressorDeclaration("conv1x1", CompressorOptions, "harness.layers.conv1x1:Conv1x1", layers=(Layer(1, 1),)),
        CompressorDeclaration(
            "conv1x1_bn_relu",
            CompressorOptions,
            "harness.layers.conv1x1:Conv1x1BnRelu",
            layers=(Layer(1, 1, bias=False, norm=True),),
        ),
        CompressorDeclaration("average", CompressorOptions, "harness.layers.average:ChannelAverage"),
        CompressorDeclaration("random", RandomOptions, "harness.layers.random_channel:RandomChannel"),
        CompressorDeclaration("maxout", CompressorOptions, "harness.layers.maxout:Maxout"),
        CompressorDeclaration("width", CompressorOptions, "harness.layers.width:Width", narrows=True),
    )
}
