"""Compressors from options, the declared defaults, plug-ins, and the package's lazy names."""

import subprocess
import sys
from dataclasses import fields

import pytest
from torch import nn

import harness.layers
from harness.base.errors import HarnessError
from harness.layers import ChannelPool, ChannelTopK, Conv1x1, Width, build_compressor
from harness.trial.compressors import COMPRESSORS

PLUGIN = """
from dataclasses import dataclass
from torch import nn

@dataclass(frozen=True)
class Mine:
    stride: int
    power: float = 2.0
    commutes_with = frozenset()
    def conv_channels(self, channels): return channels
    def out_channels(self, channels): return channels // self.stride
    def layer(self, channels): return nn.Conv2d(channels, channels // self.stride, 1)

class Empty:
    def __init__(self, stride): pass
"""

RENAMED = {
    "Average": "ChannelAverage",
    "AveragePoolChannels2d": "ChannelAverage2d",
    "FeaturePool2d": "ChannelPool2d",
    "Spatial": "ChannelPool",
    "TopK": "ChannelTopK",
    "TopKPool2d": "ChannelTopK2d",
    "average_pool": "channel_average",
    "feature_pool": "channel_pool",
    "topk_pool": "channel_topk",
}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"kind": "spatial", "stride": 2}, ChannelPool(2, "max")),
        ({"kind": "spatial", "stride": 4, "reduce": "min"}, ChannelPool(4, "min")),
        ({"kind": "topk", "stride": 2}, ChannelTopK(2, largest=True)),
        ({"kind": "topk", "stride": 2, "largest": False}, ChannelTopK(2, largest=False)),
        ({"kind": "conv1x1", "stride": 2}, Conv1x1(2)),
        ({"kind": "width", "stride": 2}, Width(2)),
    ],
)
def test_options_give_their_compressor(options, expected):
    before = dict(options)
    assert build_compressor(options) == expected
    assert options == before


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_the_code_has_the_options_and_defaults_that_are_declared(kind):
    declared = COMPRESSORS[kind].options.model_validate({"stride": 2})
    built = build_compressor({"kind": kind, "stride": 2})
    assert {f.name: getattr(built, f.name) for f in fields(built)} == declared.model_dump()


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_narrowing_is_as_declared(kind):
    compressor = build_compressor({"kind": kind, "stride": 2})
    assert (compressor.conv_channels(8) < 8) is COMPRESSORS[kind].narrows


def test_what_commutes():
    assert ChannelPool(2).commutes_with == {"relu", "max_pool"}
    assert ChannelPool(2, "min").commutes_with == ChannelTopK(2).commutes_with == {"relu"}
    assert Conv1x1(2).commutes_with == Width(2).commutes_with == frozenset()


def test_the_learned_and_the_plain_rival():
    layer = Conv1x1(4).layer(32)
    assert (layer.in_channels, layer.out_channels, layer.kernel_size) == (32, 8, (1, 1))
    assert layer.bias is not None
    assert isinstance(Width(4).layer(32), nn.Identity)
    assert Width(4).conv_channels(32) == Width(4).out_channels(32) == 8


@pytest.mark.parametrize("kind", [ChannelPool, ChannelTopK, Conv1x1, Width])
def test_a_stride_that_does_not_divide(kind):
    with pytest.raises(ValueError, match=r"^stride 3 does not divide 32 channels$"):
        kind(3).layer(32)


def test_a_plugin_from_a_folder(tmp_path):
    (tmp_path / "my_layers.py").write_text(PLUGIN)
    path = list(sys.path)
    mine = build_compressor({"kind": "my_layers:Mine", "stride": 2, "power": 3.0}, [tmp_path])
    assert (mine.stride, mine.power, mine.out_channels(8)) == (2, 3.0, 4)
    assert sys.path == path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "spatail", "stride": 2}, "unknown compressor 'spatail'; did you mean 'spatial'?"),
        ({"stride": 2}, "unknown compressor 'None'"),
        ({"kind": "spatial"}, "compressor 'spatial': "),
        ({"kind": "spatial", "stride": 2, "reduce": "sum"}, "'sum'"),
        ({"kind": "topk", "stride": 2, "reduce": "max"}, "reduce"),
        ({"kind": "no_such_module_anywhere:Mine", "stride": 2}, "cannot import 'no_such_module_anywhere'"),
        ({"kind": "wrong_layers:Other", "stride": 2}, "has no 'Other'"),
        ({"kind": "wrong_layers:Mine", "width": 2}, "width"),
        ({"kind": "wrong_layers:Empty", "stride": 2}, "is not a compressor: it has no stride, commutes_with"),
        ({"kind": "broken_layers:Mine", "stride": 2}, "cannot import 'broken_layers'"),
        ({"kind": ":Mine", "stride": 2}, "not of the form module:object"),
    ],
)
def test_errors_are_one_line(options, message, tmp_path):
    (tmp_path / "wrong_layers.py").write_text(PLUGIN)
    (tmp_path / "broken_layers.py").write_text("def (:\n")
    with pytest.raises(HarnessError) as raised:
        build_compressor(options, [tmp_path])
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_every_public_name_is_there():
    for name in harness.layers.__all__:
        assert getattr(harness.layers, name).__name__ == RENAMED.get(name, name)
    assert set(harness.layers.__all__) <= set(dir(harness.layers))
    with pytest.raises(AttributeError, match="no attribute 'median_pool'"):
        _ = harness.layers.median_pool


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_a_name_of_an_earlier_release_is_the_same_object(old, new):
    """In the package, and in the module by which a pickled model names its class."""
    named = getattr(harness.layers, new)
    assert getattr(harness.layers, old) is named
    assert getattr(sys.modules[named.__module__], old) is named


def test_one_layer_does_not_import_the_others():
    code = "import sys\nfrom harness.layers import channel_pool\n"
    code += "print(sorted(m for m in sys.modules if m.startswith('harness.layers.') and '.kernels' not in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == str(
        [f"harness.layers.{name}" for name in ("compressor", "memory_format", "spatial", "transforms")]
    )
