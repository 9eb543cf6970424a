"""`to_plain`: the same values by torch's operators alone; files of such networks are tested in tests/deploy."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from harness.layers import ChannelPool, ChannelTopK, insert_after, to_plain

SHAPE = (3, 6, 6)
IMAGES = torch.rand(2, *SHAPE, generator=torch.Generator().manual_seed(0))


def chain():
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 4, 3))


@pytest.mark.parametrize("compressor", [ChannelPool(4), ChannelPool(4, "min"), ChannelTopK(4), ChannelTopK(4, False)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_values_are_the_same_with_ties_and_nan(compressor, memory_format):
    x = torch.randint(-3, 4, (2, 8, 3, 3), generator=torch.Generator().manual_seed(0)).float()
    x[0, 1, 2, 0] = torch.nan
    x = x.contiguous(memory_format=memory_format)
    layer = compressor.layer(8)
    torch.testing.assert_close(to_plain(layer)(x), layer(x), rtol=0, atol=0, equal_nan=True)


def test_the_network_stays_as_it_is_and_its_copy_keeps_names_and_hooks():
    network = insert_after(chain(), "1", ChannelPool(2), input_shape=SHAPE)
    network = insert_after(network, "1.inserted", ChannelPool(2), input_shape=SHAPE)  # called by a hook
    before = deepcopy(network.state_dict())
    plain = to_plain(network)
    assert network.training
    assert not plain.training
    assert {type(module).__module__ for module in network.modules()} >= {"harness.layers.spatial"}
    assert [name for name, _ in plain.named_modules()] == [name for name, _ in network.named_modules()]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    with torch.no_grad():
        assert torch.equal(plain(IMAGES), network.eval()(IMAGES))
        assert plain[:2](IMAGES).shape[1] == 4
