"""The conformance suite passes what is right, and catches each kind of wrong compressor."""

# The wrong layers below share one signature.
# ruff: noqa: ARG004, ARG005

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import nn

from harness.layers import (
    ChannelAverage,
    ChannelPool,
    ChannelTopK,
    Conv1x1,
    Conv1x1BnRelu,
    Maxout,
    RandomChannel,
    Width,
    check_compressor,
)
from harness.layers.compressor import Compressor, reduced_channels
from harness.trial.compressors import COMPRESSORS

BUILT_IN = [
    ChannelPool(2),
    ChannelPool(4, "min"),
    ChannelTopK(2),
    ChannelTopK(4, largest=False),
    Conv1x1(2),
    Conv1x1BnRelu(2),
    ChannelAverage(2),
    RandomChannel(4),
    Maxout(2),
    Width(4),
]


@pytest.mark.parametrize("compressor", BUILT_IN, ids=str)
def test_built_in_compressors_conform(compressor):
    assert isinstance(compressor, Compressor)
    check_compressor(compressor, channels=8)


def test_every_declared_kind_is_checked():
    assert {type(compressor).__name__ for compressor in BUILT_IN} == {
        declaration.code.partition(":")[2] for declaration in COMPRESSORS.values()
    }


def test_channels_that_the_stride_does_not_divide_are_refused():
    with pytest.raises(AssertionError, match="does not divide 9 channels"):
        check_compressor(ChannelPool(2), channels=9)


class Layer(nn.Module):
    """The first channel of each group, or what a wrong compressor makes of it."""

    def __init__(self, stride, change):
        super().__init__()
        self.stride = stride
        self.change = change
        self.calls = 0
        self.hidden = torch.rand(())

    def forward(self, x):
        self.calls += 1
        return self.change(self, x[:, :: self.stride].clone(), x)


@dataclass(frozen=True)
class First:
    """A right compressor: the first channel of each group."""

    stride: int = 2
    commutes_with: ClassVar[frozenset[str]] = frozenset({"relu", "max_pool"})
    change: ClassVar = staticmethod(lambda layer, y, x: y)

    def conv_channels(self, channels):
        return channels

    def out_channels(self, channels):
        return reduced_channels(channels, self.stride)

    def layer(self, channels):
        reduced_channels(channels, self.stride)
        return Layer(self.stride, type(self).change)


def wrong(**members):
    """Return `First` with other members; a function named `change` alters what its layer gives."""
    if "change" in members:
        members["change"] = staticmethod(members["change"])
    return type("Wrong", (First,), members)()


class NotFrozen(First):
    def __setattr__(self, name, value):
        object.__setattr__(self, name, value)


class _Doubled(torch.autograd.Function):
    """The identity with twice its gradient."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient


def changes_its_input(layer, y, x):
    x.data.zero_()
    return torch.zeros_like(y)


WRONG = [
    (wrong(__eq__=lambda a, b: a is b, __hash__=object.__hash__), "not equal to its copy"),
    (wrong(__hash__=None), "not hashable"),
    (wrong(__hash__=object.__hash__), "another hash"),
    (NotFrozen(), "not frozen"),
    (First(stride=0), "stride below 1"),
    (wrong(out_channels=lambda self, n: reduced_channels(n, 2) + 1), "out_channels is 5, not 4"),
    (wrong(conv_channels=lambda self, n: 2 * n), "makes 16 of 8 channels"),
    (wrong(out_channels=lambda self, n: n // 2), r"out_channels\(9\) does not raise"),
    (wrong(layer=lambda self, n: Layer(2, lambda layer, y, x: y)), r"layer\(9\) does not raise"),
    (wrong(change=lambda layer, y, x: x), "shape for"),
    (wrong(change=lambda layer, y, x: y[..., : x.shape[3] // 2 * 2]), "shape for"),
    (wrong(change=lambda layer, y, x: y.float()), "dtype for"),
    (wrong(change=lambda layer, y, x: y + torch.rand_like(y)), "two calls in training differ"),
    (wrong(change=lambda layer, y, x: y * (1 if layer.training else layer.calls)), "in evaluation differ"),
    (wrong(change=changes_its_input), "changes its input"),
    (wrong(change=lambda layer, y, x: y if x.is_contiguous() else -y), "channels-last"),
    (wrong(change=lambda layer, y, x: y.detach()), "no gradient"),
    (wrong(change=lambda layer, y, x: y * 0), "zeros alone"),
    (wrong(change=lambda layer, y, x: (y - y.detach()).sqrt()), "not finite"),
    (wrong(change=lambda layer, y, x: _Doubled.apply(y)), "do not confirm"),
    (wrong(change=lambda layer, y, x: y + layer.hidden), "not in its state_dict"),
    (wrong(commutes_with=frozenset({"tanh"})), "unknown words: tanh"),
    (wrong(change=lambda layer, y, x: y - 1), "does not commute with relu"),
    (wrong(change=lambda layer, y, x: -y, commutes_with=frozenset({"max_pool"})), "commute with max_pool"),
]


def test_the_right_one_passes():
    check_compressor(First())


@pytest.mark.parametrize(("compressor", "message"), WRONG, ids=[message for _, message in WRONG])
def test_wrong_ones_are_caught(compressor, message):
    with pytest.raises(AssertionError, match=message) as raised:
        check_compressor(compressor)
    assert "\n" not in str(raised.value)


def test_one_module_for_two_sites_is_caught():
    shared = Layer(2, lambda layer, y, x: y)

    class Shared(First):
        def layer(self, channels):
            reduced_channels(channels, 2)
            return shared

    with pytest.raises(AssertionError, match="one module twice"):
        check_compressor(Shared())
