"""`insert_after` on chains: the network with the compressor is the one that a person would write by hand."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from harness.base.errors import HarnessError
from harness.layers import ChannelAverage, ChannelPool, channel_pool, insert_after, list_sites

SHAPE = (3, 6, 5)


class Chain(nn.Module):
    """Two convolutions with batch normalisation, pooling, and a linear layer behind 3×2 maps."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(8, 6, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(6)
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(6 * 3 * 2, 4)

    def forward(self, x):
        x = self.relu1(self.bn1(self.conv1(x)))
        x = self.pool(F.relu(self.bn2(self.conv2(x))))
        return self.fc(torch.flatten(x, 1))


def drawn(model, seed=0):
    """Give every parameter and buffer of a model values of its own."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data -= 0.6
    return model.eval()


def images(shape=SHAPE):
    return torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))


def test_a_chain_is_as_written_by_hand():
    model = drawn(Chain())
    changed = insert_after(model, "relu1", ChannelPool(2), input_shape=SHAPE)
    x = images()
    maps = channel_pool(F.relu(model.bn1(model.conv1(x))), 2)
    maps = F.relu(model.bn2(F.conv2d(maps, model.conv2.weight[:, ::2], padding=1)))
    expected = model.fc(F.max_pool2d(maps, 2).flatten(1))
    torch.testing.assert_close(changed(x), expected)


def test_normalisation_on_the_way_keeps_what_belongs_to_the_channels_that_stay():
    model = drawn(Chain())
    changed = insert_after(model, "conv1", ChannelAverage(4), input_shape=SHAPE)
    x = images()
    maps = model.conv1(x)
    maps = torch.stack([maps[:, :4].mean(1), maps[:, 4:].mean(1)], 1)
    own = [tensor[[0, 4]] for tensor in (model.bn1.running_mean, model.bn1.running_var, model.bn1.weight)]
    maps = F.relu(F.batch_norm(maps, *own, model.bn1.bias[[0, 4]]))
    maps = F.relu(model.bn2(F.conv2d(maps, model.conv2.weight[:, [0, 4]], padding=1)))
    torch.testing.assert_close(changed(x), model.fc(F.max_pool2d(maps, 2).flatten(1)))
    assert (changed.bn1.num_features, changed.conv2.in_channels) == (2, 2)


@pytest.mark.parametrize("path", ["bn2", "pool"])
def test_a_linear_layer_keeps_the_columns_of_all_places_of_a_channel(path):
    model = drawn(Chain())
    changed = insert_after(model, path, ChannelPool(3), input_shape=SHAPE)
    columns = [channel * 6 + place for channel in (0, 3) for place in range(6)]
    assert changed.fc.weight.equal(model.fc.weight[:, columns])
    assert changed.fc.bias.equal(model.fc.bias)
    x = images()
    maps = model.bn2(model.conv2(F.relu(model.bn1(model.conv1(x)))))
    maps = F.max_pool2d(F.relu(channel_pool(maps, 3)), 2)  # the maximum moves past ReLU and max-pool
    torch.testing.assert_close(changed(x), F.linear(maps.flatten(1), model.fc.weight[:, columns], model.fc.bias))


def test_what_is_not_concerned_keeps_names_and_bits():
    model = drawn(Chain())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    changed = insert_after(model, "relu1", ChannelPool(2), input_shape=SHAPE)
    after = changed.state_dict()
    assert list(after) == list(before)
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"conv2.weight"}
    assert all(model.state_dict()[name].equal(before[name]) for name in before)
    assert all(a is not b for a, b in zip(changed.parameters(), model.parameters(), strict=True))
    assert type(changed) is Chain
    assert type(model.relu1) is nn.ReLU
    assert not model.relu1._forward_hooks


def test_a_model_is_changed_in_place_on_request_and_never_where_it_is_refused():
    model = drawn(Chain())
    assert insert_after(model, "pool", ChannelPool(2), input_shape=SHAPE, copy=False) is model
    assert model.fc.in_features == 18
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(HarnessError, match="stride 3 does not divide 8"):
        insert_after(model, "conv1", ChannelPool(3), input_shape=SHAPE, copy=False)
    assert all(model.state_dict()[name].equal(before[name]) for name in before)
    assert model(images()).shape == (2, 4)


@pytest.mark.parametrize("weights", ["slice", "fold", "fresh"])
@pytest.mark.parametrize("training", [True, False])
def test_it_trains(weights, training):
    model = drawn(Chain()).train(training)
    model.bn2.eval()
    changed = insert_after(model, "relu1", ChannelPool(2), input_shape=SHAPE, weights=weights)
    modes = {name: module.training for name, module in changed.named_modules()}
    assert modes == {**{name: module.training for name, module in model.named_modules()}, "relu1.inserted": training}
    changed(images()).square().sum().backward()
    gradients = {name: parameter.grad for name, parameter in changed.named_parameters()}
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients.values())
    assert gradients["conv1.weight"].count_nonzero()


FLATTENING = {
    "torch.flatten": lambda x: torch.flatten(x, 1),
    "flatten": lambda x: x.flatten(start_dim=1),
    "nn.Flatten": nn.Flatten(),
    "view": lambda x: x.view(x.size(0), -1),
    "view of a product": lambda x: x.view(x.shape[0], x.size(1) * x.size(2) * x.size(3)),
    "reshape": lambda x: x.reshape(len(x), -1),
    "by and by": lambda x: x.flatten(2).flatten(1),
    "height first": lambda x: x.flatten(1, 2).flatten(1),
    "mean": lambda x: x.mean((2, 3)),
    "mean by and by": lambda x: x.mean(-1).mean(-1),
    "mean of what is kept": lambda x: x.mean([2, 3], keepdim=True).squeeze(-1).squeeze(-1),
    "average pooling": lambda x: F.adaptive_avg_pool2d(x, 1).squeeze(),
    "largest": lambda x: torch.amax(x, dim=(-1, -2)),
    "pooled, then flat": lambda x: nn.AdaptiveMaxPool2d((2, 2))(x)[:, :, 1:].unsqueeze(-1).flatten(1),
}


class Head(nn.Module):
    def __init__(self, flatten, entries):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.fc = nn.Linear(8 * entries, 4)
        self.flatten = flatten

    def forward(self, x):
        return self.fc(self.flatten(torch.relu(self.conv(x))))


@pytest.mark.parametrize("way", FLATTENING)
def test_every_way_of_flattening_is_understood(way):
    flatten = FLATTENING[way]
    entries = flatten(torch.zeros(2, 8, 4, 3)).shape[1] // 8
    model = drawn(Head(flatten, entries))
    (site,) = list_sites(model, SHAPE)
    assert (site.path, site.channels, site.height, site.width, site.readers) == ("conv", 8, 4, 3, ("fc",))
    changed = insert_after(model, "conv", ChannelPool(4), input_shape=SHAPE)
    columns = [channel * entries + place for channel in (0, 4) for place in range(entries)]
    assert changed.fc.weight.equal(model.fc.weight[:, columns])
    x = images()
    maps = torch.relu(channel_pool(model.conv(x), 4))
    torch.testing.assert_close(changed(x), F.linear(flatten(maps), changed.fc.weight, model.fc.bias))


def test_sites_of_a_chain_say_what_they_are():
    sites = {site.path: site for site in list_sites(drawn(Chain()), SHAPE)}
    assert list(sites) == ["conv1", "bn1", "relu1", "conv2", "bn2", "pool"]
    assert sites["conv1"].readers == ("bn1", "conv2")
    assert (sites["pool"].kind, sites["pool"].height, sites["pool"].width) == ("MaxPool2d", 3, 2)
    assert all(site.narrowable for site in sites.values())
    assert {path: site.activated for path, site in sites.items() if site.activated} == {"relu1": "bn1", "pool": "bn2"}


def test_compressors_stand_at_several_sites():
    model = drawn(Chain())
    changed = insert_after(model, "pool", ChannelPool(3), input_shape=SHAPE)
    changed = insert_after(changed, "relu1", ChannelPool(2), input_shape=SHAPE)
    x = images()
    maps = channel_pool(F.relu(model.bn1(model.conv1(x))), 2)
    maps = F.relu(model.bn2(F.conv2d(maps, model.conv2.weight[:, ::2], padding=1)))
    maps = channel_pool(F.max_pool2d(maps, 2), 3)
    torch.testing.assert_close(changed(x), F.linear(maps.flatten(1), changed.fc.weight, changed.fc.bias))
