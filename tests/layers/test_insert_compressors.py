"""What each compressor asks of a network, and what the weights of the layers that lose channels become."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from harness.base.errors import HarnessError
from harness.layers import (
    ChannelAverage,
    ChannelPool,
    ChannelTopK,
    Conv1x1,
    Conv1x1BnRelu,
    Maxout,
    RandomChannel,
    Width,
    insert_after,
)
from harness.layers.compressor import reduced_channels
from harness.models.vgg16 import Vgg16

SHAPE = (3, 6, 6)
ALL = [
    ChannelPool(2),
    ChannelTopK(2),
    ChannelAverage(2),
    RandomChannel(2),
    Conv1x1(2),
    Conv1x1BnRelu(2),
    Width(2),
    Maxout(2),
]


def network():
    """Return convolution, normalisation, ReLU, pooling ("3") and a reader, with weights of their own."""
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 5, 1), nn.ReLU(), nn.Flatten()
    )
    generator = torch.Generator().manual_seed(4)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1)
    for weight in (model[0].weight, model[4].weight):
        weight.data -= 0.6
    return model.eval()


def images():
    return torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("compressor", ALL, ids=lambda c: type(c).__name__)
@pytest.mark.parametrize("weights", ["slice", "fold", "fresh"])
def test_every_compressor_stands_behind_a_block_and_trains(compressor, weights):
    torch.manual_seed(0)  # fresh weights are drawn from torch's generator: some leave no unit active
    changed = insert_after(network(), "3", compressor, input_shape=SHAPE, weights=weights)
    assert changed[4].in_channels == 4
    changed.train()(images()).square().sum().backward()
    assert all(p.grad is not None and p.grad.count_nonzero() for p in changed[4].parameters())
    assert changed[0].weight.grad.count_nonzero()


def test_width_narrows_convolution_and_normalisation_themselves():
    model = network()
    changed = insert_after(model, "3", Width(2), input_shape=SHAPE)
    assert not list(changed[3].parameters())
    x = images()
    maps = F.conv2d(x, model[0].weight[::2], model[0].bias[::2])
    norm = (t[::2] for t in (model[1].running_mean, model[1].running_var, model[1].weight, model[1].bias))
    maps = F.max_pool2d(F.batch_norm(maps, *norm).relu(), 2)
    expected = F.conv2d(maps, model[4].weight[:, ::2], model[4].bias).relu().flatten(1)
    torch.testing.assert_close(changed(x), expected)
    assert (changed[0].out_channels, changed[1].num_features) == (4, 4)


def test_maxout_stands_before_the_activation_and_gives_what_feature_pooling_gives():
    model = network()
    before = insert_after(model, "3", Maxout(2), input_shape=SHAPE)
    behind = insert_after(model, "3", ChannelPool(2), input_shape=SHAPE)
    assert [name for name, _ in before.named_modules() if "inserted" in name] == ["1.inserted"]
    assert [name for name, _ in behind.named_modules() if "inserted" in name] == ["3.inserted"]
    x = images()
    torch.testing.assert_close(before(x), behind(x))


class Activated(nn.Module):
    """An activation between two convolutions, called as the test asks."""

    def __init__(self, middle):
        super().__init__()
        self.conv, self.norm, self.reader = nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.Conv2d(8, 2, 1)
        self.pool, self.middle = nn.AvgPool2d(2), middle

    def forward(self, x):
        return self.reader(self.middle(self, self.conv(x)))


def test_maxout_finds_an_activation_that_is_a_function():
    model = Activated(lambda m, x: m.pool(F.dropout2d(F.relu(m.norm(x), inplace=True), training=m.training)))
    changed = insert_after(model, "pool", Maxout(4), input_shape=SHAPE)
    assert "norm.inserted" in dict(changed.named_modules())
    assert changed(images()).shape == (4, 2, 3, 3)


@pytest.mark.parametrize(
    ("middle", "reason"),
    [
        (lambda m, x: m.pool(m.norm(x)), "no activation directly precedes it"),
        (lambda m, x: m.pool(m.norm(x.relu())), "no activation directly precedes it"),
        (lambda m, x: m.pool((m.norm(x) + 1).relu()), "what the activation 'relu' in the model's forward reads is not"),
        (lambda m, x: m.pool((y := m.norm(x)).relu()) + F.avg_pool2d(y, 2), "no activation directly precedes it, of"),
    ],
)
def test_maxout_is_refused_without_an_activation_of_its_own(middle, reason):
    with pytest.raises(HarnessError, match=f"no compressor can go behind 'pool': {reason}"):
        insert_after(Activated(middle), "pool", Maxout(2), input_shape=SHAPE)


@pytest.mark.parametrize(
    "middle",
    [
        lambda m, x: m.pool(m.norm(x) + x),
        lambda m, x: m.pool(m.norm(x)) * x.mean(),
        lambda m, x: m.pool(m.norm(x.flip(1))),
    ],
)
def test_width_is_refused_where_no_convolution_makes_the_channels_for_the_site_alone(middle):
    insert_after(Activated(middle), "pool", ChannelPool(2), input_shape=SHAPE)
    with pytest.raises(HarnessError, match="'pool': no plain convolution makes its channels for it alone"):
        insert_after(Activated(middle), "pool", Width(2), input_shape=SHAPE)


def test_width_is_refused_behind_a_grouped_convolution_and_a_sum():
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=8), nn.ReLU(), nn.Conv2d(8, 2, 1))
    with pytest.raises(HarnessError, match="'2': no plain convolution makes its channels for it alone"):
        insert_after(model, "2", Width(2), input_shape=SHAPE)
    assert insert_after(model, "0", Width(2), input_shape=SHAPE)[1].groups == 4


def test_a_random_channel_keeps_its_own_weights():
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 5, 1))
    changed = insert_after(model, "0", RandomChannel(4, draw=3), input_shape=SHAPE)
    index = RandomChannel(4, draw=3).layer(8).index
    assert index.tolist() != [0, 4]
    assert changed[1].weight.equal(model[1].weight[:, index])
    x, kept = images(), torch.zeros(8, 1, 1).index_fill(0, index, 1.0)
    torch.testing.assert_close(changed(x), model[1](model[0](x) * kept))


@pytest.mark.parametrize(
    "compressor", [ChannelPool(2), ChannelPool(2, reduce="min"), ChannelAverage(2), RandomChannel(2)]
)
def test_folded_weights_change_nothing_where_the_channels_of_a_group_are_equal(compressor):
    model = network()
    for tensor in (*model[0].parameters(), *model[1].parameters(), model[1].running_mean, model[1].running_var):
        tensor.data[1::2] = tensor.data[::2]
    x = images()
    folded = insert_after(model, "3", compressor, input_shape=SHAPE, weights="fold")
    torch.testing.assert_close(folded(x), model(x))
    assert folded[4].weight.equal(model[4].weight[:, ::2] + model[4].weight[:, 1::2])
    assert not torch.allclose(insert_after(model, "3", compressor, input_shape=SHAPE)(x), model(x))


def test_folding_adds_up_the_columns_of_a_place():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(16, 3))
    folded = insert_after(model, "0", ChannelPool(2), input_shape=(3, 2, 2), weights="fold")
    columns = [model[2].weight[:, [8 * g + p, 8 * g + 4 + p]].sum(1) for g in range(2) for p in range(4)]
    torch.testing.assert_close(folded[2].weight, torch.stack(columns, 1))


def test_fresh_weights_are_drawn_by_the_layers_that_lose_channels_alone():
    model = network()
    torch.manual_seed(11)
    changed = insert_after(model, "0", ChannelPool(2), input_shape=SHAPE, weights="fresh")
    torch.manual_seed(11)
    expected = nn.Conv2d(4, 5, 1)
    assert changed[4].weight.equal(expected.weight)
    assert changed[4].bias.equal(expected.bias)
    assert changed[1].weight.tolist() == changed[1].running_var.tolist() == [1.0] * 4
    assert changed[0].weight.equal(model[0].weight)


def test_dtype_layout_and_what_is_frozen_stay():
    model = network().to(torch.float64, memory_format=torch.channels_last)
    model[4].weight.requires_grad_(False)
    changed = insert_after(model, "3", Conv1x1(2), input_shape=SHAPE)
    assert {p.dtype for p in changed.parameters()} == {torch.float64}
    assert not changed[4].weight.requires_grad
    assert changed[4].bias.requires_grad
    wide = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3)).to(memory_format=torch.channels_last)
    weight = insert_after(wide, "0", ChannelPool(2), input_shape=SHAPE)[1].weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()


def test_a_model_without_values_gives_one_without_values():
    with torch.device("meta"):
        model = network()
        changed = insert_after(model, "3", RandomChannel(2), input_shape=SHAPE)
    assert all(tensor.is_meta for tensor in changed.state_dict().values())


@pytest.mark.parametrize("compressor", [ChannelPool(2), ChannelTopK(4), Conv1x1BnRelu(2), Width(2), Maxout(4)])
def test_it_gives_the_network_that_has_the_site_by_itself(compressor):
    """VGG-16 of the harness puts compressors at its sites itself."""
    plain, own = Vgg16({}), Vgg16({"conv3": compressor})
    changed = insert_after(plain, "conv3", compressor, input_shape=(3, 32, 32), weights="fresh")
    renamed = {name.replace("inserted", "compressor"): tensor for name, tensor in changed.state_dict().items()}
    own.load_state_dict(renamed)
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert own(x).equal(changed(x))


@dataclass(frozen=True)
class HalfWay:
    """A compressor that lets the convolution do a part and does the rest."""

    stride: int = 4
    commutes_with: ClassVar[frozenset[str]] = frozenset()

    def conv_channels(self, channels):
        return channels // 2

    def out_channels(self, channels):
        return reduced_channels(channels, self.stride)

    def layer(self, channels):
        return ChannelPool(2).layer(channels // 2)


def test_a_convolution_is_narrowed_to_what_is_left_or_not_at_all():
    with pytest.raises(HarnessError, match="asks for a convolution with 4 channels, and makes 2 of them"):
        insert_after(network(), "3", HalfWay(), input_shape=SHAPE)
