"""What every compressor must do, as checks that a plugged-in one can run in its own tests:

    from harness.layers import check_compressor

    def test_mine():
        check_compressor(Mine(stride=2), channels=8)

They run on the CPU, in less than a second for 8 channels. A check that fails raises AssertionError in one
line.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from harness.layers.compressor import Compressor

_SEED = 20200506


def check_compressor(compressor: Compressor, channels: int = 8) -> None:
    """Check a compressor at a site of `channels` channels, which its stride divides.

    It must be frozen, hashable and equal to its copy; give channels / stride channels and refuse a stride
    that does not divide; and its layer must map (N, conv_channels, H, W) → (N, out_channels, H, W) for any N,
    H and W, keep dtype and values under channels-last, repeat itself, pass gradients that `gradcheck`
    confirms, carry its state in its `state_dict`, and commute with what `commutes_with` names.

    Raises:
        AssertionError: the first property that does not hold, in one line.
    """
    _require(compressor.stride >= 1, compressor, "has a stride below 1")
    divides = channels % compressor.stride == 0
    _require(divides, compressor, f"does not divide {channels} channels: check it with others")
    for check in _CHECKS:
        check(compressor, channels)


def check_identity(compressor: Compressor, channels: int) -> None:  # noqa: ARG001
    """Frozen, hashable, and equal to a copy: it is in keys and travels between processes."""
    twin = copy.deepcopy(compressor)
    _require(twin == compressor, compressor, "is not equal to its copy: is it a frozen dataclass?")
    try:
        _require(hash(twin) == hash(compressor), compressor, "has another hash than its copy")
    except TypeError as error:
        raise AssertionError(f"{compressor} is not hashable") from error
    name = "stride"
    try:
        setattr(twin, name, compressor.stride)
    except AttributeError:
        return
    raise AssertionError(f"{compressor} is not frozen: its stride can be set")


def check_channels(compressor: Compressor, channels: int) -> None:
    """It gives channels / stride, and the convolution before it makes no more than the site has."""
    expected = channels // compressor.stride
    _require_equal(compressor.out_channels(channels), expected, compressor, "out_channels")
    made = compressor.conv_channels(channels)
    _require(made in (expected, channels), compressor, f"makes {made} of {channels} channels before the site")


def check_refusal(compressor: Compressor, channels: int) -> None:
    """A stride that does not divide the channels is a ValueError, whichever is asked first."""
    wrong = channels + 1
    if wrong % compressor.stride == 0:  # a stride of 1 divides all
        return
    questions: dict[str, Callable[[int], Any]] = {
        "out_channels": compressor.out_channels,
        "layer": compressor.layer,
    }
    for name, question in questions.items():
        try:
            question(wrong)
        except ValueError:
            continue
        raise AssertionError(f"{compressor}: {name}({wrong}) does not raise ValueError")


def check_shapes(compressor: Compressor, channels: int) -> None:
    """(N, out, H, W) for even and odd sizes, one pixel, and an empty batch."""
    layer = compressor.layer(channels).eval()
    for n, h, w in ((2, 4, 4), (1, 5, 3), (3, 1, 1), (1, 1, 7), (0, 4, 4)):
        x = _maps(compressor, channels, (n, h, w))
        expected = (n, compressor.out_channels(channels), h, w)
        _require_equal(tuple(layer(x).shape), expected, compressor, f"shape for {tuple(x.shape)}")


def check_dtypes(compressor: Compressor, channels: int) -> None:
    """The output has the dtype of the input and the parameters."""
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        layer = compressor.layer(channels).eval().to(dtype)
        output = layer(_maps(compressor, channels, dtype=dtype))
        _require_equal(output.dtype, dtype, compressor, f"dtype for {dtype}")


def check_repeats(compressor: Compressor, channels: int) -> None:
    """Two calls give the same bits, in training and in evaluation, and leave the input as it was."""
    x = _maps(compressor, channels)
    before = x.clone()
    for training in (True, False):
        layer = compressor.layer(channels).train(training)
        mode = "training" if training else "evaluation"
        _require(torch.equal(layer(x), layer(x)), compressor, f"two calls in {mode} differ")
    _require(torch.equal(x, before), compressor, "changes its input")


def check_channels_last(compressor: Compressor, channels: int) -> None:
    """The order in memory changes no value."""
    x = _maps(compressor, channels)
    layer = compressor.layer(channels).eval()
    same = torch.allclose(layer(x), layer(x.contiguous(memory_format=torch.channels_last)), atol=1e-6)
    _require(same, compressor, "gives other values for channels-last maps")


def check_gradients(compressor: Compressor, channels: int) -> None:
    """Gradients reach the input, are finite, and are those of finite differences."""
    layer = compressor.layer(channels).eval().double()
    x = _maps(compressor, channels, (2, 3, 2), dtype=torch.float64).requires_grad_()
    output = layer(x)
    _require(output.requires_grad, compressor, "has no gradient")
    (gradient,) = torch.autograd.grad(output.square().sum(), x)
    _require(bool(gradient.isfinite().all()), compressor, "has a gradient that is not finite")
    _require(bool(gradient.count_nonzero()), compressor, "has a gradient of zeros alone")
    right = torch.autograd.gradcheck(layer, (x,), raise_exception=False)
    _require(right, compressor, "has a gradient that finite differences do not confirm")


def check_state(compressor: Compressor, channels: int) -> None:
    """A second layer with the first one's `state_dict` does the same."""
    first, second = compressor.layer(channels).eval(), compressor.layer(channels).eval()
    _require(first is not second, compressor, "gives one module twice")
    second.load_state_dict(first.state_dict())
    x = _maps(compressor, channels)
    _require(torch.equal(first(x), second(x)), compressor, "has state that is not in its state_dict")


def check_commutes(compressor: Compressor, channels: int) -> None:
    """f(layer(x)) = layer(f(x)), to the bit, for each f in `commutes_with`."""
    functions: dict[str, nn.Module] = {"relu": nn.ReLU(), "max_pool": nn.MaxPool2d(2)}
    unknown = sorted(compressor.commutes_with - functions.keys())
    _require(not unknown, compressor, f"commutes_with has unknown words: {', '.join(unknown)}")
    layer = compressor.layer(channels).eval()
    x = _maps(compressor, channels, (2, 6, 6))
    for name in sorted(compressor.commutes_with):
        f = functions[name]
        _require(torch.equal(f(layer(x)), layer(f(x))), compressor, f"does not commute with {name}")


def _maps(
    compressor: Compressor,
    channels: int,
    size: tuple[int, int, int] = (2, 4, 5),
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return maps (N, conv_channels, H, W) for `size` = (N, H, W): always the same, no two values equal."""
    n, h, w = size
    shape = (n, compressor.conv_channels(channels), h, w)
    count = torch.Size(shape).numel()
    generator = torch.Generator().manual_seed(_SEED)
    # Steps of 2/count in (-1, 1), so that finite differences stay on one side of every tie.
    values = torch.randperm(count, generator=generator).to(torch.float64) * 2 - count
    return (values / max(count, 1)).view(shape).to(dtype)


def _require(holds: bool, compressor: Compressor, failing: str) -> None:
    if not holds:
        raise AssertionError(f"{compressor} {failing}")


def _require_equal(value: object, expected: object, compressor: Compressor, what: str) -> None:
    if value != expected:
        raise AssertionError(f"{compressor}: {what} is {value}, not {expected}")


_CHECKS = (
    check_identity,
    check_channels,
    check_refusal,
    check_shapes,
    check_dtypes,
    check_repeats,
    check_channels_last,
    check_gradients,
    check_state,
    check_commutes,
)
