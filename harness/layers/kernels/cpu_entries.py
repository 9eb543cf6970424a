"""The functions that are compiled: each CPU kernel for maps of 32 bits (fp32) and of 16 (bf16)."""

import numpy as np

from harness.layers.kernels import cpu_spatial, cpu_topk

_spatial_forward, _spatial_backward = cpu_spatial.forward, cpu_spatial.backward
_topk_forward, _topk_backward = cpu_topk.forward, cpu_topk.backward


def spatial_forward32(call):
    _spatial_forward(np.int32(0), 4, call)


def spatial_forward16(call):
    _spatial_forward(np.int16(0), 2, call)


def spatial_backward32(call):
    _spatial_backward(np.int32(0), 4, call)


def spatial_backward16(call):
    _spatial_backward(np.int16(0), 2, call)


def topk_forward32(call):
    _topk_forward(np.int32(0), 4, call)


def topk_forward16(call):
    _topk_forward(np.int16(0), 2, call)


def topk_backward32(call):
    _topk_backward(np.int32(0), 4, call)


def topk_backward16(call):
    _topk_backward(np.int16(0), 2, call)
