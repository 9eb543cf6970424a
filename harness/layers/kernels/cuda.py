"""The CUDA kernels on tensors: shapes, memory and launches around Triton's (`cuda_spatial`, `cuda_topk`).

Nobody can promise that a compiler and a card of tomorrow do what these did, so the first use of a kernel in a process,
for each dtype and layout, is a comparison with plain torch on small maps (`cuda_check`): what differs is not used.
"""

from collections.abc import Callable
from contextlib import nullcontext
from math import gcd
from typing import Any

import torch
import triton
from torch import Tensor

from harness.layers.kernels import cuda_check, cuda_spatial, cuda_topk, reference
from harness.layers.memory_format import is_channels_last

_WIDE_FROM = 2**31 - 2**20  # values from which offsets need 64 bits; a program may reach past the end
_BITS = {4: torch.int32, 2: torch.int16}
_INFINITY = {torch.float32: 0x7F800000, torch.bfloat16: 0x7F80, torch.float16: 0x7C00}
_VECTOR = 16  # bytes that a thread reads or writes at once
_OUTPUTS, _WARPS = 1024, 4  # of a program of pooling across channels
_UNROLLED = 8  # values of a group that are read without a loop
_ALONE, _SHARED = 64, 32  # channels of a pixel that a lane sorts at most, alone and among several
_SMALL = 128  # bytes of a pixel up to which a program is of several warps
_FEW = 64  # channels up to which each asks for its gradient; to more it is brought
_trusted: set[tuple[Any, ...]] = set()


def ready(name: str, x: Tensor) -> Callable[..., Any]:
    """Return the function `name`, compared with plain torch before its first use.

    While a CUDA graph is captured nothing can be compared: what has not been used before (a capture follows a warm-up,
    so this is rare) is plain torch's there.

    Raises:
        Exception: whatever a missing or failing compiler raises; RuntimeError: the results differ from plain torch's.
    """
    use = (name, x.dtype, x.device, is_channels_last(x))
    if use not in _trusted:
        if x.is_cuda and torch.cuda.is_current_stream_capturing():
            return cuda_check.PLAIN[name]
        cuda_check.check(name, globals()[name], x)
        _trusted.add(use)
    function: Callable[..., Any] = globals()[name]
    return function


