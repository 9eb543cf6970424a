"""`harness bench ops`: pooling across channels in every form that people write it, beside a copy of the tensor.

Each form alternates strictly with `clone()` over three buffers, call by call; outputs and gradients are allocated again
and let go of after each call, as in training (a gradient of maps does not outlive the step) and as the copy is; memory
is kept and lies on huge pages as in a worker, and every call goes through the differentiable function with its graph.
The unit is the copy, so that figures of two machines can be compared: ratio_to_clone; ratio_to_bytes holds the time
against that of moving the bytes that must move (input, output and positions of one byte each, and back) at the
bandwidth of the copy. On a GPU the time is the GPU's (`gpu_clock`), and tensors that no cache holds are timed too:
there 1 / ratio_to_bytes is the part of the copy's bandwidth that is reached.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial, reduce
from itertools import count
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.attempt.messages import Execution
from harness.bench.clock import Clock, in_turn, shape_text
from harness.bench.gpu_clock import timed_on
from harness.execution.executors.local import worker_environment
from harness.layers import channel_pool, channel_topk
from harness.training.process import configure

Form = Callable[[Tensor, int], Tensor]  # (N, C, H, W), stride → (N, C/s, H, W)
Op = Literal["spatial", "topk"]
SHAPES = ((100, 32, 28, 28), (250, 64, 16, 16), (250, 256, 4, 4), (32, 256, 56, 56))
GPU_SHAPES = (*SHAPES, (1024, 32, 64, 64), (512, 64, 64, 64), (128, 256, 64, 64))  # the last of 2**27 values each
QUICK_SHAPES = ((10, 32, 14, 14),)
STRIDES, LAYOUTS, PASSES = (2, 4), ("nchw", "nhwc"), ("forward", "forward+backward")
BUFFERS = 3
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
JSON_FIELDS = ("op", "impl", "shape", "stride", "layout", "dtype", "pass", "seconds", "ratio_to_clone")


class Effort(NamedTuple):
    """How long a form is timed: so many calls at the least, and further ones until it and the copy took `seconds`."""

    repetitions: int
    seconds: float


WHOLE, QUICK = Effort(20, 0.2), Effort(3, 0.0)


@dataclass(frozen=True)
class OpCase:
    """One tensor and what is done to it."""

    op: Op
    shape: tuple[int, int, int, int]
    stride: int
    layout: str
    dtype: str
    device: str
    both: str  # "forward" or "forward+backward"

    def __str__(self) -> str:
        return f"{self.op}, {shape_text(self.shape)}, stride {self.stride}, {self.layout}, {self.dtype}, {self.both}"


@dataclass(frozen=True)
class OpRow:
    """One form of one case: the median of its calls, and what that is of other times."""

    case: OpCase
    impl: str
    seconds: float
    clone_seconds: float
    best_other: float | None = None  # seconds of the fastest form but this one

    @property
    def ratio_to_clone(self) -> float:
        """Return the time in copies of the tensor."""
        return self.seconds / self.clone_seconds

    @property
    def ratio_to_best(self) -> float | None:
        """Return the time over that of the best other form: below 1 this one is faster."""
        return None if self.best_other is None else self.seconds / self.best_other

    @property
    def ratio_to_bytes(self) -> float:
        """Return the time over that of moving what must be moved, as fast as the copy moves its bytes."""
        return self.ratio_to_clone * 2 / _moved(self.case)

    @property
    def gb_per_s(self) -> float:
        """Return how many gigabytes (1e9) of those that must move this moves a second."""
        return _moved(self.case) * _bytes(self.case) / self.seconds / 1e9

    @property
    def copy_gb_per_s(self) -> float:
        """Return how many gigabytes (1e9), read and written, the copy moves a second."""
        return 2 * _bytes(self.case) / self.clone_seconds / 1e9

    def as_dict(self) -> dict[str, Any]:
        """Return the row with the names of `--format json`, the other two ratios, and bandwidths."""
        case = asdict(self.case)
        case["pass"] = case.pop("both")
        case["shape"] = list(self.case.shape)
        ratios = {name: getattr(self, name) for name in ("ratio_to_clone", "ratio_to_best", "ratio_to_bytes")}
        speeds = {"gb_per_s": self.gb_per_s, "copy_gb_per_s": self.copy_gb_per_s}
        return {**case, "impl": self.impl, "seconds": self.seconds, **ratios, **speeds}


def _moved(case: OpCase) -> float:
    """Return the bytes that must move, in sizes of the input: read, write a part, and its positions; and back."""
    part = 1 / case.stride
    positions = part / DTYPES[case.dtype].itemsize
    forward = 1 + part + positions
    return forward if case.both == "forward" else 2 * forward


def _bytes(case: OpCase) -> int:
    """Return the size of the input."""
    return math.prod(case.shape) * DTYPES[case.dtype].itemsize


def _slices(x: Tensor, stride: int) -> Tensor:
    return reduce(torch.maximum, [x[:, first::stride] for first in range(stride)])


def _grouped(x: Tensor, stride: int) -> Tensor:
    return torch.unflatten(x, 1, (x.shape[1] // stride, stride))  # (N, C/s, s, H, W)


def _pool1d(x: Tensor, stride: int) -> Tensor:
    n, c, h, w = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(n * h * w, 1, c)
    return F.max_pool1d(rows, stride).view(n, h, w, c // stride).permute(0, 3, 1, 2).contiguous()


FORMS: dict[Op, dict[str, Form]] = {
    "spatial": {
        "harness": channel_pool,
        "amax": lambda x, s: _grouped(x, s).amax(2),
        "max": lambda x, s: _grouped(x, s).max(2).values,
        "max_pool3d": lambda x, s: F.max_pool3d(x.unsqueeze(1), (s, 1, 1)).squeeze(1),
        "max_pool1d": _pool1d,
        "slices": _slices,
    },
    "topk": {
        "harness": lambda x, s: channel_topk(x, x.shape[1] // s),
        "topk": lambda x, s: x.topk(x.shape[1] // s, dim=1).values,
        "sort": lambda x, s: x.sort(dim=1, descending=True).values[:, : x.shape[1] // s].contiguous(),
    },
}


def shapes_for(device: str, *, quick: bool) -> Sequence[tuple[int, int, int, int]]:
    """Return the tensors that are timed on a device if nobody names any."""
    if quick:
        return QUICK_SHAPES
    return GPU_SHAPES if _on_gpu(device) else SHAPES


def cases(
    shapes: Sequence[tuple[int, int, int, int]],
    strides: Sequence[int],
    layouts: Sequence[str],
    dtypes: Sequence[str],
    device: str,
) -> Iterator[OpCase]:
    """Yield every combination whose stride divides the channels."""
    for shape in shapes:
        for stride in strides:
            if shape[1] % stride:
                continue
            for layout in layouts:
                for dtype in dtypes:
                    for op in FORMS:
                        for both in PASSES:
                            yield OpCase(op, shape, stride, layout, dtype, device, both)


def bench_cases(cases: Sequence[OpCase], effort: Effort, threads: int, say: Callable[[str], None]) -> Iterator[OpRow]:
    """Yield the rows of all cases, timed in this process with a worker's threads and memory."""
    with worker_environment(threads):
        for device in dict.fromkeys(case.device for case in cases):
            configure(Execution(device=device, threads=threads, deterministic=False))
        for number, case in enumerate(cases, 1):
            rows = bench_case(case, effort, say)
            ours = [f"{1000 * r.seconds:.3f} ms, {r.ratio_to_clone:.2f} × clone()" for r in rows if r.impl == "harness"]
            say(f"[{number}/{len(cases)}] {case}: {', '.join(ours) or 'left out'}")
            yield from rows


