"""The places of a network where a compressor can go, with what feature pooling saves there of all that it costs."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from torch import nn

from harness.base.errors import HarnessError, did_you_mean, in_one_line
from harness.cost.count import count
from harness.deploy.latency import Saved, milliseconds, saved
from harness.deploy.network import FOLDERS, named_model
from harness.models.foreign import make_network
from harness.models.site_costs import SiteCosts, foreign_on_meta, site_costs

Order: TypeAlias = Literal["macs", "parameters", "ms", "path"]


@dataclass(frozen=True)
class SiteRow:
    """What feature pooling saves behind `path`; `also` are the other names of the place."""

    path: str
    also: tuple[str, ...]
    channels: int
    parameters_saved: int
    macs_saved: int
    readers: tuple[str, ...]
    saved: Saved | None = None  # milliseconds


@dataclass(frozen=True)
class SiteTable:
    """A network's places, each with what feature pooling of one stride saves there, and modules that are none."""

    model: str
    input_shape: tuple[int, ...]
    stride: int
    parameters: int
    macs: int
    modules: int  # behind which it can stand
    rows: tuple[SiteRow, ...]
    refused: dict[str, str]
    ms: float | None = None  # of a pass, without a compressor


def site_table(
    name: str, input_shape: Sequence[int], classes: int, stride: int, *, before: str | None = None, each: bool = False
) -> tuple[SiteTable, SiteCosts]:
    """Return the places of a network that does not declare its sites, in the order of a pass.

    Args:
        name: torchvision:NAME, timm:NAME, FILE.py:NAME, or an entry point's name.
        input_shape: (C, H, W) of its images. classes: how many it tells apart. stride: of the feature pooling.
        before: a module; only places whose channels it reads, from outside.
        each: a row per module, not per place.

    Raises HarnessError for a network that cannot be made or does not run, and a module that it does not have.
    """
    model, _ = named_model(name, input_shape, classes)
    with in_one_line(f"'{name}' cannot be made"):
        network = foreign_on_meta(model, FOLDERS)
    try:
        found = site_costs(network, input_shape, stride)
    except HarnessError as error:
        given = "×".join(map(str, input_shape))
        raise HarnessError(f"{error} (images of {given}; say others with --input-shape C,H,W)") from error
    costs = count(network, input_shape)
    rows = list(_rows(found, each=each))
    if before is not None:
        if before not in dict(network.named_modules()):
            raise HarnessError(f"'{name}' has no module '{before}'{did_you_mean(before, _names(network))}")
        rows = [row for row in rows if not _within(row.path, before) and any(_within(r, before) for r in row.readers)]
    shape = tuple(input_shape)
    table = SiteTable(name, shape, stride, costs.parameters, costs.macs, len(found.sites), tuple(rows), found.refused)
    return table, found


def _rows(found: SiteCosts, *, each: bool) -> Iterator[SiteRow]:
    places = [(place.site, place.also) for place in found.places()] if not each else [(s, ()) for s in found.sites]
    for site, also in places:
        yield SiteRow(site.path, also, site.channels, site.saved.parameters, site.saved.macs, site.readers)


def _within(path: str, module: str) -> bool:
    return path == module or path.startswith(f"{module}.")


def _names(network: nn.Module) -> list[str]:
    """Return the names of a network's stages, which are most likely meant."""
    return [name for name, _ in network.named_modules() if name and name.count(".") < 2]


def in_order(rows: Sequence[SiteRow], order: Order) -> list[SiteRow]:
    """Return rows with the most that is saved first; "path" leaves them in the order of a pass."""
    if order == "path":
        return list(rows)
    return sorted(rows, key=lambda row: -_saved(row, order))


def _saved(row: SiteRow, order: Order) -> float:
    ms = 0.0 if row.saved is None else row.saved.ms
    return {"macs": row.macs_saved, "parameters": row.parameters_saved, "ms": ms}[order]


def timed(
    table: SiteTable, found: SiteCosts, rows: Sequence[SiteRow], *, classes: int, batch: int, threads: int | None,
    device: str, tell: Callable[[int], None],
) -> SiteTable:  # fmt: skip
    """Return a table of `rows` with the milliseconds that feature pooling saves at each, measured here.

    The network with it and the network without it are timed in turn, row by row: what the machine does meanwhile
    concerns both. `tell` is called with the number of rows that are done. Weights are those of the constructor.
    """
    model, _ = named_model(table.model, table.input_shape, classes)
    with torch.random.fork_rng(devices=[]):
        plain = make_network(model, FOLDERS).eval()
    images = torch.rand(batch, *table.input_shape)
    sites = {site.path: site for site in found.sites}
    measured, alone = [], []
    for number, row in enumerate(rows, 1):
        pair = {"plain": plain, "pooled": found.pooled_at(sites[row.path], plain.cpu())}
        seconds = milliseconds(pair, [images], device=device, threads=threads)
        alone.append(1000 * seconds["plain"].median)
        measured.append(replace(row, saved=saved(seconds["plain"], seconds["pooled"])))
        tell(number)
    mean = sum(alone) / len(alone) if alone else None
    return replace(table, rows=tuple(measured), ms=mean)
