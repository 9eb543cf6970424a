"""A trained denoiser as one small file that says by itself which network it holds: NumPy's .npz, read without pickle.

    harness model save denoise-any:…:0 my-denoiser.npz

The entry `about` is JSON: the network with its options, what it was trained on, and where it comes from. Every other
entry is one parameter or buffer under its name in the state dict. Weights (two or more dimensions) are kept in half
precision, biases and the numbers of normalisation in full: on images this changes nothing that can be measured.
"""

import io
import json
import math
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.lib.format as npy
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.base.errors import HarnessError, printable_line, shortened
from harness.base.files import atomic_write, read_regular

ENDING = ".npz"
_ABOUT = "about"
_FORMAT = 1
_LARGEST_HALF = 65504.0


@dataclass(frozen=True)
class About:
    """What a file says of its network; all but `config` is for people.

    `config` has "model" and "compressors" as `harness.models.build` takes them, and "task", the options of denoising.
    """

    config: Mapping[str, Any]
    trained_on: str = ""  # a dataset
    origin: str = ""  # study: trial, seed
    uid: str = ""
    results: Mapping[str, float] = field(default_factory=dict)


def save_model(path: Path, about: About, state: Mapping[str, Tensor]) -> int:
    """Write a network's state dict with what it is, all of it or nothing; return the bytes written.

    The same network gives the same bytes. Raises HarnessError for another ending than .npz, or weights with NaN.
    """
    if path.suffix != ENDING:
        raise HarnessError(f"{path}: a denoiser is saved as {ENDING}; give a name that ends so")
    kept = {_ABOUT: np.frombuffer(json.dumps({"format": _FORMAT, **asdict(about)}).encode(), dtype=np.uint8)}
    for name, values in state.items():
        if not bool(torch.isfinite(values).all()):
            raise HarnessError(f"{about.origin or 'the network'}: '{name}' holds NaN or infinity: it has diverged")
        kept[name] = _small(values)
    written = io.BytesIO()
    np.savez_compressed(written, **kept)  # type: ignore[arg-type]
    atomic_write(path, written.getvalue())
    return written.getbuffer().nbytes


def _small(values: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = values.detach().cpu().numpy()
    fits = values.ndim >= 2 and values.is_floating_point() and float(values.abs().max()) <= _LARGEST_HALF
    return array.astype(np.float16) if fits else array


def _is_whole(config: Any) -> bool:
    """Return whether a configuration has the parts of a trained network that are asked for."""
    parts = {"model", "compressors", "task"}
    if not isinstance(config, dict) or not parts <= config.keys():
        return False
    return all(isinstance(config[part], dict) for part in parts) and "sigma" in config["task"]


def load_model(path: Path) -> tuple[About, dict[str, Tensor]]:
    """Return what a file says of its network, and the state dict, floating point as float32.

    Raises HarnessError, naming the file, if `save_model` did not write it or it is damaged; OSError as `open` does.
    """
    try:
        with np.load(_checked(path), allow_pickle=False) as entries:
            arrays = {name: entries[name] for name in entries.files}
        said = json.loads(arrays.pop(_ABOUT).tobytes())
        version = said.pop("format")
        about = About(**said) if version == _FORMAT else None
        if about is not None and not _is_whole(about.config):
            raise ValueError("no configuration of a trained denoiser")
        state = {name: torch.from_numpy(array) for name, array in arrays.items()}
    except _UNREADABLE as error:
        raise HarnessError(f"{path} is not a denoiser that 'harness model save' wrote, or it is damaged") from error
    if about is None:
        shown = shortened(printable_line(str(version)), 40)
        raise HarnessError(f"{path} has format {shown}, which a later version of the harness wrote")
    return about, {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


_MOST_BYTES = 2**28
"""Of a file, and of what it unpacks to: the largest network of ours, of 71 million weights, takes half of it."""
_UNREADABLE = (
    ValueError, KeyError, TypeError, EOFError, AttributeError, RuntimeError, OverflowError, zlib.error,
    zipfile.BadZipFile, tokenize.TokenError,
)  # fmt: skip
"""What reading raises: of a zip, of a header that is none, of JSON with numbers or nesting without end."""


def _checked(path: Path) -> io.BytesIO:
    """Return the contents of an archive whose arrays are as large as they claim, and not too large.

    NumPy allocates what a header claims before it reads. Raises ValueError, or another of `_UNREADABLE`.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError("too large")
    content = io.BytesIO(read_regular(path))
    with zipfile.ZipFile(content) as packed:
        if sum(entry.file_size for entry in packed.infolist()) > _MOST_BYTES:
            raise ValueError("unpacks to too much")
        for entry in packed.infolist():
            with packed.open(entry) as member:
                read = npy.read_array_header_1_0 if npy.read_magic(member) == (1, 0) else npy.read_array_header_2_0
                try:
                    shape, _, dtype = read(member)
                except MemoryError as error:  # of brackets without end
                    raise ValueError("a header that cannot be parsed") from error
                if math.prod(shape) * dtype.itemsize > entry.file_size:
                    raise ValueError("an array claims more than there is")
    content.seek(0)
    return content
