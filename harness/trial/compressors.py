"""The built-in compressors, declared without torch; each is one file in `harness.layers` and one line here.

The options of a compressor are the fields of its dataclass, read from its text (`harness.plugins.form`). A default that
was released is frozen: options at their default are left out of the key, so that a new option orphans no result.
Changing one means raising `keys.KEY_SCHEME`.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from harness.plugins.form import form_of
from harness.plugins.registry import Kinds
from harness.trial.models import AtSite, Layer

Stride = Annotated[int, Field(ge=2, strict=True)]


class CompressorOptions(BaseModel):
    """What every compressor has: n channels become n/stride."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    stride: Stride


@dataclass(frozen=True)
class CompressorDeclaration:
    """A compressor by name: where its code is, what it asks of a site, and the layers with weights that it adds."""

    name: str
    code: str  # module:class, a frozen dataclass
    narrows: bool = False  # the convolution before the site makes fewer maps
    before_activation: bool = False  # it goes before the activation with which the site ends
    layers: tuple[Layer, ...] = ()  # of its own, from 1 channel to 1 at one place: `at` gives them their sizes

    @cached_property
    def options(self) -> type[CompressorOptions]:
        """The form of its options."""
        return form_of(self.code, CompressorOptions)

    def at(self, stride: int, channels: int, places: int) -> AtSite:
        """Return what it makes of a site of so many channels and places (height × width)."""
        kept = channels // stride
        own = tuple(replace(layer, inputs=channels, outputs=kept, places=places) for layer in self.layers)
        return AtSite(kept if self.narrows else channels, kept, own)


_LINEAR, _NORMALISED = Layer(1, 1), Layer(1, 1, bias=False, norm=True)

# Spatial: the paper's word for a max over neighbouring channels.
_DECLARED = (
    CompressorDeclaration("spatial", "harness.layers.spatial:ChannelPool"),
    CompressorDeclaration("topk", "harness.layers.topk:ChannelTopK"),
    CompressorDeclaration("conv1x1", "harness.layers.conv1x1:Conv1x1", layers=(_LINEAR,)),
    CompressorDeclaration("conv1x1_bn_relu", "harness.layers.conv1x1:Conv1x1BnRelu", layers=(_NORMALISED,)),
    CompressorDeclaration("average", "harness.layers.average:ChannelAverage"),
    CompressorDeclaration("random", "harness.layers.random_channel:RandomChannel"),
    CompressorDeclaration("maxout", "harness.layers.maxout:Maxout", before_activation=True),
    CompressorDeclaration("width", "harness.layers.width:Width", narrows=True),
)

COMPRESSORS = Kinds(
    "compressor", {c.name: c for c in _DECLARED}, group="harness.compressors", form="{kind: NAME, stride: N}"
)
