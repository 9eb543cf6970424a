"""Files of trained weights as lists of convolutions: state dicts of torch, safetensors, MATLAB's .mat files.

Which format a file has is seen from its first bytes. Nothing in a file is executed.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.base.errors import HarnessError
from harness.base.extras import needs

_WRAPPERS = ("state_dict", "params_ema", "params", "model_state_dict", "model", "net")
_PORT_OF_FFDNET = "intermediate_dncnn"


@dataclass(frozen=True)
class Norm:
    """Batch normalisation as trained: scale · (x − mean) / √(variance + epsilon) + shift, each (C,)."""

    scale: Tensor
    shift: Tensor
    mean: Tensor
    variance: Tensor
    epsilon: float


@dataclass(frozen=True)
class FileLayer:
    """A convolution of a file, as torch has it: weight (out, in, H, W), or (in, out, H, W) of a deconvolution."""

    weight: Tensor
    bias: Tensor | None  # (out,)
    norm: Norm | None = None
    is_ffdnet_port: bool = False

    def merged(self) -> "FileLayer":
        """Return one convolution that computes what the convolution and its normalisation compute."""
        if self.norm is None:
            return self
        norm = self.norm
        factor = norm.scale.double() / (norm.variance.double() + norm.epsilon).sqrt()  # (out,)
        bias = norm.mean.new_zeros(norm.mean.shape) if self.bias is None else self.bias
        weight = self.weight.double() * factor.view(-1, 1, 1, 1)
        shift = norm.shift.double() + factor * (bias.double() - norm.mean.double())
        return FileLayer(weight.to(self.weight.dtype), shift.to(self.weight.dtype))


def read_file(file: str, own: Collection[str]) -> dict[str, Tensor] | list[FileLayer]:
    """Return what a file of weights holds: a state dict if its names are those in `own`, else its convolutions.

    Raises:
        HarnessError: a file of another kind, or one that is damaged.
        MissingPartError: a library is missing that the file needs.
    """
    with Path(file).open("rb") as opened:
        start = opened.read(1024)
    if start.startswith((b"\x89HDF", b"MATLAB 7.3")):
        return list(_attach(_matlab_73(file), file))
    if start.startswith(b"MATLAB 5.0"):
        return list(_attach(_matlab_5(file), file))
    state = _safetensors(file) if start[8:9] == b"{" else _torch(file)
    state = {name.removeprefix("module."): value for name, value in state.items()}
    return state if state.keys() >= {*own} else list(_attach(_of_state(state), file))


def _torch(file: str) -> dict[str, Tensor]:
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise HarnessError(f"'{file}' holds no weights that can be read: {type(error).__name__}") from error
    if isinstance(state, Mapping):
        state = next((state[name] for name in _WRAPPERS if isinstance(state.get(name), Mapping)), state)
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise HarnessError(f"'{file}' is not a state dict: save model.state_dict()")
    return {str(name): value for name, value in state.items()}


def _safetensors(file: str) -> dict[str, Tensor]:
    needs("safetensors")
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except Exception as error:
        raise HarnessError(f"'{file}' holds no weights that can be read: {type(error).__name__}") from error


Part = tuple[str, tuple[Tensor, ...], bool]
"""A layer of a file: "conv" with weight and perhaps bias, or "norm" with scale, shift, mean, variance and epsilon."""


def _of_state(state: Mapping[str, Tensor]) -> Iterator[Part]:
    """Yield the layers of a state dict in the order of the numbers in their names."""
    modules: dict[str, dict[str, Tensor]] = {}
    for name, value in state.items():
        path, _, parameter = name.rpartition(".")
        modules.setdefault(path, {})[parameter] = value
    for path in sorted(modules, key=_natural):
        found = modules[path]
        weight = found.get("weight")
        if weight is not None and weight.ndim == 4:
            bias = (found["bias"],) if "bias" in found else ()
            yield "conv", (weight, *bias), _PORT_OF_FFDNET in path
        elif weight is not None and {"bias", "running_mean", "running_var"} <= found.keys():
            epsilon = torch.tensor(1e-5, dtype=torch.float64)  # torch's own, which no file says
            yield "norm", (weight, found["bias"], found["running_mean"], found["running_var"], epsilon), False


def _natural(path: str) -> list[tuple[int, int, str]]:
    """Return a key by which `model.2` comes before `model.10`."""
    return [(0, int(word), "") if word.isdigit() else (1, 0, word) for word in re.split(r"(\d+)", path) if word]


def _attach(parts: Iterator[Part], file: str) -> Iterator[FileLayer]:
    """Yield convolutions, each with the normalisation that follows it."""
    last: FileLayer | None = None
    for kind, values, port in parts:
        if kind == "conv":
            if last is not None:
                yield last
            last = FileLayer(values[0], values[1] if len(values) > 1 else None, is_ffdnet_port=port)
        elif last is None or last.norm is not None:
            raise HarnessError(f"'{file}' does not fit: batch normalisation without a convolution before it")
        else:
            scale, shift, mean, variance, epsilon = values
            last = replace(last, norm=Norm(scale, shift, mean, variance, float(epsilon)))
    if last is None:
        raise HarnessError(f"'{file}' holds no convolution")
    yield last


def _matlab_73(file: str) -> Iterator[Part]:
    """Yield the layers of MatConvNet's `net.layers` in a file of MATLAB 7.3, which is HDF5.

    HDF5 has the axes of MATLAB's arrays in reverse, and a cell array is an array of references.
    """
    needs("h5py")
    import h5py

    try:
        with h5py.File(file) as opened:
            net = next(each for each in opened.values() if isinstance(each, h5py.Group) and "layers" in each)
            for reference in np.asarray(net["layers"]).ravel():
                layer = opened[reference]
                kind = "".join(map(chr, np.asarray(layer["type"]).ravel()))
                cells = np.asarray(layer["weights"]).ravel() if "weights" in layer else ()
                yield from _matconvnet(kind, [_hdf5_array(opened[cell]) for cell in cells])
    except (OSError, KeyError, StopIteration, AttributeError, ValueError) as error:
        raise HarnessError(f"'{file}' does not hold a network of MatConvNet ('net.layers'): {error!r}") from error


def _hdf5_array(dataset: Any) -> NDArray[Any]:
    """Return an array in MATLAB's order of axes; an empty one is stored as its size, with a mark."""
    if dataset.attrs.get("MATLAB_empty", 0):
        return np.zeros(0, np.float32)
    return np.asarray(dataset).T


