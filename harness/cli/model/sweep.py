"""`harness model sweep`: feature pooling at every site of torchvision's classification networks, on the meta device."""

import sys
import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from harness.base.errors import HarnessError, did_you_mean
from harness.base.extras import needs
from harness.cli.common import amount, format_option, print_json, print_table
from harness.cli.shapes import parse_shape


@click.command()
@click.argument("model", required=False)
@click.option("--stride", type=click.IntRange(2), default=2, show_default=True, help="Of the feature pooling.")
@click.option("--input-shape", default="3,224,224", show_default=True, help="C,H,W of the images.")
@click.option("--only", metavar="GLOB", help="Only models whose name matches, e.g. 'resnet*'.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the document of the table here.")
@click.option("--study", type=click.Path(path_type=Path, dir_okay=False),
              help="Of MODEL: the study to write, which trains it with feature pooling at each place.")  # fmt: skip
@click.option("--dataset", help="Of --study: a name, or {kind: folder, path: …}.")
@click.option("--protocol", help="Of --study: a name, or {kind: NAME, epochs: 10}.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Of --study: how many.")
@click.option("--most", type=click.IntRange(1), help="Of --study: only so many places, those that save most MACs.")
@format_option("text", "json")
@click.pass_context
def sweep(  # noqa: PLR0913, PLR0917 - one per option
    context: click.Context,
    model: str | None,
    stride: int,
    input_shape: str,
    only: str | None,
    out: Path | None,
    study: Path | None,
    dataset: str | None,
    protocol: str | None,
    seeds: int,
    most: int | None,
    fmt: str,
) -> None:
    """Try feature pooling at every site of torchvision's classification models, and count what it saves.

    Nothing is trained and no weights are made. Each network is traced once; then each of its sites is tried, as many at
    a time as have nothing to do with each other: the changed network must do the same steps, return the same shapes,
    and cost what it did less what was said. Ends with exit code 1 if a site does not work.

    With MODEL and --study, write a study that trains your network on your data with feature pooling at each place, and
    without; `harness run grid` runs it, and resumes.

    \b
    harness model sweep net.py:Net --study places.yml --dataset "{kind: folder, path: photos}" --protocol cifar-fast
    harness model sweep --only 'resnet*'
    harness model sweep --out docs/torchvision-sites.md
    """
    if model is not None or study is not None:
        _write_study(model, study, dataset, protocol, seeds, stride, most)
        return
    from harness.report.site_sweep import document, summary

    shape = parse_shape(input_shape)
    swept = [_swept(name, shape, stride, tell) for name, tell in _watched(_names(only))]
    found = {
        "command": _command(stride, input_shape, only, out),
        "versions": {name: metadata.version(name) for name in ("torch", "torchvision")},
        "stride": stride,
        "input_shape": list(shape),
        "models": swept,
    }
    if out is not None:
        from harness.base.files import atomic_write

        atomic_write(out, document(found))
    if fmt == "json":
        print_json(found)
    else:
        print_table(*summary(swept))
    wrong = [f"{model['model']}: {line}" for model in swept for line in model["wrong"]]
    for line in wrong:
        click.echo(line, err=True)
    context.exit(1 if wrong else 0)


def _write_study(
    model: str | None, study: Path | None, dataset: str | None, protocol: str | None, seeds: int, stride: int,
    most: int | None,
) -> None:  # fmt: skip
    """Write the study of a network's places. Raises UsageError if an option of it is missing."""
    if model is None or study is None or dataset is None or protocol is None:
        raise click.UsageError("a sweep of your own network takes MODEL, --study FILE, --dataset and --protocol")
    if ".py:" in model and study.absolute().parent != Path.cwd():
        raise click.UsageError(f"a study finds {model} beside it: write it into the current folder")
    needs("torch")
    from harness.base.source import parse_value
    from harness.deploy.place_study import place_study, write_new

    text, places = place_study(
        model, parse_value(dataset, "--dataset"), parse_value(protocol, "--protocol"), range(seeds), stride, most=most
    )
    write_new(study, text)
    click.echo(f"{study}: {amount(places)} places and none, {seeds} seeds each: harness run grid {study}")


def _names(only: str | None) -> list[str]:
    from harness.plugins.torchvision_models import torchvision_models

    needs("torch", "torchvision")
    known = sorted(torchvision_models())
    chosen = [name for name in known if only is None or fnmatchcase(name, only)]
    if not chosen:
        raise HarnessError(f"--only '{only}' matches no classification model of torchvision{did_you_mean(only, known)}")
    return chosen


def _watched(names: list[str]) -> Iterator[tuple[str, Callable[[str], None]]]:
    """Yield each name with what tells, on stderr, that it is done."""
    for position, name in enumerate(names, 1):
        start = time.monotonic()

        def tell(text: str, head: str = f"{position}/{len(names)} {name}", start: float = start) -> None:
            click.echo(f"{head}: {text}, {time.monotonic() - start:.0f} s", file=sys.stderr)

        yield name, tell


def _swept(name: str, shape: tuple[int, int, int], stride: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Return what was found about a network, as JSON holds it; a network that does not run has no sites."""
    from harness.cost.count import count
    from harness.models.site_costs import foreign_on_meta, site_costs
    from harness.plugins.torchvision_models import TORCHVISION

    network = foreign_on_meta({"kind": f"{TORCHVISION}{name}", "classes": 1000, "input_shape": shape})
    row: dict[str, Any] = {"model": name, "parameters": sum(p.numel() for p in network.parameters()), "macs": None}
    try:
        found = site_costs(network, shape, stride)
    except HarnessError as error:
        tell(str(error))
        return {**row, "sites": [], "refused": [{"path": "", "reason": str(error)}], "wrong": []}
    plain = count(network, shape)
    sites = [
        {
            **site.as_dict(),
            "parameters": plain.parameters - site.saved.parameters,
            "macs": plain.macs - site.saved.macs,
        }
        for site in found.sites
    ]
    refused = [{"path": path, "reason": reason} for path, reason in found.refused.items()]
    wrong = list(found.wrong())
    tell(f"{amount(len(sites))} sites, {amount(len(refused))} modules refused, {amount(len(wrong))} wrong")
    return {**row, "macs": plain.macs, "sites": sites, "refused": refused, "wrong": wrong}


def _command(stride: int, input_shape: str, only: str | None, out: Path | None) -> str:
    """Return the call that makes the document, without what is at its default."""
    words = ["harness model sweep"]
    words += [f"--stride {stride}"] if stride != 2 else []
    words += [f"--input-shape {input_shape}"] if input_shape != "3,224,224" else []
    words += [f"--only '{only}'"] if only else []
    words += [f"--out {out}"] if out else []
    return " ".join(words)
