"""What cannot be rewired is refused in one line that names what stands in the way, and nothing is changed."""
# ruff: noqa: ARG005

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from harness.base.errors import HarnessError
from harness.layers import ChannelPool, ChannelTopK, Width, insert_after, list_sites, refused_sites

SHAPE = (3, 8, 8)


class Net(nn.Module):
    """A site of 8 channels, what is given for `between`, and a reader."""

    def __init__(self, between, **modules):
        super().__init__()
        self.site = nn.Conv2d(3, 8, 1)
        for name, module in modules.items():
            self.add_module(name, module)
        self.reader = nn.Conv2d(8, 2, 1)
        self.between = between

    def forward(self, x):
        return self.between(self, self.site(x), x)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.site, self.reader, self.twin = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
        self.twin.weight = self.reader.weight

    def forward(self, x):
        return self.twin(self.reader(self.site(x)))


def twice(net, site, x):
    return net.reader(net.site(x[:, :, :4])) + net.reader(site)[:, :, :4]


def shared_reader(net, site, x):
    return net.reader(site) + net.reader(net.other(x))


CONV = {"other": nn.Conv2d(3, 8, 1)}
CASES = {
    "identity shortcut": (
        Net(lambda n, s, x: n.reader(s + n.other(x)), **CONV),
        "'add' in the model's forward combines",
    ),
    "in place": (Net(lambda n, s, x: n.reader(n.other(x).add_(s)), **CONV), "'add_' in the model's forward combines"),
    "gate from elsewhere": (Net(lambda n, s, x: n.reader(s * n.other(x).sigmoid()), **CONV), "'mul' in the model's"),
    "gate of no layer": (Net(lambda n, s, x: n.reader(s * s.softmax(1))), "'softmax' in the model's forward reads"),
    "gate read twice": (
        Net(lambda n, s, x: n.reader(s * (g := n.gate(s))) + g[:, :2], gate=nn.Conv2d(8, 8, 1)),
        "'mul' in the model's forward multiplies its channels by as many that no single layer makes",
    ),
    "grouped convolution": (
        Net(lambda n, s, x: n.reader(n.grouped(s)), grouped=nn.Conv2d(8, 8, 1, groups=2)),
        "'grouped' reads its channels and is a grouped convolution (2 groups)",
    ),
    "layer normalisation": (
        Net(lambda n, s, x: n.reader(n.norm(s)), norm=nn.LayerNorm((8, 8, 8))),
        "'layer_norm' in 'norm' reads its channels",
    ),
    "permutation": (Net(lambda n, s, x: n.reader(s.permute(0, 2, 3, 1))), "'permute' in the model's forward moves"),
    "split": (Net(lambda n, s, x: n.reader(torch.cat(s.chunk(2, 1), 1))), "'chunk' in the model's forward takes"),
    "some channels": (Net(lambda n, s, x: n.reader(s[:, torch.arange(8)])), "'__getitem__' in the model's forward"),
    "one channel": (Net(lambda n, s, x: n.reader(s) + s[:, 0:1]), "'__getitem__' in the model's forward takes some"),
    "shuffle": (Net(lambda n, s, x: n.reader(s.view(2, 2, 4, 8, 8).flatten(1, 2))), "'view' in the model's forward"),
    "written into": (Net(lambda n, s, x: n.reader(write(s))), "'__setitem__' in the model's forward reads"),
    "padded channels": (Net(lambda n, s, x: n.reader(F.pad(s, (0, 0, 0, 0, 1, -1)))), "'pad' in the model's forward"),
    "output": (Net(lambda n, s, x: (n.reader(s), s)), "its channels reach the output of the model"),
    "no reader": (Net(lambda n, s, x: n.other(x) + s.sum(), **CONV), "no convolution and no linear layer reads"),
    "site called twice": (Net(twice), "it is called 2 times in a pass"),
    "reader called for others": (Net(shared_reader, **CONV), "'reader' reads its channels, and others too"),
    "shared weights": (Tied(), "'reader' shares a parameter with another module"),
    "parametrised reader": (
        Net(lambda n, s, x: n.weighted(s), weighted=weight_norm(nn.Conv2d(8, 2, 1))),
        "'weighted' has a parametrised weight",
    ),
    "functional reader": (Net(lambda n, s, x: F.conv2d(s, n.reader.weight)), "'conv2d' in the model's forward reads"),
    "linear layer along the width": (
        Net(lambda n, s, x: n.wide(s), wide=nn.Linear(8, 3)),
        "'wide' reads its channels and is a linear layer along another dimension",
    ),
    "training only": (
        Net(lambda n, s, x: n.reader(s if n.training else n.other(x)), **CONV),
        "'reader' reads its channels in one of the modes",
    ),
}


