"""The science: feature pooling and its rivals, also as a library by itself.

    from harness.layers import feature_pool, topk_pool

Names are imported when they are first used: importing this package changes nothing and does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from harness.base.extras import parts_named

if TYPE_CHECKING:
    from harness.layers.average import Average, AveragePoolChannels2d, average_pool
    from harness.layers.build import build_compressor
    from harness.layers.compressor import Compressor
    from harness.layers.conformance import check_compressor
    from harness.layers.conv1x1 import Conv1x1, Conv1x1BnRelu
    from harness.layers.insert.place import insert_after
    from harness.layers.insert.sites import SiteInfo, list_sites, refused_sites
    from harness.layers.maxout import Maxout
    from harness.layers.random_channel import RandomChannel, RandomChannel2d
    from harness.layers.spatial import FeaturePool2d, Spatial, feature_pool
    from harness.layers.topk import TopK, TopKPool2d, topk_pool
    from harness.layers.width import Width

__all__ = [
    "Average",
    "AveragePoolChannels2d",
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
    "check_compressor",
    "feature_pool",
    "insert_after",
    "list_sites",
    "refused_sites",
    "topk_pool",
]

_MODULE_OF = {
    "Average": "average",
    "AveragePoolChannels2d": "average",
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
    "check_compressor": "conformance",
    "feature_pool": "spatial",
    "insert_after": "insert.place",
    "list_sites": "insert.sites",
    "refused_sites": "insert.sites",
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
