"""`harness model`: the networks and where compressors can go in them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.base.errors import HarnessError, did_you_mean, in_one_line
from harness.base.extras import needs
from harness.cli.common import format_option, print_json, print_table, sources_option
from harness.cli.completion import runs
from harness.cli.model.export import export
from harness.cli.model.sweep import sweep
from harness.cli.shapes import parse_shape

if TYPE_CHECKING:
    from harness.trial.models import ModelDeclaration

_FOLDERS = ["."]  # where plug-ins are looked for first


@click.group()
def model() -> None:
    """List models and the sites where compressors can go.

    \b
    harness model list
    """


model.add_command(export)
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
    click.echo("torchvision's are named torchvision:NAME; 'harness model sites torchvision:resnet18' prints where.")


def _taken(declared: "ModelDeclaration") -> str:
    channels, height, width = declared.input_shape
    return f"{channels}×H×W" if declared.any_size else f"{channels}×{height}×{width}"


@model.command()
@click.argument("name", metavar="MODEL")
@click.option("--stride", type=click.IntRange(2), default=2, show_default=True, help="Of the feature pooling tried.")
@click.option("--input-shape", default="3,224,224", show_default=True, help="C,H,W of a plug-in's images.")
@click.option("--classes", type=click.IntRange(1), default=1000, show_default=True, help="Of a plug-in's network.")
@click.option(
    "--refused", "with_refused", is_flag=True, help="Print also the modules behind which no compressor can go, and why."
)
@format_option("text", "json")
def sites(name: str, stride: int, input_shape: str, classes: int, with_refused: bool, fmt: str) -> None:
    """Print the sites of MODEL, each named by the module behind which it is.

    What feature pooling saves at each site of a plug-in's network is counted from the layers that would change.

    \b
    harness model sites mnist_cnn
    harness model sites torchvision:resnet50 --stride 2
    harness model sites net.py:Net --input-shape 1,28,28 --classes 10
    """
    from harness.plugins.plugin import entry_point, entry_points, is_plugin
    from harness.plugins.torchvision_models import TORCHVISION
    from harness.trial.models import MODELS

    reference = name if name in MODELS else entry_point("harness.models", name) or name
    declared = MODELS.get(name) or (_declaration(reference) if is_plugin(reference) else None)
    if declared is None and is_plugin(reference):
        _foreign_sites(reference, stride, parse_shape(input_shape), classes, with_refused, fmt)
        return
    if declared is None:
        known = [*MODELS, *entry_points("harness.models")]
        raise HarnessError(f"unknown model '{name}'{did_you_mean(name, known)} (or {TORCHVISION}NAME, FILE.py:NAME)")
    found = declared.sites.values()
    if fmt == "json":
        print_json([{"path": s.name, "channels": s.channels, "narrowable": s.narrowable} for s in found])
    elif not found:
        click.echo(f"{name} has no sites: no compressor can be in it.")
    else:
        print_table(["site", "channels", "'width' possible"], [[s.name, s.channels, s.narrowable] for s in found])


def _declaration(reference: str) -> "ModelDeclaration | None":
    """Return what a plug-in's network declares of itself, as ours do; None if its sites are to be looked for."""
    from harness.plugins.plugin import load_plugin
    from harness.plugins.torchvision_models import TORCHVISION
    from harness.trial.models import ModelDeclaration

    if reference.startswith(TORCHVISION):
        return None
    declared = getattr(load_plugin(reference, _FOLDERS)[0], "declaration", None)
    return declared if isinstance(declared, ModelDeclaration) else None


def _foreign_sites(
    name: str, stride: int, shape: tuple[int, int, int], classes: int, with_refused: bool, fmt: str
) -> None:
    from harness.models.site_costs import foreign_on_meta, site_costs
    from harness.plugins.plugin import load_plugin
    from harness.plugins.torchvision_models import TORCHVISION, torchvision_name

    model: dict[str, Any] = {"kind": name, "classes": classes, "input_shape": shape}
    if name.startswith(TORCHVISION):
        torchvision_name(name)
    else:
        model["code"] = load_plugin(name, _FOLDERS)[1]
    with in_one_line(f"'{name}' cannot be made"):
        network = foreign_on_meta(model, _FOLDERS)
    try:
        found = site_costs(network, shape, stride)
    except HarnessError as error:
        given = "×".join(map(str, shape))
        raise HarnessError(f"{error} (images of {given}; say others with --input-shape C,H,W)") from error
    rows = [site.as_dict() for site in found.sites]
    reasons = [{"path": path, "reason": reason} for path, reason in found.refused.items()] if with_refused else []
    if fmt == "json":
        print_json([*rows, *reasons])
        return
    print_table(["site", "channels", "parameters saved", "MACs saved"], [list(row.values()) for row in rows])
    if reasons:
        print_table(["refused", "why"], [list(row.values()) for row in reasons])