def write(maps):
    buffer = maps.new_zeros(maps.shape)
    buffer[:] = maps
    return buffer


@pytest.mark.parametrize("case", CASES)
def test_what_stands_in_the_way_is_named(case):
    model, reason = CASES[case]
    assert refused_sites(model, SHAPE)["site"].startswith(reason)
    assert "site" not in {site.path for site in list_sites(model, SHAPE)}
    with pytest.raises(HarnessError) as raised:
        insert_after(model, "site", ChannelPool(2), input_shape=SHAPE, copy=False)
    assert str(raised.value).startswith(f"no compressor can go behind 'site': {reason}")
    assert "\n" not in str(raised.value)
    assert "site.inserted" not in dict(model.named_modules())


SOUND = nn.Sequential(nn.Conv2d(3, 8, 1), nn.GroupNorm(4, 8), nn.ReLU(), nn.Conv2d(8, 2, 1), nn.Flatten())
HARD_CODED = Net(lambda n, s, x: n.fc(s.view(-1, 8 * 64)), fc=nn.Linear(512, 2))


@pytest.mark.parametrize(
    ("model", "path", "compressor", "message"),
    [
        (SOUND, "0", ChannelPool(4), "'1' has 4 groups, which do not divide 2 channels"),
        (SOUND, "0", ChannelPool(3), "stride 3 does not divide 8 channels"),
        (SOUND, "4", ChannelPool(2), "it does not return maps (N, C, H, W) alone"),
        (SOUND, "", ChannelPool(2), "it is the model itself"),
        (SOUND, "3", Width(2), "its channels reach the output of the model"),
        (HARD_CODED, "site", ChannelTopK(2), "with fewer channels the model does not run, in 'fc'"),
        (nn.Sequential(nn.ModuleList(), nn.Conv2d(3, 8, 1))[1:], "5", ChannelTopK(2), None),
    ],
)
def test_what_a_compressor_asks_too_much_is_refused(model, path, compressor, message):
    expected = f"no compressor can go behind '{path}': {message}"
    if message is None:
        expected = "the model has no module '5'; harness.layers.list_sites names those that there are"
    with pytest.raises(HarnessError) as raised:
        insert_after(model, path, compressor, input_shape=SHAPE)
    assert str(raised.value).startswith(expected)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (
            Net(lambda n, s, x: n.fc(s.view(2, 8 * 64)), fc=nn.Linear(512, 2)),
            "with fewer channels the model does not run, in 'forward': shape",
        ),
        (
            Net(lambda n, s, x: n.reader(s.relu() if s.shape[1] > 4 else s.tanh())),
            "with fewer channels the model does something else",
        ),
        (
            Net(lambda n, s, x: n.reader(s.relu() if n.reader.weight.size(1) > 4 else s.tanh())),
            "with fewer channels the model does something else",
        ),
        (nn.Sequential(nn.Conv2d(3, 1, 1), nn.Conv2d(1, 2, 1)), "its one channel cannot become fewer"),
        (
            nn.Sequential(nn.Conv2d(3, 8, 1), nn.GroupNorm(8, 8), nn.Conv2d(8, 2, 1)),
            "'1' has 8 groups, which do not divide 1 channels",
        ),
    ],
)
def test_what_shows_only_with_fewer_channels_is_refused_and_not_listed(model, reason):
    path = "site" if isinstance(model, Net) else "0"
    assert path not in {site.path for site in list_sites(model, SHAPE)}
    assert refused_sites(model, SHAPE)[path].startswith(reason)
    if reason.startswith("with fewer"):
        with pytest.raises(HarnessError) as raised:
            insert_after(model, path, ChannelPool(2), input_shape=SHAPE)
        assert str(raised.value).startswith(f"no compressor can go behind '{path}': {reason}")


