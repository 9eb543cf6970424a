"""The controls: average and random channels against loops, maxout in its place, the 1×1 convolution with its ReLU."""

import pytest
import torch
from torch import nn

from harness.layers import ChannelAverage, ChannelPool, Conv1x1BnRelu, Maxout, RandomChannel, channel_average
from harness.layers.compressor import place_of

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def maps(layout, dtype=torch.float32):
    x = torch.randn(2, 12, 3, 4, generator=torch.Generator().manual_seed(0)).to(dtype)
    return x.contiguous(memory_format=layout)


@pytest.mark.parametrize("layout", LAYOUTS, ids=["nchw", "channels-last"])
@pytest.mark.parametrize("stride", [2, 3, 4, 12])
def test_the_average_is_that_of_each_group(layout, stride):
    x = maps(layout)
    y = channel_average(x, stride)
    assert y.shape == (2, 12 // stride, 3, 4)
    for group in range(12 // stride):
        expected = sum(x[:, group * stride + i] for i in range(stride)) / stride
        torch.testing.assert_close(y[:, group], expected)


def test_the_average_has_the_right_gradient():
    x = maps(torch.contiguous_format, torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: channel_average(t, 3), (x,))


def test_a_stride_that_does_not_divide_is_refused():
    for make in (ChannelAverage, RandomChannel, Maxout, Conv1x1BnRelu):
        with pytest.raises(ValueError, match="does not divide"):
            make(5).layer(12)


@pytest.mark.parametrize("layout", LAYOUTS, ids=["nchw", "channels-last"])
def test_a_random_channel_is_one_of_its_group_and_always_the_same(layout):
    x = maps(layout)
    layer = RandomChannel(3).layer(12)
    chosen = layer.index.tolist()
    assert [channel // 3 for channel in chosen] == [0, 1, 2, 3]
    assert layer(x).equal(torch.stack([x[:, channel] for channel in chosen], 1))
    assert layer(x).is_contiguous(memory_format=layout)
    torch.manual_seed(5)
    assert RandomChannel(3).layer(12).index.tolist() == chosen
    assert any(RandomChannel(3, draw=d).layer(12).index.tolist() != chosen for d in range(1, 4))


def test_random_channels_do_not_draw_from_torchs_own_generator():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    RandomChannel(2).layer(64)
    assert torch.rand(3).equal(expected)


def test_all_channels_of_a_group_can_be_drawn():
    drawn = torch.cat([RandomChannel(4, draw=d).layer(64).index % 4 for d in range(20)])
    counts = torch.bincount(drawn, minlength=4)
    assert (counts > 40).all()


def test_maxout_stands_before_the_activation_and_the_others_behind():
    assert place_of(Maxout(2)) == "before_relu"
    assert {place_of(c) for c in (ChannelPool(2), ChannelAverage(2), RandomChannel(2), Conv1x1BnRelu(2))} == {"behind"}


def test_maxout_gives_what_feature_pooling_gives_behind_relu_and_max_pool():
    x = maps(torch.contiguous_format)
    pool = nn.MaxPool2d(2)
    behind = ChannelPool(3).layer(12)(pool(x.relu()))
    before = pool(Maxout(3).layer(12)(x).relu())
    assert before.equal(behind)


def test_the_normalised_convolution_is_convolution_normalisation_and_relu():
    layer = Conv1x1BnRelu(2).layer(12)
    x = maps(torch.contiguous_format)
    conv, norm = layer[0], layer[1]
    assert conv.bias is None
    y = torch.einsum("oi,nihw->nohw", conv.weight[:, :, 0, 0], x)
    mean, variance = y.mean((0, 2, 3), keepdim=True), y.var((0, 2, 3), unbiased=False, keepdim=True)
    torch.testing.assert_close(layer(x), ((y - mean) / (variance + norm.eps).sqrt()).relu(), rtol=1e-4, atol=1e-5)
