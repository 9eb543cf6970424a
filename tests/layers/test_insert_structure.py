"""Where channels branch, meet and move: the rewired network against the old one with channels set to zero.

With `weights="slice"` a reader has the columns of the first channel of each group. So the old network must give the
same when its site returns the compressed maps in these channels and zeros in the others, as long as zero stays zero on
the way to the readers.
"""

import copy
import io

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from harness.layers import ChannelPool, Conv1x1, insert_after, list_sites, refused_sites

SHAPE = (3, 8, 8)


class Concatenated(nn.Module):
    """Three branches side by side, of which the one in the middle is the site; maps, then flat."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 5, 1), nn.Conv2d(3, 4, 1), nn.Conv2d(3, 3, 1)
        self.norm = nn.BatchNorm2d(12)
        self.after = nn.Conv2d(16, 6, 3)
        self.fc = nn.Linear(16 * 4 + 5, 2)

    def forward(self, x):
        b = self.b(x).relu()
        x = torch.cat([self.a(x), b, self.c(x)], 1)
        x = torch.cat([b, self.norm(x)], dim=-3)  # (N, 4 + 12, H, W)
        flat = F.adaptive_avg_pool2d(x, 2).flatten(1)
        return self.after(x).mean() + self.fc(torch.cat((flat, x[:, :, 0, 0].new_ones(len(x), 5)), 1))


class Depthwise(nn.Module):
    """A depthwise convolution with two outputs a channel, and readers behind it."""

    def __init__(self):
        super().__init__()
        self.site = nn.Conv2d(3, 6, 1)
        self.depthwise = nn.Conv2d(6, 12, 3, groups=6, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(12)
        self.project = nn.Conv2d(12, 4, 1)
        self.fc = nn.Linear(12 * 16, 3)

    def forward(self, x):
        x = self.norm(self.depthwise(F.relu6(self.site(x))))
        return self.project(x).mean((1, 2, 3))[:, None] + self.fc(F.max_pool2d(x, 2).flatten(1))


class Gated(nn.Module):
    """Squeeze and excitation, by linear layers or by convolutions, of what a depthwise convolution returns."""

    def __init__(self, by):
        super().__init__()
        self.site, self.depthwise = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=8, bias=False)
        kind = nn.Linear if by == "linear" else nn.Conv2d
        size = () if by == "linear" else (1,)
        self.squeeze, self.excite = kind(8, 2, *size), kind(2, 8, *size)
        self.project, self.by = nn.Conv2d(8, 4, 1), by

    def forward(self, x):
        x = self.depthwise(torch.relu(self.site(x)))
        if self.by == "linear":
            n, c, _, _ = x.size()
            gate = self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(x, 1).view(n, c)))).sigmoid().view(n, c, 1, 1)
            return self.project(x * gate.expand_as(x))
        gate = F.hardsigmoid(self.excite(F.silu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        return self.project(gate * x)


class Meeting(nn.Module):
    """Both operands of an addition have the channels of the site; a gate has one channel for all of them."""

    def __init__(self):
        super().__init__()
        self.site, self.attend = nn.Conv2d(3, 6, 1), nn.Conv2d(2, 1, 3, padding=1)
        self.read, self.up = nn.Conv2d(6, 4, 3), nn.ConvTranspose2d(6, 5, 2)

    def forward(self, x):
        x = self.site(x)
        x = F.pad(F.relu(x), (1, 1, 1, 1)) + F.interpolate(x, (10, 10)).clamp(min=0) / 3
        gate = torch.cat([x.sum(1, keepdim=True), x.max(1, keepdim=True).values], 1)
        x = x * self.attend(gate).sigmoid()
        return self.read(x).mean((2, 3)), self.up(x)


class Container(nn.ModuleDict):
    """Calls all of its children, one after the other."""

    def forward(self, x):
        for module in self.values():
            x = module(x)
        return x


class Contained(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(Container({"conv": nn.Conv2d(3, 6, 1), "relu": nn.ReLU()}), nn.Conv2d(6, 4, 1))

    def forward(self, x):
        return self.features(x)


class Headed(Contained):
    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        return self.head(self.features(x))


def with_zeros(model, path, compressor):
    """Return the old network, whose site returns compressed maps in the first channel of each group, and zeros."""

    def compressed(module, args, output):
        zeros = torch.zeros_like(output)
        zeros[:, :: compressor.stride] = compressor.layer(output.shape[1])(output)
        return zeros

    old = copy.deepcopy(model)
    old.get_submodule(path).register_forward_hook(compressed)
    return old


def drawn(model):
    """Return a model in evaluation whose weights have values of their own; normalisation keeps zero at zero."""
    generator = torch.Generator().manual_seed(3)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.uniform_(-1, 1, generator=generator)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 2, generator=generator)
            module.weight.data.uniform_(0.5, 2, generator=generator)
    return model.eval()


CASES = {
    "concatenation": (Concatenated(), "b", ("norm", "after", "fc")),
    "depthwise": (Depthwise(), "site", ("depthwise", "norm", "project", "fc")),
    "behind a depthwise one": (Depthwise(), "norm", ("project", "fc")),
    "gate of linear layers": (Gated("linear"), "site", ("depthwise", "squeeze", "excite", "project")),
    "gate of convolutions": (Gated("conv"), "depthwise", ("squeeze", "excite", "project")),
    "meeting itself": (Meeting(), "site", ("read", "up")),
    "container": (Contained(), "features.0", ("features.1",)),
    "child of a container": (Contained(), "features.0.conv", ("features.1",)),
}


@pytest.mark.parametrize("case", CASES)
def test_readers_are_told_apart(case):
    model, path, readers = CASES[case]
    drawn(model)
    site = {site.path: site for site in list_sites(model, SHAPE)}[path]
    assert site.readers == readers
    changed = insert_after(model, path, ChannelPool(2), input_shape=SHAPE)
    x = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(changed(x), with_zeros(model, path, ChannelPool(2))(x), rtol=1e-4, atol=1e-4)
    named = dict(changed.named_parameters())
    for name, parameter in model.named_parameters():
        if name.rpartition(".")[0] not in readers:
            assert named[name].equal(parameter)
    changed.train()
    results = changed(x)
    sum(result.square().sum() for result in (results if isinstance(results, tuple) else (results,))).backward()
    assert all(parameter.grad is not None for parameter in changed.parameters())


def test_the_columns_of_a_concatenation_are_those_of_the_site():
    model = drawn(Concatenated())
    changed = insert_after(model, "b", ChannelPool(2), input_shape=SHAPE)
    kept = [0, 2, *range(4, 9), 9, 11, 13, 14, 15]  # b; a, b, c
    assert changed.after.weight.equal(model.after.weight[:, kept])
    assert changed.norm.weight.equal(model.norm.weight[[channel - 4 for channel in kept[2:]]])
    assert changed.norm.num_features == 10
    columns = [4 * channel + place for channel in kept for place in range(4)] + [*range(64, 69)]
    assert changed.fc.weight.equal(model.fc.weight[:, columns])


def test_a_depthwise_convolution_keeps_the_filters_of_the_channels_that_stay():
    model = drawn(Depthwise())
    changed = insert_after(model, "site", ChannelPool(3), input_shape=SHAPE)
    shape = (changed.depthwise.in_channels, changed.depthwise.groups, changed.depthwise.out_channels)
    assert shape == (2, 2, 4)
    assert changed.depthwise.weight.equal(model.depthwise.weight[[0, 1, 6, 7]])


def test_group_and_instance_normalisation_and_prelu_lose_channels():
    layers = [nn.Conv2d(3, 12, 1), nn.GroupNorm(3, 12), nn.InstanceNorm2d(12, affine=True, track_running_stats=True)]
    model = nn.Sequential(*layers, nn.PReLU(12), nn.PReLU(), nn.Dropout2d(), nn.Conv2d(12, 1, 1))
    for module in model[1:4]:
        module.weight.data = torch.arange(12.0)
    changed = insert_after(model, "0", ChannelPool(2), input_shape=SHAPE)
    assert all(module.weight.tolist() == [0.0, 2, 4, 6, 8, 10] for module in changed[1:4])
    assert (changed[1].num_channels, changed[2].num_features, changed[3].num_parameters) == (6, 6, 6)
    assert changed(torch.randn(2, *SHAPE)).shape == (2, 1, 8, 8)
    reason = refused_sites(nn.Sequential(nn.Conv2d(3, 12, 1), nn.Conv2d(12, 12, 1, groups=4), nn.ReLU()), SHAPE)["0"]
    assert reason == "'1' reads its channels and is a grouped convolution (4 groups)"


class TrainedAside(nn.Module):
    """A second head that runs in training alone, and a size that depends on the input's."""

    def __init__(self):
        super().__init__()
        self.site = nn.Conv2d(3, 8, 3)
        self.head, self.aside = nn.Linear(8, 2), nn.Conv2d(8, 2, 1)

    def forward(self, x):
        x = self.site(x)
        if min(x.shape[2:]) > 4:
            x = F.avg_pool2d(x, 2)
        logits = self.head(x.mean((2, 3)))
        return {"logits": logits, "aside": self.aside(x)} if self.training else logits


