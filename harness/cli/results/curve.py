"""`harness results curve`: what a run's metrics did while it trained, in the terminal."""

import math
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.base.errors import HarnessError
from harness.cli.common import format_option, json_number, print_csv, print_json, print_table, sources_option
from harness.cli.completion import runs as stored_runs

if TYPE_CHECKING:
    from harness.attempt.messages import Point

_BARS = "▁▂▃▄▅▆▇█"
_NOT_A_NUMBER = "·"
_COLUMNS = ("run", "attempt", "split", "metric", "step", "value")


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=stored_runs)
@click.option("--split", metavar="NAME", help="Only this split: train, test, validation, …")
@click.option("--metric", metavar="NAME", help="Only this metric: loss, accuracy, …")
@click.option("--width", type=click.IntRange(min=1), default=40, show_default=True, help="Bars of a curve.")
@format_option("text", "csv", "json")
@sources_option
def curve(
    runs: tuple[str, ...], split: str | None, metric: str | None, width: int, fmt: str, sources: tuple[Path, ...]
) -> None:
    """Print the curves of RUNs, each named by the first digits of its attempt's uid or as STUDY:TRIAL:SEED.

    A bar is the mean of the points in its part of the steps, between the curve's least and greatest value; a dot is
    for no number. csv and json print every point.

    \b
    harness results curve 3f2a --metric accuracy
    harness results curve mnist:Baseline:0 mnist:Baseline:1 --from results/published/mnist.jsonl
    harness results curve 3f2a --format csv
    """
    from harness.store.find import find_attempt
    from harness.store.merge import open_results
    from harness.store.queries import curve as points_of
    from harness.store.queries import snapshot

    curves: dict[tuple[str, str, str, str], list[Point]] = {}
    known: set[tuple[str, str]] = set()
    with open_results(sources) as store:
        found = snapshot(store)
        for text in runs:
            uid = find_attempt(found, text).uid
            for point in points_of(store, uid):
                known.add((point.split, point.name))
                if split in {None, point.split} and metric in {None, point.name}:
                    curves.setdefault((text, uid, point.split, point.name), []).append(point)
    if not curves:
        raise HarnessError(f"no such points are stored of {', '.join(runs)}; there are: {_in_words(known)}")
    if fmt == "text":
        _print_bars(curves, width)
    elif fmt == "csv":
        print_csv(_COLUMNS, _rows(curves))
    else:
        print_json([dict(zip(_COLUMNS, row, strict=True)) for row in _rows(curves)])


def _in_words(known: Collection[tuple[str, str]]) -> str:
    """Return "loss (train), accuracy (test)", or none."""
    return ", ".join(f"{metric} ({split})" for split, metric in sorted(known)) or "none"


def _rows(curves: "dict[tuple[str, str, str, str], list[Point]]") -> Iterator[list[Any]]:
    for place, points in curves.items():
        for point in points:
            yield [*place, point.step, json_number(_value(point))]


def _print_bars(curves: "dict[tuple[str, str, str, str], list[Point]]", width: int) -> None:
    rows = []
    for (text, _, split, name), points in curves.items():
        values = [_value(point) for point in points]
        finite = [value for value in values if math.isfinite(value)]
        least, most = (min(finite), max(finite)) if finite else (math.nan, math.nan)
        steps = f"{points[0].step}–{points[-1].step}"
        shown = [f"{value:.4g}" for value in (values[0], values[-1], least, most)]
        rows.append([text, split, name, steps, bars(values, width), *shown])
    print_table(["run", "split", "metric", "steps", "curve", "first", "last", "least", "most"], rows)


def bars(values: Sequence[float], width: int) -> str:
    """Return values as at most `width` bars, each the mean of its share of them; a dot if there is no number."""
    count = min(width, len(values))
    edges = [number * len(values) // count for number in range(count + 1)]
    means = [_mean(values[begin:end]) for begin, end in pairwise(edges)]
    known = [mean for mean in means if mean is not None]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_NOT_A_NUMBER if mean is None else _BARS[round((mean - low) * scale)] for mean in means)


def _mean(values: Sequence[float]) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else None


def _value(point: "Point") -> float:
    from harness.attempt.messages import unflagged

    return unflagged(point.value, point.flag)
