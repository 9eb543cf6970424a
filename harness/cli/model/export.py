"""`harness model export`: a network as a file for other programs, ONNX or torch's `.pt2`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.base.extras import needs
from harness.cli.common import format_option, print_json, sources_option
from harness.cli.completion import runs
from harness.cli.shapes import parse_shape

if TYPE_CHECKING:
    from harness.deploy.export import Exported
    from harness.deploy.network import Deployable


@click.command()
@click.argument("name", metavar="RUN|MODEL", shell_complete=runs)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--weights", metavar="FILE", help="Of a MODEL: a state dict, or torchvision's word, as IMAGENET1K_V1.")
@click.option("--input-shape", default="3,224,224", show_default=True, help="C,H,W of a plug-in's images.")
@click.option("--classes", type=click.IntRange(1), default=1000, show_default=True, help="Of a plug-in's network.")
@click.option("--tolerance", type=click.FloatRange(0), default=1e-5, show_default=True,
              help="By how much the file's outputs may differ, as a part of the largest.")  # fmt: skip
@format_option("text", "json")
@sources_option
def export(
    name: str,
    files: tuple[Path, ...],
    weights: str | None,
    input_shape: str,
    classes: int,
    tolerance: float,
    fmt: str,
    sources: tuple[Path, ...],
) -> None:
    """Write a network to files for programs that do not have the harness: ONNX (.onnx), or torch's program (.pt2).

    RUN is a stored run, STUDY:TRIAL:SEED or the first digits of an attempt's uid, with its trained weights. MODEL is a
    name of `harness model list`, torchvision:NAME, timm:NAME or FILE.py:NAME, with --weights or untrained. A file is
    run and compared with the network before it is written. An earlier FILE is replaced.

    \b
    harness model export quickstart:Baseline:0 digits.onnx digits.pt2
    harness model export torchvision:resnet50 resnet50.pt2 --weights IMAGENET1K_V1
    harness model export net.py:Net net.onnx --weights trained.pt --input-shape 1,28,28 --classes 10
    """
    needs("torch")
    from harness.deploy.export import export as write
    from harness.deploy.network import is_model, of_model, of_run

    if is_model(name, sources):
        subject = of_model(name, parse_shape(input_shape), classes, weights)
    elif weights is not None:
        raise click.UsageError(f"--weights goes with a model, and '{name}' is a run, which has its own")
    else:
        subject = of_run(name, sources)
    written = write(subject, files, tolerance=tolerance)
    if fmt == "json":
        print_json(_as_dict(subject, written))
    else:
        click.echo("\n".join(_in_words(subject, written)))


def _shapes(subject: "Deployable") -> dict[str, list[int | str]]:
    """Return the shape of each input, with a letter in place of each size that may be any."""
    letters = "NCHW"
    return {
        name: [letters[dim] if dim in subject.sizes[name] else size for dim, size in enumerate(example.shape)]
        for name, example in subject.inputs.items()
    }


def _as_dict(subject: "Deployable", written: Sequence["Exported"]) -> dict[str, object]:
    return {
        "name": subject.name,
        "parameters": subject.parameters,
        "inputs": _shapes(subject),
        "output": subject.output,
        "about": subject.about,
        "files": [
            {"file": str(w.file), "bytes": w.size, "difference": w.difference, "checked_by": w.checked_by}
            for w in written
        ],
    }


def _in_words(subject: "Deployable", written: Sequence["Exported"]) -> Iterator[str]:
    takes = ", ".join(f"{name} ({', '.join(map(str, shape))})" for name, shape in _shapes(subject).items())
    said = f": {subject.about['input']}" if "input" in subject.about else ""
    yield f"{subject.about.get('origin', subject.name)}: {subject.parameters:,} parameters"
    yield f"takes {takes}, float32{said}; returns {subject.output}"
    if subject.about.get("weights") == "":
        yield "its weights are those that its constructor drew: --weights FILE gives it trained ones"
    for file in written:
        checked = "not checked: ONNX Runtime is not installed (pip install onnxruntime)"
        if file.difference is not None:
            checked = f"{file.checked_by} gives the same to {file.difference:.1e} of the largest output"
        yield f"{file.file}: {file.size:,} bytes; {checked}"