def test_what_reads_in_training_alone_is_found_too():
    changed = insert_after(TrainedAside(), "site", ChannelPool(4), input_shape=SHAPE)
    assert (changed.head.in_features, changed.aside.in_channels) == (2, 2)
    assert changed.train()(torch.zeros(2, *SHAPE))["aside"].shape == (2, 2, 3, 3)
    assert changed.eval()(torch.zeros(2, 3, 5, 5)).shape == (2, 2)


class TwoWays(nn.Module):
    """What comes before an activation is used as well as what comes behind."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 8, 1), nn.ReLU()
        self.before, self.behind = nn.Conv2d(8, 2, 1), nn.Conv2d(8, 2, 1)

    def forward(self, x):
        x = self.conv(x)
        return self.before(x) + self.behind(self.relu(x))


def test_only_what_reads_behind_the_module_changes():
    sites = {site.path: site.readers for site in list_sites(TwoWays(), SHAPE)}
    assert sites == {"conv": ("before", "behind"), "relu": ("behind",)}
    changed = insert_after(TwoWays(), "relu", ChannelPool(2), input_shape=SHAPE)
    assert (changed.before.in_channels, changed.behind.in_channels) == (8, 4)
    assert changed(torch.zeros(1, *SHAPE)).shape == (1, 2, 8, 8)


def test_a_module_that_gives_back_its_input_is_a_place_of_its_own():
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Identity(), nn.Conv2d(8, 2, 1))
    assert insert_after(model, "1", ChannelPool(2), input_shape=SHAPE)(torch.zeros(1, *SHAPE)).shape == (1, 2, 8, 8)


@pytest.mark.parametrize(("path", "name"), [("features.0", "features_0_inserted"), ("features", "features.inserted")])
def test_the_compressor_travels_with_the_network(path, name):
    model = Headed()
    changed = insert_after(model, path, Conv1x1(2), input_shape=SHAPE)
    assert [key for key in changed.state_dict() if key not in model.state_dict()] == [f"{name}.weight", f"{name}.bias"]
    x = torch.randn(2, *SHAPE)
    expected = changed(x)
    file = io.BytesIO()
    torch.save(changed, file)
    file.seek(0)
    loaded, copied = torch.load(file, weights_only=False), copy.deepcopy(changed)
    assert loaded(x).equal(expected)
    for parameter in copied.get_submodule(name).parameters():
        parameter.data.zero_()
    assert not copied(x).equal(expected)
    assert changed(x).equal(expected)
    again = insert_after(model, path, Conv1x1(2), input_shape=SHAPE)
    again.load_state_dict(changed.state_dict())
    assert again(x).equal(expected)
