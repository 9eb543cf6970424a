"""Channels first, or as the paper writes it: the same values, and the same gradients where no values are equal."""

import pytest
import torch

from harness.layers.compressor import Compressor
from harness.layers.maxout import Maxout
from harness.layers.spatial import ChannelPool
from harness.layers.topk import ChannelTopK
from harness.models.mnist_cnn import MnistCnn
from harness.models.sites import SiteLayers, using_order
from harness.models.vgg16 import Vgg16
from harness.trial.models import WidthOptions


def made(order: str, network: type, *arguments: object) -> torch.nn.Module:
    torch.manual_seed(3)
    with using_order(order):
        built = network(*arguments)
    for module in built.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.bias)  # else half of the values are of one sign by construction
    return built


@pytest.mark.parametrize(
    "compressor", [ChannelPool(2), ChannelPool(4), ChannelPool(2, "min"), ChannelTopK(2), ChannelTopK(4, False)]
)
def test_mnist_gives_the_same_values_and_gradients(compressor: Compressor) -> None:
    first, written = (made(order, MnistCnn, {"conv2": compressor}) for order in ("auto", "as_written"))
    images = torch.randn(3, 1, 28, 28)
    for network in (first, written):
        network(images).logsumexp(1).sum().backward()
    assert torch.equal(first(images), written(images))
    assert list(first.state_dict()) == list(written.state_dict())
    for (name, a), (_, b) in zip(first.named_parameters(), written.named_parameters(), strict=True):
        assert torch.equal(a.grad, b.grad), name  # type: ignore[arg-type]


@pytest.mark.parametrize("site", ["conv1", "conv5"])
@pytest.mark.parametrize("compressor", [ChannelPool(2), ChannelTopK(2)])
def test_vgg_gives_the_same_values_and_gradients(site: str, compressor: Compressor) -> None:
    arguments = {site: compressor}, WidthOptions(width=0.125)
    first, written = (made(order, Vgg16, *arguments).double() for order in ("auto", "as_written"))
    images = torch.randn(4, 3, 32, 32, dtype=torch.float64)
    out = [network(images) for network in (first, written)]
    assert torch.equal(*out)
    for logits in out:
        (logits * torch.arange(10)).sum().backward()
    for (name, a), (_, b) in zip(first.named_parameters(), written.named_parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=name)


@pytest.mark.parametrize(
    ("compressor", "after", "moves"),
    [
        (ChannelPool(2), ("relu", "max_pool"), True),
        (ChannelPool(2, "min"), ("relu", "max_pool"), False),
        (ChannelPool(2, "min"), ("relu",), True),
        (ChannelTopK(2), ("relu", "max_pool"), False),
        (ChannelTopK(2), ("relu",), True),
    ],
)
def test_only_what_commutes_with_all_moves(compressor: Compressor, after: tuple[str, ...], moves: bool) -> None:
    with using_order("auto"):
        assert (SiteLayers.of(compressor, 8, after).before_relu is not None) is moves
    assert SiteLayers.of(compressor, 8, after).before_relu is None


def test_what_a_compressor_asks_for_itself_is_kept_in_any_order() -> None:
    for order in ("auto", "as_written"):
        with using_order(order):
            assert SiteLayers.of(Maxout(2), 8, ("relu",)).layer is not None


def test_another_word_is_refused() -> None:
    with pytest.raises(ValueError, match="order is 'auto' or 'as_written', not 'paper'"), using_order("paper"):
        pass
