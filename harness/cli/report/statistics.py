"""`harness report statistics`, `compare` and `effects`: what the stored runs show, in numbers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.base.errors import HarnessError
from harness.cli.common import format_option, named_study, paper_option, print_json, print_table, sources_option
from harness.cli.completion import studies_and_files, trials_and_runs

if TYPE_CHECKING:
    from harness.report.tables.compare import RowStatistics
    from harness.stats.comparison import Interval, Methods, Networks, Spread
    from harness.stats.tests import Test
    from harness.store.connection import Store
    from harness.store.records import AttemptRecord, Snapshot


@click.command()
@click.argument("table", metavar="N|NAME|FILE|STUDY", shell_complete=studies_and_files)
@paper_option
@sources_option
@format_option("text", "json")
def statistics(table: str, paper: str | None, sources: tuple[Path, ...], fmt: str) -> None:
    """Print the statistics of a table's or a study's results: of each row's runs, and against the row that it is
    against; of a study its baseline, else its first trial.

    sd: sample standard deviation. t and bootstrap: 95% intervals of the mean, of the difference where they are behind
    one. Best of two: what the better of two such runs is expected to be. p: sign flips (paired by seed) and
    Mann-Whitney (unpaired), two-sided, without a correction; exact, or by random draws of very many runs, with the
    number of draws and the error of p.

    \b
    harness report statistics 1 --from results/published
    harness report statistics cifar-small --from results/published --format json
    harness report statistics own.yml
    """
    from harness.report.tables.statistics_table import seeds_text
    from harness.store.merge import open_results
    from harness.store.queries import snapshot

    with open_results(sources) as store:
        name, rows = _rows_of(table, snapshot(store), paper)
    if fmt == "json":
        print_json([_row_json(row) for row in rows])
        return
    if not rows:
        click.echo(f"no run of {name} is stored; --from names other results")
        return
    for column in dict.fromkeys(row.column for row in rows):
        mine = [row for row in rows if row.column == column]
        unit = f"[{mine[0].unit}]"
        click.echo(column if unit in {"[]", column[-len(unit) :]} else f"{column} {unit}")
        print_table(
            ["", "seeds", "mean", "sd", "t", "bootstrap", "best", "best of two", "binomial error"],
            [[r.row, len(r.spread.seeds), *_spread_texts(r.spread), "" if r.error is None else f"±{r.error:.2g}"]
             for r in mine],
        )  # fmt: skip
        compared = [(r, r.compared) for r in mine if r.compared is not None]
        if compared:
            click.echo()
            print_table(
                ["", "against", "difference", "over seeds", "t", "bootstrap", "sign flips", "Mann-Whitney"],
                [[r.row, r.against, f"{c.difference:+.4g}", seeds_text(c.shared) or "unpaired", _interval(c.student_95),
                  _interval(c.bootstrap_95), _test(c.sign_flip), _test(c.mann_whitney)] for r, c in compared],
            )  # fmt: skip
        click.echo()
    _print_remarks(remark for row in rows for remark in row.remarks)


def _rows_of(text: str, found: "Snapshot", paper: str | None) -> tuple[str, list["RowStatistics"]]:
    """Return what a text names with the statistics of its rows: a table, or a study that is stored and no table."""
    from harness.base.source import read_source
    from harness.report.tables.compare import row_statistics
    from harness.report.tables.study_document import study_statistics
    from harness.report.tables.table_file import PAPER, find_paper, find_table, our_tables

    is_file = Path(text).suffix in {".yml", ".yaml"}
    of_study = (
        "columns" not in read_source(Path(text)).data if is_file else text in {p.study for p in found.study_trials}
    )
    folder = PAPER if paper is None else find_paper(paper)
    if of_study and text not in our_tables(folder):
        name, spec_sha = named_study(text)
        return f"study {name}", study_statistics(found, name, spec_sha)
    table = find_table(text, folder)
    return f"table {table.table}", row_statistics(found, table)


def _print_remarks(remarks: Iterable[str]) -> None:
    """Say by whose word runs count that are not those of the trials themselves."""
    for remark in dict.fromkeys(remarks):
        click.echo(f"some runs were {remark}", err=True)


@click.command()
@click.argument("a", metavar="A", shell_complete=trials_and_runs)
@click.argument("b", metavar="B", shell_complete=trials_and_runs)
@click.option("--metric", help="Only this metric, e.g. accuracy.")
@sources_option
@format_option("text", "json")
def compare(a: str, b: str, metric: str | None, sources: tuple[Path, ...], fmt: str) -> None:
    """Tell whether two methods differ, or whether two networks do.

    Two trials (STUDY:TRIAL) are methods: compared over their seeds, paired if one protocol trained both. Two runs
    (STUDY:TRIAL:SEED, or the first digits of an attempt's uid) are networks: compared over the images of the test set,
    by McNemar's test and a paired bootstrap. The one says nothing of the other.

    \b
    harness report compare mnist:Baseline 'mnist:Feature pooling (top-k), 50%' --from results/published
    harness report compare mnist:Baseline:0 'mnist:Feature pooling (top-k), 50%:0' --from results/published
    """
    from harness.report.methods import compare_trials, trial_named
    from harness.report.tables.provenance import accepted_remarks
    from harness.store.find import find_attempt
    from harness.store.merge import open_results
    from harness.store.queries import snapshot

    with open_results(sources) as store:
        found = snapshot(store)
        keys = [trial_named(found, text) for text in (a, b)]
        if all(key is None for key in keys):
            runs = find_attempt(found, a), find_attempt(found, b)
            _print_networks(_networks(store, found, *runs, metric), [run.uid for run in runs], fmt)
            _print_remarks(accepted_remarks(runs))
        elif None in keys:
            run, trial = (a, b) if keys[0] is None else (b, a)
            raise HarnessError(f"'{trial}' is a method and '{run}' a single network: name two trials or two runs")
        else:
            study = a.partition(":")[0]
            _print_methods(compare_trials(store, found, (str(keys[0]), str(keys[1])), metric, study), (a, b), fmt)
            _print_remarks(accepted_remarks(run for key in keys for run in found.runs(str(key)).values()))


def _networks(
    store: "Store", found: "Snapshot", a: "AttemptRecord", b: "AttemptRecord", metric: str | None
) -> dict[str, "Networks"]:
    """Return the comparison of two runs for each metric of which both kept a value per image.

    `metric` is the name of a metric, or that of its values by image.
    """
    from harness.report.tables.declared import metric_named, metrics_of
    from harness.stats.comparison import networks
    from harness.store.find import items, metric_words
    from harness.store.queries import samples

    kept = [items(found, run, partial(samples, store)) for run in (a, b)]
    wanted = None if metric is None else metric_named(metrics_of(found, a.trial_key), metric).by_item or metric
    shared = [place for place in kept[0] if place in kept[1] and wanted in (None, place[1])]
    if not shared:
        raise HarnessError("the two runs kept no values by image of the same evaluation")
    shared.sort(key=lambda place: found.evaluations[place[0]].reading_order)
    return {metric_words(found, place): networks(kept[0][place], kept[1][place]) for place in shared}


def _print_methods(compared: Mapping[str, "Methods"], names: Sequence[str], fmt: str) -> None:
    if fmt == "json":
        whole = {words: _methods_json(found) for words, found in compared.items()}
        print_json({"kind": "methods", "a": names[0], "b": names[1], "metrics": whole})
        return
    click.echo(f"A {names[0]}\nB {names[1]}\nTwo methods, over their seeds. Not whether two networks differ.")
    for words, found in compared.items():
        click.echo(f"\n{words}")
        print_table(
            ["", "seeds", "mean", "sd", "t", "bootstrap", "best", "best of two"],
            [[side, len(s.seeds), *_spread_texts(s)] for side, s in (("A", found.a), ("B", found.b))],
        )
        click.echo(f"B − A: {found.difference:+.4g}, 95% {_interval(found.student_95)} (t),"
                   f" {_interval(found.bootstrap_95)} (bootstrap); {found.over}")  # fmt: skip
        if found.crossed_95 is not None:
            click.echo(f"over seeds and images: 95% {_interval(found.crossed_95)} (bootstrap of both)")
        click.echo(f"sign flips, paired: {_test(found.sign_flip)}")
        click.echo(f"Mann-Whitney, unpaired: {_test(found.mann_whitney)}")


def _print_networks(compared: Mapping[str, "Networks"], uids: Sequence[str], fmt: str) -> None:
    if fmt == "json":
        print_json(
            {"kind": "networks", "a": uids[0], "b": uids[1], "metrics": {w: asdict(n) for w, n in compared.items()}}
        )
        return
    click.echo(
        f"A {uids[0]}\nB {uids[1]}\nTwo networks, over the images of one test set. Not whether two methods differ."
    )
    for words, n in compared.items():
        errors = [f" ± {error:.2g}" if error is not None else "" for error in (n.error_a, n.error_b)]
        click.echo(f"\n{words}, {n.images:,} images")
        click.echo(f"A {_number(n.a)}{errors[0]}, B {_number(n.b)}{errors[1]}{' (binomial)' if errors[0] else ''}")
        click.echo(f"B − A: {n.difference:+.4g}, 95% {_interval(n.bootstrap_95)} (paired bootstrap over images)")
        if n.mcnemar is not None:
            click.echo(f"McNemar: p {n.mcnemar:.2g}; right in A alone {n.only_a:,}, in B alone {n.only_b:,}")


def _row_json(row: "RowStatistics") -> dict[str, Any]:
    compared = None if row.compared is None else _methods_json(row.compared)
    return {**asdict(row), "spread": _spread_json(row.spread), "compared": compared}


def _methods_json(found: "Methods") -> dict[str, Any]:
    tests = {
        name: None if test is None else {**asdict(test), "error": test.error, "can_tell": test.can_tell}
        for name, test in (("sign_flip", found.sign_flip), ("mann_whitney", found.mann_whitney))
    }
    return {**asdict(found), "a": _spread_json(found.a), "b": _spread_json(found.b), **tests}


def _spread_json(spread: "Spread") -> dict[str, Any]:
    return {**asdict(spread), "bias_of_two": spread.bias_of_two}


def _spread_texts(s: "Spread") -> list[str]:
    two = "" if s.best_of_two is None else f"{_number(s.best_of_two)} ({s.bias_of_two:+.2g})"
    return [_number(s.mean), "" if s.sd is None else f"{s.sd:.2g}", _interval(s.student_95), _interval(s.bootstrap_95),
            _number(s.best), two]  # fmt: skip


def _interval(ends: "Interval") -> str:
    return "–" if ends is None else f"[{_number(ends[0])}, {_number(ends[1])}]"


def _test(test: "Test | None") -> str:
    return "–" if test is None else str(test)


_number = partial("{:.5g}".format)


@click.command()
@click.argument("study", metavar="FILE|NAME", shell_complete=studies_and_files)
@sources_option
@format_option("md", "latex", "csv", "json")
def effects(study: str, sources: tuple[Path, ...], fmt: str) -> None:
    """Print main effects and interactions of a study with 'ablate: {design: factorial}', or fractional.

    From all runs by a mixed model with one intercept per seed, so that seeds which lack some of their runs count; and
    from the seeds that have all of them, one contrast each, by which the claims are decided.

    \b
    harness report effects switches.yml
    harness report effects switches --format json
    """
    from harness.report import render
    from harness.report.effects import effects_document, effects_json, study_effects
    from harness.store.merge import open_results
    from harness.store.queries import snapshot

    name, spec_sha = named_study(study)
    with open_results(sources) as store:
        found = study_effects(snapshot(store), name, spec_sha)
    if fmt == "json":
        click.echo(effects_json(found).rstrip("\n"))
        return
    for each in found:
        click.echo(render(effects_document(each), fmt).rstrip("\n"))
