"""A network as a file for other programs: ONNX (`.onnx`), or a program of `torch.export` (`.pt2`).

Both hold the network without the harness: its layers by the operators of ONNX or of torch (`to_plain`), with its
weights, and what is known of it as JSON under `harness`. Any number of images can be given, and to a denoiser images of
any size. A file is compared before it is written: what it computes, of other images and another number of them than it
was made with, by ONNX Runtime or by torch, with what the network does.
"""

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.base.errors import HarnessError, in_one_line
from harness.base.extras import is_installed, needs
from harness.base.files import atomic_write
from harness.deploy.network import Deployable
from harness.layers.kernels import use_kernels
from harness.layers.plain import to_plain

ENDINGS = (".onnx", ".pt2")
TOLERANCE = 1e-5
_ABOUT = "harness"
_CHECKED = 3  # images: not as many as it was made with
_LARGEST_ONNX = 2**31 - 1  # bytes, of a protocol buffer

Program = Callable[[Mapping[str, Tensor]], Tensor]
"""What is in a file, called with inputs by name."""


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    `difference` is the largest from the network's outputs, as a part of the largest of these; None if nothing could run
    the file, as ONNX Runtime is not installed. `checked_by` says what ran it.
    """

    file: Path
    size: int  # bytes
    difference: float | None
    checked_by: str | None


def export(subject: Deployable, files: Sequence[Path], *, tolerance: float = TOLERANCE) -> list[Exported]:
    """Write a network to each of some files, whose endings say how.

    Raises:
        HarnessError: another ending, a network that cannot be exported, or one of which a file computes something else:
            by more than `tolerance`, as a part of the largest output. Nothing is written then.
    """
    for file in files:
        if file.suffix not in ENDINGS:
            raise HarnessError(f"{file}: a network is exported as {' or '.join(ENDINGS)}; give a name that ends so")
        if file.suffix == ".onnx":
            needs("onnx", "onnxscript")
    written: list[tuple[bytes, Exported]] = []
    with in_one_line(f"'{subject.name}' cannot be exported"), _quiet():
        program = _program(subject)
        for file in files:
            content, run = _onnx(subject, program) if file.suffix == ".onnx" else _pt2(subject, program)
            written.append((content, _checked(subject, file, len(content), run, tolerance)))
    for content, exported in written:
        atomic_write(exported.file, content)
    return [exported for _, exported in written]


def _checked(subject: Deployable, file: Path, size: int, run: Program | None, tolerance: float) -> Exported:
    """Return what is to be said of a file, not written yet. Raises HarnessError if it computes something else."""
    if run is None:
        return Exported(file, size, None, None)
    library, spoken = ("onnxruntime", "ONNX Runtime") if file.suffix == ".onnx" else ("torch", "torch")
    difference = _difference(subject, run)
    if not difference <= tolerance:  # also NaN
        raise HarnessError(
            f"{file}: what it computes differs from '{subject.name}' by {difference:.1e} of the largest output, above "
            f"{tolerance:.0e}; nothing was written (--tolerance takes another limit)"
        )
    return Exported(file, size, difference, f"{spoken} {metadata.version(library)}")


def _program(subject: Deployable) -> torch.export.ExportedProgram:
    any_size = torch.export.Dim.AUTO
    shapes = tuple(dict.fromkeys(subject.sizes[name], any_size) for name in subject.inputs)
    return torch.export.export(to_plain(subject.network), tuple(subject.inputs.values()), dynamic_shapes=shapes)


def _pt2(subject: Deployable, program: torch.export.ExportedProgram) -> tuple[bytes, Program]:
    written = io.BytesIO()
    torch.export.save(program, written, extra_files={_ABOUT: _json(subject.about)})
    loaded = torch.export.load(io.BytesIO(written.getvalue())).module()

    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        output: Tensor = loaded(*inputs.values())
        return output

    return written.getvalue(), run


def _onnx(subject: Deployable, program: torch.export.ExportedProgram) -> tuple[bytes, Program | None]:
    names = [*subject.inputs]
    made: Any = torch.onnx.export(
        program, dynamo=True, verbose=False, input_names=names, output_names=[subject.output], external_data=False
    )
    model = made.model_proto
    entry = model.metadata_props.add()
    entry.key, entry.value = _ABOUT, _json(subject.about)
    if model.ByteSize() > _LARGEST_ONNX:
        raise HarnessError(f"'{subject.name}' takes more than the 2 GiB of one ONNX file; export it as .pt2")
    content: bytes = model.SerializeToString()
    return content, _in_onnxruntime(content, subject.output) if is_installed("onnxruntime") else None


def _in_onnxruntime(content: bytes, output: str) -> Program:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        (found,) = session.run([output], {name: value.numpy() for name, value in inputs.items()})
        return torch.from_numpy(found)

    return run


def _difference(subject: Deployable, run: Program) -> float:
    """Return by how much a file's outputs differ from the network's, as a part of the largest; NaN if there is one."""
    generator = torch.Generator().manual_seed(1)
    inputs = {
        name: value[:1].amax() * torch.rand((_CHECKED, *value.shape[1:]), generator=generator)
        for name, value in subject.inputs.items()
    }
    with torch.no_grad(), use_kernels("torch"):
        wanted: Tensor = subject.network(*inputs.values())
        found = run(inputs)
    if found.shape != wanted.shape:
        raise HarnessError(f"'{subject.name}': the file returns {tuple(found.shape)}, not {tuple(wanted.shape)}")
    return float((found - wanted).abs().max() / wanted.abs().max().clamp(min=1e-12))


def _json(about: Mapping[str, Any]) -> str:
    return json.dumps(about, ensure_ascii=False, default=str)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to ourselves what torch's exporters say of their own state."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
