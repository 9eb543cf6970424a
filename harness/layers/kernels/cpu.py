"""The CPU kernels on tensors: shapes, memory and threads around machine code (`cpu_build`).

The threads are torch's own: parts of a call are handed to the OpenMP library that torch has loaded, so there is no
second pool, and `torch.set_num_threads` holds. Where torch has none of that interface, one thread does all parts. Each
value is made by one part alone, so the number of threads changes no bit.
"""

import ctypes
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from harness.layers.kernels import cpu_build
from harness.layers.kernels.cpu_layout import HEADER, LANES64, key_bytes, scratch_bytes
from harness.layers.kernels.reference import MOST_POOLED
from harness.layers.memory_format import is_channels_last

_FEW = 1 << 15  # values that one thread does sooner than two
_SHARES = 4  # parts a thread of a call without scratch memory
_Function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@cache
def _kernel(entry: str, bits: int) -> Any:
    return ctypes.cast(cpu_build.load(entry, bits), _Function)


class _Team(NamedTuple):
    """Of an OpenMP library: GOMP_parallel(function, data, threads, flags), and the address of omp_get_thread_num."""

    parallel: Any
    thread_number: int


@cache
def _team() -> _Team | None:
    """Return the threads of the OpenMP library that torch uses, or None."""
    libraries = sorted((Path(torch.__file__).parent / "lib").glob("libgomp*.so*"))
    for name in [*map(str, libraries), None]:
        try:
            library = ctypes.CDLL(name)
            parallel, number = library.GOMP_parallel, library.omp_get_thread_num
        except (OSError, AttributeError):
            continue
        parallel.argtypes = [_Function, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        parallel.restype = None
        return _Team(parallel, ctypes.cast(number, ctypes.c_void_p).value or 0)
    return None


def _threads(values: int) -> int:
    return torch.get_num_threads() if values > _FEW and _team() is not None else 1


def _call(entry: str, bits: int, threads: int, *words: int, shares: int = 1) -> None:
    """Call a kernel with its words, in `shares` parts a thread: of many, a thread that is held up leaves some."""
    team = _team() if threads > 1 else None
    parts, marks = shares * threads, HEADER + len(words)
    call = (ctypes.c_int64 * (marks + -(-parts // 8)))(
        8 * marks, parts, threads, team.thread_number if team else 0, *words
    )
    if team is None:
        _kernel(entry, bits)(ctypes.addressof(call))
    else:
        team.parallel(_kernel(entry, bits), ctypes.addressof(call), threads, 0)


def _empty(x: Tensor, channels: int, dtype: torch.dtype, last: bool) -> Tensor:
    n, _, h, w = x.shape
    form = torch.channels_last if last else torch.contiguous_format
    return torch.empty((n, channels, h, w), dtype=dtype, device=x.device, memory_format=form)


def _dense(x: Tensor, last: bool) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def spatial_forward(x: Tensor, stride: int, minimum: bool) -> tuple[Tensor, Tensor]:
    """Return values (N, C/stride, H, W) and their positions in the groups, bytes. `stride` is at most MOST_POOLED."""
    last = is_channels_last(x)
    x = _dense(x, last)
    bits, groups = 8 * x.element_size(), x.shape[1] // stride
    y, taken = _empty(x, groups, x.dtype, last), _empty(x, groups, torch.uint8, last)
    if y.numel():
        rows, pixels = _rows(y, last)
        flip = 1 << (bits - 1) if minimum else 0
        words = (x.data_ptr(), y.data_ptr(), taken.data_ptr(), rows, pixels, stride, flip)
        _call("spatial_forward", bits, _threads(x.numel()), *words, shares=_SHARES)
    return y, taken


def spatial_backward(g: Tensor, taken: Tensor, stride: int) -> Tensor:
    """Return the gradient of what `spatial_forward` took, (N, C, H, W), from that of its values."""
    last = is_channels_last(taken)
    g = _dense(g, last)
    out = _empty(g, g.shape[1] * stride, g.dtype, last)
    if out.numel():
        words = (g.data_ptr(), taken.data_ptr(), out.data_ptr(), *_rows(g, last), stride)
        _call("spatial_backward", 8 * g.element_size(), _threads(out.numel()), *words, shares=_SHARES)
    return out


def _rows(y: Tensor, last: bool) -> tuple[int, int]:
    """Return how many groups of maps there are, and of how many pixels: neighbours in memory are groups of one."""
    pixels = y.shape[2] * y.shape[3]
    return (y.numel(), 1) if last or pixels == 1 else (y.shape[0] * y.shape[1], pixels)


def _images(x: Tensor, last: bool) -> tuple[int, int]:
    """Return how many images there are, and of how many pixels: channels-last all are one."""
    pixels = x.shape[2] * x.shape[3]
    return (1, x.shape[0] * pixels) if last or pixels == 1 else (x.shape[0], pixels)


def topk_forward(x: Tensor, k: int, largest: bool) -> tuple[Tensor, Tensor]:
    """Return the k values (N, k, H, W) and their channels, as bytes up to MOST_POOLED channels, else 16 bits."""
    last = is_channels_last(x)
    x = _dense(x, last)
    channels = x.shape[1]
    wide = channels > MOST_POOLED
    images, pixels = _images(x, last)
    if x.numel() > 0 and pixels < LANES64:
        return _topk_few_pixels(x, k, largest, last)
    y = _empty(x, k, x.dtype, last)
    taken = _empty(x, k, torch.int16 if wide else torch.uint8, last)
    if x.numel():
        as_one = last or x.shape[2] * x.shape[3] == 1
        threads = _threads(x.numel())
        scratch = torch.empty(scratch_bytes(channels, threads), dtype=torch.uint8, device=x.device)
        words = (x.data_ptr(), y.data_ptr(), taken.data_ptr(), scratch.data_ptr(), images, channels, pixels, k)
        more = (int(as_one), 0 if largest else -1, int(wide), key_bytes(channels))
        _call("topk_forward", 8 * x.element_size(), threads, *words, *more)
    return y, taken


def _topk_few_pixels(x: Tensor, k: int, largest: bool, last: bool) -> tuple[Tensor, Tensor]:
    """Images of fewer pixels than a vector: laid out as one run of pixels, with some to spare, and back."""
    n, channels, h, w = x.shape
    run = x.permute(0, 2, 3, 1).reshape(n * h * w, channels)
    spare = max(0, LANES64 - len(run))
    run = torch.cat([run, run[:1].expand(spare, -1)]) if spare else run
    y, taken = topk_forward(run.reshape(len(run), channels, 1, 1), k, largest)
    back = [t.view(-1, k)[: n * h * w].view(n, h, w, k).permute(0, 3, 1, 2) for t in (y, taken)]
    return _dense(back[0], last), _dense(back[1], last)


def topk_backward(g: Tensor, taken: Tensor, channels: int) -> Tensor:
    """Return the gradient of what `topk_forward` took, (N, channels, H, W), from that of its values."""
    last = is_channels_last(taken)
    g = _dense(g, last)
    out = _empty(g, channels, g.dtype, last)
    if out.numel():
        images, pixels = _images(g, last)
        as_one = last or g.shape[2] * g.shape[3] == 1
        words = (g.data_ptr(), taken.data_ptr(), out.data_ptr(), images, channels, pixels, g.shape[1])
        flags = (int(as_one), int(taken.dtype == torch.int16))
        _call("topk_backward", 8 * g.element_size(), _threads(out.numel()), *words, *flags)
    return out


def ready(name: str, x: Tensor) -> Any:
    """Return the function `name`, its machine code loaded.

    Raises:
        Exception: whatever a missing or failing compiler raises.
    """
    _kernel(name, 8 * x.element_size())
    return globals()[name]
