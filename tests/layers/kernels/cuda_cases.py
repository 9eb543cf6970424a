"""What the CUDA kernels must do, on any device: in Triton's interpreter on the CPU, and on a GPU for real.

Run as a script (with TRITON_INTERPRET=1 before Triton is imported) it prints what each case raised, as JSON.
"""

import itertools
import json
import sys
import traceback
import warnings
from contextlib import contextmanager
from unittest import mock

import torch

from harness.layers import channel_pool, channel_topk
from harness.layers.kernels import choice, cpu, cuda, cuda_check, ops, reference
from harness.layers.kernels.cuda_check import same, small_maps

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
FORMATS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}
SPATIAL = ((2, 24, 7, 5), (1, 40, 4, 4), (3, 16, 1, 1), (1, 96, 3, 3), (0, 8, 3, 3))
STRIDES = (1, 2, 3, 4, 8, 24)
TOPK = ((2, 24, 7, 5, 7), (1, 40, 4, 4, 20), (3, 16, 1, 1, 16), (1, 96, 2, 3, 13), (1, 1, 2, 2, 1), (0, 8, 3, 3, 2))
CASES = {}


def case(name, *arguments):
    """Add a function of (device, *arguments) under a name."""

    def add(function):
        CASES[name] = lambda device: function(device, *arguments)
        return function

    return add


def maps(shape, dtype, form, device):
    return small_maps(shape, dtype, FORMATS.get(form, form)).to(device)


def assert_same(found, expected, *about):
    for one, other in zip(found, expected, strict=True):
        assert same(one.cpu(), other), about


def check_spatial(x, stride, minimum):
    expected = reference.feature_pool(x.cpu(), stride, minimum)
    assert_same(cuda.spatial_forward(x, stride, minimum), expected, x.shape, stride)
    taken = expected[1]
    gradient = maps(taken.shape, x.dtype, torch.contiguous_format, "cpu")
    back = cuda.spatial_backward(gradient.to(x.device), taken.to(x.device), stride)
    assert_same([back], [reference.feature_pool_backward(gradient, taken, stride)], x.shape, stride)


def check_topk(x, k, largest):
    expected = reference.topk_pool(x.cpu(), k, largest)
    assert_same(cuda.topk_forward(x, k, largest), expected, x.shape, k)
    taken, channels = expected[1], x.shape[1]
    gradient = maps(taken.shape, x.dtype, torch.contiguous_format, "cpu")
    back = cuda.topk_backward(gradient.to(x.device), taken.to(x.device), channels)
    assert_same([back], [reference.topk_pool_backward(gradient, taken, channels)], x.shape, k)


def spatial(device, dtype, form, minimum):
    for shape in SPATIAL:
        for stride in (s for s in STRIDES if shape[1] % s == 0):
            check_spatial(maps(shape, dtype, form, device), stride, minimum)


def topk(device, dtype, form, largest):
    for *shape, k in TOPK:
        check_topk(maps(tuple(shape), dtype, form, device), k, largest)


for _dtype, _form, _flag in itertools.product(DTYPES, FORMATS, (True, False)):
    _name = f"{str(_dtype).removeprefix('torch.')} {_form}"
    case(f"spatial {'min' if _flag else 'max'} {_name}", _dtype, _form, _flag)(spatial)
    case(f"topk {'largest' if _flag else 'smallest'} {_name}", _dtype, _form, _flag)(topk)


@case("many channels")
def _many_channels(device):
    for dtype, form, channels, k in (
        (torch.float32, "nchw", 256, 128), (torch.bfloat16, "nhwc", 257, 5), (torch.float32, "nchw", 2048, 3),
    ):  # fmt: skip
        check_topk(maps((1, channels, 1, 2), dtype, form, device), k, True)
    for form in FORMATS:
        check_spatial(maps((2, 512, 1, 2), torch.float32, form, device), 256, False)


@case("offsets of 64 bits")
def _wide(device):
    """The same values where offsets are wide; that they must be is for a GPU with the memory."""
    with mock.patch.object(cuda, "_WIDE_FROM", 0):
        for form in FORMATS:
            x = maps((2, 24, 7, 5), torch.float32, form, device)
            check_spatial(x, 2, False)
            check_spatial(x, 3, True)
            check_topk(x, 5, True)


@case("views and gradients of any stride")
def _views(device):
    x = maps((2, 8, 6, 8), torch.float32, "nchw", device)
    for view in (x[:, :, 1:-1, ::2], x.transpose(2, 3), x[:1].expand(3, -1, -1, -1), x[:, ::2], x[1:, :, :, 1:]):
        check_spatial(view, 2, False)
        check_topk(view, 3, True)
    taken = reference.feature_pool(x, 2, False)[1]
    one = torch.ones((), device=device).expand(taken.shape)
    assert same(cuda.spatial_backward(one, taken, 2), reference.feature_pool_backward(one, taken, 2))


