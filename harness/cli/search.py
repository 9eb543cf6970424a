"""`harness search`: where compressors go, and a function's arguments."""

import csv
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.base.errors import HarnessError
from harness.cli.common import (
    INTERRUPTED,
    FiniteRange,
    amount,
    db_option,
    format_option,
    parse_reasons,
    plugins_option,
    print_json,
    set_option,
)
from harness.cli.completion import study_files
from harness.cli.ended import say_interrupted
from harness.cli.run import device_option, from_start_option, threads_option

if TYPE_CHECKING:
    from harness.search.file import Search
    from harness.search.front import ScoredPlacement
    from harness.search.run import SearchResult

_WHY = {
    "budget": "the budget is used up",
    "exhausted": "the space is exhausted",
    "repeats": "the sampler repeats itself: it proposed nothing new 100 times in a row; another --sampler may",
    "refused": "100 proposals in a row put compressors where they cannot be combined: name fewer 'sites'",
}


@click.group()
def search() -> None:
    """Search with Optuna: where compressors go, or the arguments of a function.

    \b
    harness search placement ablations/cifar-search.yml --trials 40
    harness search arguments own-search.yml --trials 40
    """


_OPTIONS = (
    click.argument("file", metavar="FILE", shell_complete=study_files),
    click.option(
        "--trials",
        type=click.IntRange(min=1),
        metavar="N",
        help="Trials of this search in the store, those of earlier calls included, when it ends.  "
        "[default: 50; brute: all]",
    ),
    click.option("--sampler", type=click.Choice(("tpe", "nsga2", "brute")), help="Instead of the file's."),
    click.option(
        "--objectives",
        metavar="NAMES",
        help="The task's primary metric, alone or with parameters or macs: accuracy,parameters; a function's metrics,"
        " one with a comma in quotes. Instead of the file's.",
    ),
    click.option("--confirm", metavar="SEEDS", default="", help="Run the front again with fresh seeds: 10,11,12."),
    click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Runs side by side."),
    threads_option,
    device_option,
    click.option(
        "--retry", metavar="REASONS", default="", help="Run what is held: failed,oom,timeout,crashed,stale,weights."
    ),
    from_start_option,
    click.option("--timeout", type=FiniteRange(min=0, min_open=True), metavar="SECONDS", help="End longer runs."),
    click.option(
        "--out",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder for the front.  [default: that of FILE]",
    ),
    set_option,
    plugins_option,
    format_option("text", "json"),
    db_option,
)


def _options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command what both searches take."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@search.command()
@_options
def placement(**given: Any) -> None:
    """Search where the compressors of FILE stand best, on the validation split alone.

    --trials counts the placements of this search in the store, so that the same command after a crash completes the
    same budget, and, given once more, has nothing to do. A call resumes from the checkpoints first. What is stored
    already costs nothing. At the end the front is printed, drawn (NAME-front.svg) and written as a study
    (NAME-front.yml), both beside FILE, for `harness run grid`, which meets the test set. Exit codes as of
    `harness run grid`.

    \b
    harness search placement ablations/cifar-search.yml --trials 40
    harness search placement ablations/cifar-search.yml --trials 40 --confirm 10,11,12
    """
    _search("placement", **given)


@search.command()
@_options
def arguments(**given: Any) -> None:
    """Search the arguments of FILE's function, by the metrics that it returns.

    --trials, going on, what is stored already, --confirm and exit codes are as of `harness search placement`. The best
    trial, or the front of two metrics, is printed, drawn (NAME-front.svg) and written as a study (NAME-front.yml), both
    beside FILE. A function whose metrics choose something should measure them on validation data.

    \b
    harness search arguments own-search.yml --trials 40
    harness search arguments own-search.yml --trials 40 --sampler nsga2 --set seeds=[0,1,2]
    """
    _search("arguments", **given)


def _search(  # noqa: PLR0913 - the options of a command
    what: str,
    *,
    file: str,
    trials: int | None,
    sampler: str | None,
    objectives: str | None,
    confirm: str,
    jobs: int,
    threads: int | None,
    device: str,
    retry: str,
    from_start: bool,
    timeout: float | None,
    out: Path | None,
    overrides: tuple[str, ...],
    fmt: str,
    db: Path,
) -> None:
    from harness.cli.display import display
    from harness.data.locations import data_root
    from harness.execution.device import choose_device
    from harness.execution.options import Options
    from harness.search.run import run_search

    loaded = _load(file, overrides, sampler, objectives)
    meant = "arguments" if loaded.of_arguments else "placement"
    if meant != what:
        raise HarnessError(f"{file} is for `harness search {meant}`")
    seeds = _seeds(confirm)
    options = Options(
        db=db,
        data_root=data_root(),
        device=choose_device(device),
        jobs=jobs,
        threads=threads,
        retry=parse_reasons(retry),
        from_start=from_start,
        timeout_s=timeout,
    )
    try:
        with display() as shown:
            result = run_search(loaded, options, shown, trials=trials, confirm=seeds, out=out)
    except KeyboardInterrupt:  # between two sessions of attempts
        sys.exit(INTERRUPTED)
    _print(result, fmt)


def _load(file: str, overrides: tuple[str, ...], sampler: str | None, objectives: str | None) -> "Search":
    from harness.search.file import load_search
    from harness.study.grid import Override

    given = [Override.parse(text) for text in overrides]
    if sampler is not None:
        given.append(Override("sampler", sampler))
    if objectives is not None:
        given.append(Override("objectives", _words(objectives)))
    return load_search(file, given)