def test_a_stride_that_groups_allow_is_enough_to_be_listed():
    model = nn.Sequential(nn.Conv2d(3, 12, 1), nn.GroupNorm(4, 12), nn.Conv2d(12, 2, 1))
    assert "0" in {site.path for site in list_sites(model, SHAPE)}
    insert_after(model, "0", ChannelPool(3), input_shape=SHAPE)
    with pytest.raises(HarnessError, match="'1' has 4 groups, which do not divide 6 channels"):
        insert_after(model, "0", ChannelPool(2), input_shape=SHAPE)


def test_sizes_that_are_asked_for_and_do_not_matter_leave_a_site_listed():
    net = Net(lambda n, s, x: n.fc(s.view(s.shape[0], s.shape[1] * 64)), fc=nn.Linear(512, 2))
    (site,) = list_sites(net, SHAPE)
    assert (site.path, site.narrowable) == ("site", True)
    insert_after(net, "site", Width(2), input_shape=SHAPE)


def test_a_near_name_is_proposed_and_wrong_words_are_refused():
    with pytest.raises(HarnessError, match="no module 'cite'; did you mean 'site'"):
        insert_after(Net(lambda n, s, x: n.reader(s)), "cite", ChannelPool(2), input_shape=SHAPE)
    with pytest.raises(HarnessError, match="weights are 'slice', 'fold' or 'fresh', not 'cut'"):
        insert_after(SOUND, "0", ChannelPool(2), input_shape=SHAPE, weights="cut")


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (Net(lambda n, s, x: n.reader(s) if s.sum() > 0 else s), "in 'forward': "),
        (Net(lambda n, s, x: n.reader(s * s.mean().item())), "in 'forward': "),
        (nn.Sequential(nn.Conv2d(4, 8, 1)), "in '0': "),
        (nn.Sequential(nn.LazyConv2d(8, 1)), "the model has lazy layers; run it once before"),
    ],
)
def test_a_model_that_needs_values_is_refused(model, reason):
    for ask in (list_sites, refused_sites):
        with pytest.raises(HarnessError) as raised:
            ask(model, SHAPE)
        assert reason in str(raised.value)
        assert "\n" not in str(raised.value)


def test_two_compressors_at_one_place_are_refused():
    once = insert_after(SOUND, "2", ChannelPool(2), input_shape=SHAPE)
    assert "2" not in {site.path for site in list_sites(once, SHAPE)}
    assert refused_sites(once, SHAPE)["2"] == "something named 'inserted' is there already"
    with pytest.raises(HarnessError, match="something named 'inserted' is there already"):
        insert_after(once, "2", ChannelPool(2), input_shape=SHAPE)
    with pytest.raises(HarnessError, match=r"'view' in '2\.inserted' gives its channels another shape"):
        insert_after(once, "0", ChannelPool(2), input_shape=SHAPE)


REGROUPED = [
    nn.Conv2d(3, 8, 1),
    nn.AdaptiveAvgPool2d(2),
    nn.Flatten(1),
    nn.Unflatten(1, (32, 1, 1)),
    nn.Conv2d(32, 4, 1),
]


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (nn.Sequential(*REGROUPED), "3"),  # 8 channels are made, and become 32
        (nn.Sequential(nn.Conv2d(3, 8, 1), nn.Linear(8, 5), nn.Conv2d(8, 2, 1)), "1"),  # along the width
    ],
)
def test_what_does_not_make_the_channels_one_for_one_is_not_narrowed(model, path):
    narrowable = {site.path: site.narrowable for site in list_sites(model, SHAPE)}
    assert narrowable[path] is False
    with pytest.raises(HarnessError, match="no plain convolution makes its channels for it alone"):
        insert_after(model, path, Width(2), input_shape=SHAPE)
    changed = insert_after(model, path, ChannelPool(2), input_shape=SHAPE)
    assert changed(torch.zeros(2, *SHAPE)).shape == model(torch.zeros(2, *SHAPE)).shape


def test_what_a_hook_returns_is_part_of_what_the_network_computes():
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 2, 1))
    model[1].register_forward_hook(lambda module, args, output: output.roll(1, dims=1))
    assert refused_sites(model, SHAPE)["0"] == "'roll' in '1' reads its channels, and how is not known here"