def spatial_forward(x: Tensor, stride: int, minimum: bool) -> tuple[Tensor, Tensor]:
    """Return values (N, C/stride, H, W) and their positions in the groups, bytes. `stride` is at most MOST_POOLED."""
    last = is_channels_last(x)
    x = _dense(x, last)
    groups = x.shape[1] // stride
    y, taken = _empty(x, groups, x.dtype, last), _empty(x, groups, torch.uint8, last)
    if not y.numel():
        return y, taken
    pixels, vector = _pixels(x, last), _VECTOR // x.element_size()
    tensors = (_bits(x), _bits(y), taken)
    same = {"S": stride, "INF": _INFINITY[x.dtype], "MINIMUM": minimum, "WIDE": _wide(x)}
    together = max(1, vector // stride)  # outputs of neighbours that are read at once
    if pixels == 1 and _power_of_two(stride) and stride <= 16 and y.numel() % together == 0:
        units = y.numel() // together
        log_s = stride.bit_length() - 1
        _launch(cuda_spatial.forward_neighbours, units, tensors, (units,), V=together, LOG_S=log_s, **same)
    else:
        together = gcd(pixels, vector)
        units, unroll = y.numel() // together, stride <= _UNROLLED
        sizes = (units, pixels // together)
        _launch(cuda_spatial.forward_maps, units, tensors, sizes, V=together, UNROLL=unroll, **same)
    return y, taken


def spatial_backward(g: Tensor, taken: Tensor, stride: int) -> Tensor:
    """Return the gradient of what `spatial_forward` took, (N, C, H, W), from that of its values."""
    last = is_channels_last(taken)
    g = _dense(g, last)
    out = _empty(g, g.shape[1] * stride, g.dtype, last)
    if not out.numel():
        return out
    pixels, vector = _pixels(g, last), _VECTOR // g.element_size()
    tensors = (_bits(g), taken, _bits(out))
    if pixels == 1:
        together = gcd(out.numel(), vector)
        units = out.numel() // together
        _launch(cuda_spatial.backward_neighbours, units, tensors, (units,), S=stride, V=together, WIDE=_wide(out))
    else:
        together = gcd(pixels, vector)
        units = g.numel() // together
        sizes = (units, pixels // together)
        _launch(cuda_spatial.backward_maps, units, tensors, sizes, S=stride, V=together, WIDE=_wide(out))
    return out


def topk_forward(x: Tensor, k: int, largest: bool) -> tuple[Tensor, Tensor]:
    """Return the k values (N, k, H, W) and their channels, as bytes up to MOST_POOLED channels, else 16 bits."""
    channels = x.shape[1]
    last = is_channels_last(x)
    x = _dense(x, last)
    y, taken = _empty(x, k, x.dtype, last), _empty(x, k, reference.position_dtype(channels), last)
    if not y.numel():
        return y, taken
    pixels = _pixels(x, last)
    total = x.numel() // channels
    tile = topk_tile(channels, k, x.element_size(), neighbours=pixels == 1)
    kernel = cuda_topk.forward[(triton.cdiv(total, 2 ** tile["LOG_P"]),)]
    with _device(x):
        kernel(
            _bits(x), _bits(y), taken, total, pixels, C=channels, K=k, INF=_INFINITY[x.dtype], SMALLEST=not largest,
            LAST=pixels == 1, WIDE=_wide(x), **tile,
        )  # fmt: skip
    return y, taken


def topk_tile(channels: int, k: int, element_bytes: int, *, neighbours: bool) -> dict[str, int]:
    """Return how pixels and channels are dealt out to lanes: `neighbours` are channels side by side in memory."""
    log_c, log_k = (max(1, (number - 1).bit_length()) for number in (channels, k))
    vector = gcd(channels, _VECTOR // element_bytes) if neighbours else 1
    lanes = 1 if 2**log_c <= _ALONE else min(32, 2**log_c // _SHARED)
    warps = _WARPS if lanes == 1 and 2**log_c * element_bytes <= 128 else 1  # several if each has few registers to fill
    log_p = (32 // lanes * warps).bit_length() - 1
    log_l = lanes.bit_length() - 1
    return {"LOG_C": log_c, "LOG_K": log_k, "LOG_P": log_p, "LOG_L": log_l, "V": vector, "num_warps": warps}


def topk_backward(g: Tensor, taken: Tensor, channels: int) -> Tensor:
    """Return the gradient of what `topk_forward` took, (N, channels, H, W), from that of its values."""
    last = is_channels_last(taken)
    g = _dense(g, last)
    out = _empty(g, channels, g.dtype, last)
    if not out.numel():
        return out
    pixels, total, k = _pixels(g, last), out.numel() // channels, g.shape[1]
    tensors = (_bits(g), taken, _bits(out))
    common = {"C": channels, "K": k, "LAST": pixels == 1, "WIDE": _wide(out)}
    with _device(g):
        if channels <= _FEW:
            at_once, log_c = 32 * _WARPS, max(1, (channels - 1).bit_length())
            kernel = cuda_topk.backward_few[(triton.cdiv(total, at_once),)]
            kernel(*tensors, total, pixels, LOG_C=log_c, P=at_once, num_warps=_WARPS, **common)
        else:
            at_once, block = 128 // g.element_size(), min(64, 1 << (k - 1).bit_length())  # pixels: a line of memory
            kernel = cuda_topk.backward[(triton.cdiv(total, at_once),)]
            kernel(*tensors, total, pixels, P=at_once, BLOCK=block, num_warps=2 * _WARPS, **common)
    return out


def _launch(kernel: Any, units: int, tensors: tuple[Tensor, ...], sizes: tuple[int, ...], **constants: Any) -> None:
    at_once = max(1, (_OUTPUTS if constants["S"] <= _UNROLLED else _OUTPUTS // 4) // constants["V"])
    with _device(tensors[0]):
        kernel[(triton.cdiv(units, at_once),)](*tensors, *sizes, UNITS=at_once, num_warps=_WARPS, **constants)


def _device(x: Tensor) -> Any:
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()


def _empty(x: Tensor, channels: int, dtype: torch.dtype, last: bool) -> Tensor:
    n, _, h, w = x.shape
    form = torch.channels_last if last else torch.contiguous_format
    return torch.empty((n, channels, h, w), dtype=dtype, device=x.device, memory_format=form)


def _dense(x: Tensor, last: bool) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def _bits(x: Tensor) -> Tensor:
    return x.view(_BITS[x.element_size()])


def _pixels(x: Tensor, last: bool) -> int:
    """Return how many pixels a map has in one piece: channels-last none but one."""
    return 1 if last else x.shape[2] * x.shape[3]


def _wide(x: Tensor) -> bool:
    return x.numel() >= _WIDE_FROM


def _power_of_two(number: int) -> bool:
    return number & (number - 1) == 0
