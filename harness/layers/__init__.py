"""The science: feature pooling and its rivals, also as a library by itself.

    from harness.layers import channel_pool, channel_topk

The paper's two feature poolings, with what a study calls them:

- `channel_pool`, `ChannelPool2d`, `ChannelPool` (kind: spatial): the maximum or minimum over groups of neighbouring
  channels. "Spatial" is the paper's word for it; nothing is pooled over height or width.
- `channel_topk`, `ChannelTopK2d`, `ChannelTopK` (kind: topk): the k largest or smallest values across all channels.

Each name is a function on maps, a module, and a compressor, in this order; a control, `channel_average`, has the same
three. `to_plain` makes a network ready for files that are read without the harness. A file is called what its kind is
called in a study. The names of earlier releases (`feature_pool`, `FeaturePool2d`, `Spatial`, `topk_pool`, `TopKPool2d`,
`TopK`, `average_pool`, `AveragePoolChannels2d`, `Average`) are the same objects.

Names are imported when they are first used: importing this package changes nothing and does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from harness.base.extras import parts_named

if TYPE_CHECKING:
    from harness.layers.average import (
        Average,
        AveragePoolChannels2d,
        ChannelAverage,
        ChannelAverage2d,
        average_pool,
        channel_average,
    )
    from harness.layers.build import build_compressor
    from harness.layers.compressor import Compressor
    from harness.layers.conformance import check_compressor
    from harness.layers.conv1x1 import Conv1x1, Conv1x1BnRelu
    from harness.layers.insert.place import insert_after
    from harness.layers.insert.sites import SiteInfo, list_sites, refused_sites
    from harness.layers.maxout import Maxout
    from harness.layers.plain import to_plain
    from harness.layers.random_channel import RandomChannel, RandomChannel2d
    from harness.layers.spatial import ChannelPool, ChannelPool2d, FeaturePool2d, Spatial, channel_pool, feature_pool
    from harness.layers.topk import ChannelTopK, ChannelTopK2d, TopK, TopKPool2d, channel_topk, topk_pool
    from harness.layers.width import Width

PUBLIC = ("build", "compressor", "insert", "kernels", "plain", "spatial")
"""The modules that other folders may import (`tests/test_imports.py`)."""

__all__ = [
    "Average",
    "AveragePoolChannels2d",
    "ChannelAverage",
    "ChannelAverage2d",
    "ChannelPool",
    "ChannelPool2d",
    "ChannelTopK",
    "ChannelTopK2d",
    "Compressor",
    "Conv1x1",
    "Conv1x1BnRelu",
    "FeaturePool2d",
    "Maxout",
    "RandomChannel",
    "RandomChannel2d",
    "SiteInfo",
    "Spatial",
    "TopK",
    "TopKPool2d",
    "Width",
    "average_pool",
    "build_compressor",
    "channel_average",
    "channel_pool",
    "channel_topk",
    "check_compressor",
    "feature_pool",
    "insert_after",
    "list_sites",
    "refused_sites",
    "to_plain",
    "topk_pool",
]

_MODULE_OF = {
    "Average": "average",
    "AveragePoolChannels2d": "average",
    "ChannelAverage": "average",
    "ChannelAverage2d": "average",
    "ChannelPool": "spatial",
    "ChannelPool2d": "spatial",
    "ChannelTopK": "topk",
    "ChannelTopK2d": "topk",
    "Compressor": "compressor",
    "Conv1x1": "conv1x1",
    "Conv1x1BnRelu": "conv1x1",
    "FeaturePool2d": "spatial",
    "Maxout": "maxout",
    "RandomChannel": "random_channel",
    "RandomChannel2d": "random_channel",
    "SiteInfo": "insert.sites",
    "Spatial": "spatial",
    "TopK": "topk",
    "TopKPool2d": "topk",
    "Width": "width",
    "average_pool": "average",
    "build_compressor": "build",
    "channel_average": "average",
    "channel_pool": "spatial",
    "channel_topk": "topk",
    "check_compressor": "conformance",
    "feature_pool": "spatial",
    "insert_after": "insert.place",
    "list_sites": "insert.sites",
    "refused_sites": "insert.sites",
    "to_plain": "plain",
    "topk_pool": "topk",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with parts_named():
        value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
