"""`harness model`: the networks and where compressors can go in them."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.base.extras import needs
from harness.cli.common import format_option, print_json, print_table, sources_option
from harness.cli.completion import runs
from harness.cli.model.compare import compare
from harness.cli.model.export import export
from harness.cli.model.sites import sites
from harness.cli.model.sweep import sweep

if TYPE_CHECKING:
    from harness.trial.models import ModelDeclaration


@click.group()
def model() -> None:
    """List models and the sites where compressors can go.

    \b
    harness model list
    """


model.add_command(compare)
model.add_command(export)
model.add_command(sites)
model.add_command(sweep)


@model.command()
@click.argument("run", shell_complete=runs)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@sources_option
def save(run: str, file: Path, sources: tuple[Path, ...]) -> None:
    """Write the trained denoiser of RUN to FILE (.npz), which `harness denoise --model FILE` uses anywhere.

    RUN is STUDY:TRIAL:SEED or the first digits of an attempt's uid. Weights are kept in half precision. An earlier FILE
    is replaced.

    \b
    harness model save 'denoise-any:DnCNN 10×48, blind:0' my-denoiser.npz
    """
    needs("torch")
    from harness.denoiser.denoisers import load_run
    from harness.models.model_file import save_model

    about, state = load_run(run, sources)
    size = save_model(file, about, state)
    click.echo(f"{file}: {about.origin}, {sum(values.numel() for values in state.values()):,} values, {size:,} bytes")


@model.command("list")
@format_option("text", "json")
def list_models(fmt: str) -> None:
    """List the networks that come with the harness, and those to which other packages give a name.

    \b
    harness model list
    """
    from harness.plugins.plugin import entry_points
    from harness.trial.models import MODELS

    rows = [
        {"model": m.name, "input_shape": list(m.input_shape), "classes": m.classes, "sites": list(m.sites)}
        for m in MODELS.values()
    ]
    others = entry_points("harness.models")
    if fmt == "json":
        print_json([*rows, *({"model": name, "of_another_package": reference} for name, reference in others.items())])
        return
    print_table(
        ["model", "input", "classes", "sites"],
        [[m.name, _taken(m), m.classes or "", ", ".join(m.sites)] for m in MODELS.values()],
    )
    for name, reference in others.items():
        click.echo(f"{name}: of another package, {reference}")
    click.echo("torchvision's are named torchvision:NAME, timm's timm:NAME; 'harness model sites' prints their sites.")


def _taken(declared: "ModelDeclaration") -> str:
    channels, height, width = declared.input_shape
    return f"{channels}×H×W" if declared.any_size else f"{channels}×{height}×{width}"