def _matlab_5(file: str) -> Iterator[Part]:
    """Yield the layers of MatConvNet's `net.layers` in a file of MATLAB 5 to 7."""
    from scipy.io import loadmat

    try:
        variables = loadmat(file, struct_as_record=False).values()
        net = next(v.flat[0] for v in variables if isinstance(v, np.ndarray) and hasattr(v.flat[0], "layers"))
        for cell in net.layers.ravel():
            layer = cell.flat[0]
            cells = layer.weights.ravel() if hasattr(layer, "weights") else ()
            yield from _matconvnet(str(layer.type.flat[0]), list(cells))
    except (OSError, KeyError, StopIteration, AttributeError, ValueError, IndexError) as error:
        raise HarnessError(f"'{file}' does not hold a network of MatConvNet ('net.layers'): {error!r}") from error


def _matconvnet(kind: str, arrays: list[NDArray[Any]]) -> Iterator[Part]:
    """Yield one layer of MatConvNet: filters (H, W, in, out) and biases, or scale, shift, and mean beside deviation.

    MATLAB drops axes of length 1 at the end. The deviation is √(variance + epsilon).
    """
    if kind == "conv":
        filters = arrays[0].reshape(*arrays[0].shape, *(1,) * (4 - arrays[0].ndim))
        bias = [_tensor(array.ravel()) for array in arrays[1:] if array.size]
        yield "conv", (_tensor(filters.transpose(3, 2, 0, 1)), *bias[:1]), False
    elif kind == "bnorm":
        scale, shift, moments = arrays  # (C, 1), (C, 1), (C, 2)
        mean, deviation = _tensor(moments[:, 0]), _tensor(moments[:, 1])
        yield "norm", (_tensor(scale.ravel()), _tensor(shift.ravel()), mean, deviation**2, torch.tensor(0.0)), False


def _tensor(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