@case("the bits of a NaN are kept")
def _payloads(device):
    for dtype, whole, some in ((torch.float32, torch.int32, 0x7FC00001), (torch.bfloat16, torch.int16, 0x7FC1)):
        bits = maps((1, 8, 4, 4), dtype, "nchw", device).view(whole)
        number = torch.arange(bits.numel(), dtype=whole, device=device).view(bits.shape)
        bits = torch.where(bits.view(dtype).isnan(), some + number % 32, bits)
        assert bits.view(dtype).isnan().any()
        y, taken = cuda.topk_forward(bits.view(dtype), 5, False)
        assert torch.equal(y.view(whole), bits.gather(1, taken.long()))
        y, taken = cuda.spatial_forward(bits.view(dtype), 8, True)
        assert torch.equal(y.view(whole), bits.gather(1, taken.long()))


@contextmanager
def routed(device):
    """Let maps of the device go to the CUDA kernels from the layers, as if nothing had been used or had failed."""
    table = {device: frozenset(DTYPES)}
    with (
        mock.patch.dict(choice._DTYPES, table), mock.patch.dict(choice._usable, {device: True}),
        mock.patch.object(cpu, "ready", cuda.ready), mock.patch.object(cuda, "_trusted", set()),
    ):  # fmt: skip
        yield


def _gradient_and_values(pool, x):
    leaf = x.clone().requires_grad_()
    y = pool(leaf)
    y.backward(torch.arange(y.numel(), dtype=y.dtype, device=y.device).view(y.shape))
    return y, leaf.grad


POOLS = (lambda x: channel_pool(x, 2, "min"), lambda x: channel_topk(x, 3))


@case("from the layers")
def _layers(device):
    for form in FORMATS:
        x = maps((2, 8, 3, 5), torch.float32, form, device)
        for pool in POOLS:
            with routed(device):
                y, gradient = _gradient_and_values(pool, x)
                assert cuda._trusted, "no kernel was asked for"
            with choice.use_kernels("torch"):
                expected, right = _gradient_and_values(pool, x)
            assert type(y.grad_fn).__name__ != type(expected.grad_fn).__name__
            assert same(y.detach(), expected.detach())
            assert same(gradient, right)


def _off_by_one(*arguments):
    values, taken = reference.topk_pool(*arguments)
    return values, taken ^ 1


def _broken(*arguments):
    raise ValueError("no such instruction\nand more")


@case("a wrong or broken kernel is not used, and one warning says so")
def _wrong(device):
    x = maps((2, 8, 3, 5), torch.float32, "nchw", device)
    expected = reference.topk_pool(x, 3, True)[0]
    for kernel, words in (
        (_off_by_one, "RuntimeError: topk_forward of torch.float32"),
        (_broken, "no such instruction"),
    ):
        with routed(device), mock.patch.object(cuda, "topk_forward", kernel):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                assert same(channel_topk(x, 3), expected)
                assert same(channel_topk(x, 3), expected)
            assert len(caught) == 1
            assert words in str(caught[0].message)
            assert "plain torch takes over" in str(caught[0].message)
            assert "\n" not in str(caught[0].message)
            assert ops.kernel("spatial_forward", x) is None


@case("each is checked once, and draws no random number")
def _once(device):
    x = maps((2, 8, 3, 5), torch.float32, "nchw", device)
    before = torch.get_rng_state()  # on a GPU its own generator is not touched either: all is made on the CPU
    with routed(device), mock.patch.object(cuda_check, "check") as asked:
        for like in (x, x, x.half(), x.contiguous(memory_format=torch.channels_last), x):
            cuda.ready("topk_forward", like)
        cuda.ready("topk_backward", x)
        assert asked.call_count == 4
    with routed(device):
        cuda.ready("spatial_backward", x)
    assert torch.equal(before, torch.get_rng_state())


def run(names, device):
    """Return what each case raised, "" for nothing."""
    found = {}
    for name in names:
        try:
            CASES[name](device)
            found[name] = ""
        except Exception:  # noqa: BLE001 told to the one who asked
            found[name] = traceback.format_exc()
    return found


def reduce_whole_arrays():
    """Let the interpreter reduce along an axis array by array; number by number, as it does, takes minutes."""
    import numpy as np
    from triton.runtime.interpreter import ReduceOps

    def generic_reduce(self, values):
        length = values[0].handle.data.shape[self.axis]
        parts = [[self.to_tensor(np.take(v.handle.data, i, self.axis), v.dtype) for v in values] for i in range(length)]
        found = parts[0]
        for part in parts[1:]:
            found = self.combine_fn.fn(*found, *part)
            found = list(found) if isinstance(found, tuple) else [found]
        if self.keep_dims:
            found = [self.to_tensor(np.expand_dims(f.handle.data, self.axis), f.dtype) for f in found]
        return found

    ReduceOps.generic_reduce = generic_reduce


if __name__ == "__main__":
    reduce_whole_arrays()
    torch.set_num_threads(1)
    json.dump(run(CASES, "cpu"), sys.stdout)
