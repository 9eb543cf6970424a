"""`harness model sites`: where in a network a compressor can go, and what feature pooling saves there."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Literal

import click

from harness.base.errors import HarnessError
from harness.cli.common import amount, format_option, print_json, print_table
from harness.cli.shapes import parse_shape

if TYPE_CHECKING:
    from harness.deploy.sites import SiteTable
    from harness.trial.models import ModelDeclaration

_MOST = 40  # rows, before --all
_NAMES = 36  # characters of the other names of a place


@click.command()
@click.argument("name", metavar="MODEL")
@click.option("--stride", type=click.IntRange(2), default=2, show_default=True, help="Of the feature pooling tried.")
@click.option("--before", metavar="MODULE", help="Only places whose channels MODULE reads, as layer2.")
@click.option("--sort", type=click.Choice(["macs", "parameters", "ms", "path"]), default="macs", show_default=True,
              help="By what is saved; path: the order of a pass.")  # fmt: skip
@click.option(
    "--latency",
    is_flag=True,
    help="Measure the milliseconds that each printed row saves, by timing both networks in turn.",
)
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Images of a timed pass.")
@click.option("--threads", type=click.IntRange(1), help="Of a timed pass on the CPU.  [default: torch's]")
@click.option("--device", default="cpu", show_default=True, help="Of a timed pass: auto, cpu, cuda or cuda:N.")
@click.option("--all", "everything", is_flag=True, help=f"Print all rows, not the first {_MOST}.")
@click.option("--each", is_flag=True, help="A row per module, not one per place between two layers.")
@click.option("--input-shape", default="3,224,224", show_default=True, help="C,H,W of a plug-in's images.")
@click.option("--classes", type=click.IntRange(1), default=1000, show_default=True, help="Of a plug-in's network.")
@click.option(
    "--refused", "with_refused", is_flag=True, help="Print also the modules behind which no compressor can go, and why."
)
@format_option("text", "json")
def sites(  # noqa: PLR0913, PLR0917 - one per option
    name: str,
    stride: int,
    before: str | None,
    sort: Literal["macs", "parameters", "ms", "path"],
    latency: bool,
    batch: int,
    threads: int | None,
    device: str,
    everything: bool,
    each: bool,
    input_shape: str,
    classes: int,
    with_refused: bool,
    fmt: str,
) -> None:
    """Print where in MODEL a compressor can go, each place named by the module behind which it is.

    What feature pooling saves at a place is counted from the layers that would change, and is a part of the whole
    network. Modules between the same two layers (a convolution, its normalisation, its activation, the block that ends
    there) are one place: its row has the name of the last, behind which there is least to pool.

    \b
    harness model sites torchvision:resnet50 --before layer2
    harness model sites net.py:UNet --input-shape 1,128,128 --latency
    harness model sites mnist_cnn
    """
    declared = _declared(name)
    if declared is not None:
        _print_declared(name, declared, fmt)
        return
    if sort == "ms" and not latency:
        raise click.UsageError("--sort ms needs --latency")
    from harness.deploy.sites import in_order, site_table, timed
    from harness.execution.device import choose_device

    shape = parse_shape(input_shape)
    table, found = site_table(name, shape, classes, stride, before=before, each=each)
    total = len(table.rows)
    rows = in_order(table.rows, "macs" if sort == "ms" else sort)
    rows = rows if everything or fmt == "json" else rows[:_MOST]
    table = replace(table, rows=tuple(rows))
    if latency:
        on = choose_device(device)
        table = timed(
            table, found, rows, classes=classes, batch=batch, threads=threads, device=on, tell=_progress(len(rows))
        )
        table = replace(table, rows=tuple(in_order(table.rows, sort)))
    if fmt == "json":
        print_json(asdict(table) if with_refused else {k: v for k, v in asdict(table).items() if k != "refused"})
        return
    _print(table, total, before=before)
    if with_refused:
        print_table(["refused", "why"], [[path, reason] for path, reason in table.refused.items()])


def _progress(rows: int) -> Any:
    def tell(done: int) -> None:
        if sys.stderr.isatty():
            click.echo(f"\rtimed {done} of {rows}", err=True, nl=done == rows)

    return tell


def _declared(name: str) -> "ModelDeclaration | None":
    """Return what a model declares of itself, None if its sites are to be looked for."""
    from harness.trial.models import MODELS

    if name in MODELS:  # without torch
        return MODELS[name]
    from harness.base.extras import needs

    needs("torch")
    from harness.deploy.network import named_model

    return named_model(name, (3, 224, 224), 1000)[1]


def _print_declared(name: str, declared: "ModelDeclaration", fmt: str) -> None:
    found = declared.sites.values()
    if fmt == "json":
        print_json([{"path": s.name, "channels": s.channels, "narrowable": s.narrowable} for s in found])
    elif not found:
        click.echo(f"{name} has no sites: no compressor can be in it.")
    else:
        print_table(["site", "channels", "'width' possible"], [[s.name, s.channels, s.narrowable] for s in found])


def _print(table: "SiteTable", total: int, *, before: str | None) -> None:
    rows, each = table.rows, all(not row.also for row in table.rows)
    headers = ["site", "channels", "parameters saved", "%", "MACs saved", "%"]
    headers += ["ms saved", "95% interval", "%"] if table.ms is not None else []
    headers += [] if each else ["also"]
    headers += [] if before is None else ["read by"]
    shown = []
    for row in rows:
        cells: list[Any] = [row.path, row.channels, *_part(row.parameters_saved, table.parameters)]
        cells += _part(row.macs_saved, table.macs)
        if table.ms is not None and row.saved is not None:
            cells += [f"{row.saved.ms:.2f}", f"{row.saved.low:.2f} … {row.saved.high:.2f}"]
            cells += [f"{row.saved.ms / table.ms:.1%}"]
        cells += [] if each else [_names(row.also)]
        cells += [] if before is None else [_names(row.readers)]
        shown.append(cells)
    if shown:
        print_table(headers, shown)
    if len(rows) < total:
        click.echo(f"… {total - len(rows)} more rows with less: --all")
    if before is not None and not total:
        raise HarnessError(f"no compressor can go before '{before}'; --refused says why without --before")
    images = "×".join(map(str, table.input_shape))
    took = "" if table.ms is None else f", {table.ms:.1f} ms"
    click.echo(
        f"{table.model} as it is, for {images}: {table.parameters:,} parameters, {table.macs:,} MACs{took}; "
        f"feature pooling with stride {table.stride} can go behind {table.modules} modules"
        + ("" if before is not None or each else f", at {total} places")
    )


def _part(saved: int, of: int) -> list[str]:
    return [amount(saved), f"{saved / of:.1%}" if of else "–"]


def _names(names: Sequence[str]) -> str:
    """Return names as far as a cell has room, the others as a number."""
    shown = list(names)
    while len(", ".join(shown)) > _NAMES and len(shown) > 1:
        shown.pop()
    left = len(names) - len(shown)
    return ", ".join(shown) + (f" +{left}" if left else "")