def bench_case(
    case: OpCase, effort: Effort, left_out: Callable[[str], None], clock: Clock = time.perf_counter
) -> list[OpRow]:
    """Time every form of a case; one that torch does not have for the dtype or device is left out, and said so."""
    buffers = _buffers(case)
    rows = []
    for name, form in FORMS[case.op].items():
        try:
            rows.append(_row(case, name, form, buffers, effort, clock))
        except RuntimeError as error:  # e.g. "max_pool1d" not implemented for 'Half'
            left_out(f"{case.op} {name}, {case.dtype} on {case.device}: {str(error).splitlines()[0]}")
    return compared(rows)


def compared(rows: Iterable[OpRow]) -> list[OpRow]:
    """Return the rows of one case, each with the best of the others."""
    rows = list(rows)
    return [
        replace(row, best_other=min((other.seconds for other in rows if other is not row), default=None))
        for row in rows
    ]


def _row(case: OpCase, name: str, form: Form, buffers: Sequence[Tensor], effort: Effort, clock: Clock) -> OpRow:
    turn = count()
    gradient = torch.ones_like(form(buffers[0].detach(), case.stride))

    def pool() -> object:
        x = buffers[next(turn) % BUFFERS]
        y = form(x, case.stride)
        return y if case.both == "forward" else (y, torch.autograd.grad(y, x, gradient))

    def clone() -> object:
        return buffers[next(turn) % BUFFERS].detach().clone()

    forms = {"clone": clone, "pool": pool}
    if _on_gpu(case.device):  # whose clock is steady: no further calls
        found = in_turn(forms, effort.repetitions, warm_up=BUFFERS, measure=partial(timed_on, case.device))
    else:
        found = in_turn(forms, effort.repetitions, seconds=effort.seconds, warm_up=BUFFERS, clock=clock)
    return OpRow(case, name, found["pool"].median, found["clone"].median)


def _buffers(case: OpCase) -> list[Tensor]:
    form = torch.channels_last if case.layout == "nhwc" else torch.contiguous_format
    generator = torch.Generator(case.device).manual_seed(0)
    made = []
    for _ in range(BUFFERS):
        x = torch.randn(case.shape, generator=generator, device=case.device).to(DTYPES[case.dtype])
        made.append(x.contiguous(memory_format=form).requires_grad_())
    return made


def _on_gpu(device: str) -> bool:
    return device.startswith("cuda")
