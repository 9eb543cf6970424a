"""Compiles every CUDA kernel for a card that need not be here, and prints how many of each: run by a test.

What Triton's interpreter lets pass and its compiler does not (types, shapes, layouts) shows so without a GPU.
"""

import json
import sys
from unittest import mock

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from harness.layers.kernels import cuda, cuda_spatial, cuda_topk

_POINTERS = {torch.int32: "*i32", torch.int16: "*i16", torch.uint8: "*u8"}


class Compiled:
    """Stands for a kernel: what would be launched is compiled instead."""

    def __init__(self, kernel, capability, found):
        self.kernel, self.target, self.found = kernel, GPUTarget("cuda", capability, 32), found

    def __getitem__(self, grid):
        return self.launch

    def launch(self, *arguments, num_warps, **constants):
        names = self.kernel.arg_names
        kinds = [_POINTERS[a.dtype] if isinstance(a, torch.Tensor) else "i32" for a in arguments]
        signature = dict(zip(names, kinds, strict=False)) | dict.fromkeys(constants, "constexpr")
        source = ASTSource(self.kernel, signature, constexprs=constants)
        compiled = triton.compile(source, target=self.target, options={"num_warps": num_warps})
        assert "bar.sync" in compiled.asm["ptx"] or self.kernel is not cuda_topk.backward
        name = self.kernel.__name__
        self.found[name] = self.found.get(name, 0) + (len(compiled.asm["cubin"]) > 0)


def main(capability):
    found = {}
    with mock.patch.multiple(
        cuda_spatial,
        **{
            name: Compiled(getattr(cuda_spatial, name), capability, found)
            for name in ("forward_maps", "forward_neighbours", "backward_maps", "backward_neighbours")
        },
    ):
        for dtype, form, strides in (
            (torch.float32, torch.contiguous_format, (2, 16)), (torch.bfloat16, torch.channels_last, (2, 3)),
        ):  # fmt: skip
            for stride in strides:
                x = torch.zeros(2, 6 * stride, 2, 4, dtype=dtype).contiguous(memory_format=form)
                y, taken = cuda.spatial_forward(x, stride, True)
                cuda.spatial_backward(y, taken, stride)
    topk = {
        name: Compiled(getattr(cuda_topk, name), capability, found) for name in ("forward", "backward", "backward_few")
    }
    with mock.patch.multiple(cuda_topk, **topk):
        for dtype, form, wide in (
            (torch.float32, torch.contiguous_format, True), (torch.bfloat16, torch.channels_last, False),
        ):  # fmt: skip
            with mock.patch.object(cuda, "_WIDE_FROM", 0 if wide else cuda._WIDE_FROM):
                for channels, k in ((8, 3), (128, 40)):  # a lane each pixel, and several
                    x = torch.zeros(2, channels, 2, 4, dtype=dtype).contiguous(memory_format=form)
                    y, taken = cuda.topk_forward(x, k, False)
                    cuda.topk_backward(y, taken, channels)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]))