def _words(text: str) -> list[str]:
    """Return words with commas between them; one that has a comma itself is in quotes."""
    return [word.strip() for word in next(csv.reader([text], skipinitialspace=True), [])]


def _seeds(text: str) -> list[int]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not all(word.isdecimal() and int(word) < 2**32 for word in words) or len(set(map(int, words))) != len(words):
        raise HarnessError(f"--confirm takes different whole numbers from 0, e.g. 10,11,12, not '{text}'")
    return [int(word) for word in words]


def _print(result: "SearchResult", fmt: str) -> None:
    """Print the front and how the search ended, and exit with its code."""
    if fmt == "json":
        print_json(_json(result))
    else:
        _print_text(result)
    interrupted = result.summary.interrupted
    if held := result.summary.plan.held_by_reason():
        click.echo(f"runs on hold were skipped; add --retry {','.join(held)} to run them", err=True)
    if result.stale:
        click.echo(f"{result.stale} of the values were found with code that has changed since", err=True)
    say_interrupted(result.summary)
    if not interrupted and result.summary.hindrance is not None:
        click.echo(result.summary.hindrance, err=True)
    if interrupted or result.summary.failed:
        sys.exit(INTERRUPTED if interrupted else 1)


def _print_text(result: "SearchResult") -> None:
    from tabulate import tabulate

    of_arguments, objectives = result.search.of_arguments, result.search.objectives
    confirmed = any(candidate.confirmed for candidate in result.front)
    names = ["arguments", *objectives] if of_arguments else ["placement", objectives[0], "parameters", "MACs"]
    headers = [*names, *(["confirmed"] if confirmed else [])]
    rows = []
    for candidate in result.front:
        if of_arguments:
            costs = [f"{candidate.costs[name]:.4g}" for name in objectives[1:]]
        else:
            costs = [amount(candidate.costs["parameters"]), amount(candidate.costs["macs"])]
        row = [candidate.words, _values(candidate.mean, list(candidate.values.values())), *costs]
        if confirmed:
            row.append(_values(candidate.confirmed_mean, list(candidate.confirmed.values())))
        rows.append(row)
    if rows:
        columns = ("left", *["right"] * (len(headers) - 1))
        click.echo(tabulate(rows, headers=headers, disable_numparse=True, colalign=columns))
        click.echo("")
    for name, shares in result.importance.items():
        rows = [[s.place, f"{s.ped_anova:.2f}", "–" if s.fanova is None else f"{s.fanova:.2f}"] for s in shares]
        headers = [f"importance for {name}", "among the best (PED-ANOVA)", "of all (fANOVA)"]
        click.echo(tabulate(rows, headers=headers, disable_numparse=True, colalign=("left", "right", "right")))
        click.echo("")
    counts = ", ".join(f"{count} {state}" for state, count in sorted(result.counts.items()))
    size, why = result.search.space.size, f"; {_WHY[result.stopped]}" if result.stopped else ""
    things = "points" if of_arguments else "placements"
    tried = things if math.isinf(size) else f"of {size} {things}"
    click.echo(f"{result.members} {tried} tried, known: {counts or 'none'}{why}")
    for path in (result.study_file, result.figure):
        if path is not None:
            click.echo(f"written: {path}")


def _values(mean: float | None, values: list[float | None]) -> str:
    """Return a mean, with the values that it is of where they are several."""
    shown = "–" if mean is None else f"{mean:.4f}"
    each = ", ".join("–" if value is None else f"{value:.4f}" for value in values)
    return f"{shown} ({each})" if len(values) > 1 else shown


def _json(result: "SearchResult") -> dict[str, Any]:
    files = {"study": result.study_file, "figure": result.figure}
    search = result.search
    one = _json_point if search.of_arguments else _json_placement
    return {
        "search": search.name,
        "sampler": search.sampler,
        "objectives": list(search.objectives),
        "seeds": list(search.seeds),
        "space": None if math.isinf(search.space.size) else search.space.size,
        "points" if search.of_arguments else "placements": result.members,
        "outcomes": dict(result.counts),
        "stale": result.stale,
        "ended": result.summary.ended,
        "stopped": "interrupted" if result.ended_early else result.stopped,
        "front": [
            {
                **one(candidate, search),
                "key": candidate.key,
                "values": {str(seed): value for seed, value in candidate.values.items()},
                "confirmed": _number(candidate.confirmed_mean),
                "confirmed_values": {str(seed): _number(value) for seed, value in candidate.confirmed.items()},
            }
            for candidate in result.front
        ],
        "importance": {
            name: [{"place": each.place, "ped_anova": each.ped_anova, "fanova": each.fanova} for each in shares]
            for name, shares in result.importance.items()
        },
        **{name: None if path is None else str(path) for name, path in files.items()},
    }


def _json_placement(candidate: "ScoredPlacement", search: "Search") -> dict[str, Any]:
    return {
        "placement": candidate.words,
        "strides": dict(candidate.placement),
        search.objectives[0]: candidate.mean,
        "parameters": int(candidate.costs["parameters"]),
        "macs": int(candidate.costs["macs"]),
    }


def _json_point(candidate: "ScoredPlacement", search: "Search") -> dict[str, Any]:
    further = {name: candidate.costs[name] for name in search.objectives[1:]}
    return {"arguments": dict(candidate.placement), "means": {search.objectives[0]: candidate.mean, **further}}


def _number(value: float | None) -> float | None:
    """Return a number that JSON has: null for nan."""
    return None if value is None or math.isnan(value) else value
