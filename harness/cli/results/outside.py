"""`harness results import`: runs that other tools have recorded."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.base.errors import HarnessError
from harness.cli.common import db_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.attempt.metrics import Metric
    from harness.interchange.outside import OutsideRun, Taken
    from harness.store.connection import Store

_NAMED = 8  # trials


@click.command("import")
@click.argument("path", type=click.Path(path_type=Path, exists=True), metavar="PATH")
@click.option("--study", required=True, metavar="NAME", help="The study that the runs become.")
@click.option("--metric", "metrics", required=True, multiple=True, metavar="NAME:DIRECTION[:UNIT]",
              help="accuracy:maximize, psnr:maximize:dB; the primary first. May be given several times.")  # fmt: skip
@click.option("--setting", "settings", multiple=True, metavar="NAME",
              help="What makes a trial. May be given several times.  [default: all but results and seed]")  # fmt: skip
@click.option("--seed", metavar="NAME", help="The column or param with the seed.  [default: seed, if there is one]")
@click.option("--experiment", metavar="NAME", help="Of MLflow's file store, if it has several.")
@db_option
def import_runs(
    path: Path,
    study: str,
    metrics: tuple[str, ...],
    settings: tuple[str, ...],
    seed: str | None,
    experiment: str | None,
    db: Path,
) -> None:
    """Take runs that another tool has recorded into the store, as a study.

    PATH is a table of runs as CSV, with a line of names (from a spreadsheet, or exported from the runs' table of
    Weights & Biases), or MLflow's file store (mlruns). Runs that did not end well are left out and counted. Runs of the
    same settings are one trial; without seeds they are numbered. Nothing can run them again, and importing the same
    twice changes nothing.

    \b
    harness results import runs.csv --study sweep --metric accuracy:maximize
    harness results import mlruns --experiment resnets --study resnets --metric val_loss:minimize --setting width
    harness report statistics sweep
    """
    from harness.interchange.outside import take_runs
    from harness.store.connection import to_write_or_make
    from harness.store.merge import merge_lines
    from harness.store.trusted import is_study_name

    if not is_study_name(study):
        raise HarnessError(f"--study: '{study}' cannot be a study's name: write it in small letters, digits, _ and -")
    wanted = [_metric(text) for text in metrics]
    runs = _read(path, [metric.name for metric in wanted], settings, seed, experiment)
    taken = take_runs(runs, study, wanted, path.name)
    with to_write_or_make(db) as store:
        _check_name(store, study)
        done = merge_lines(store, taken.lines, str(path))
    _say(path, runs, taken, done.added)


def _metric(text: str) -> "Metric":
    """Return a metric that is written accuracy:maximize, or psnr:maximize:dB with its unit."""
    from harness.base.checks import FieldError
    from harness.trial.function import declared_metrics

    name, *rest = text.rsplit(":", 2) if text.count(":") > 1 else text.rsplit(":", 1)
    if not rest:
        raise HarnessError(f"--metric {text}: say which way is better, as in {text}:maximize or {text}:minimize")
    try:
        (metric,) = declared_metrics({name: dict(zip(("direction", "unit"), rest, strict=False))})
    except FieldError as error:
        raise HarnessError(f"--metric {text}: {error.message}") from None
    return metric


def _read(
    path: Path, metrics: "Sequence[str]", settings: "Sequence[str]", seed: str | None, experiment: str | None
) -> "list[OutsideRun]":
    from harness.interchange.mlflow import is_mlruns, read_mlruns
    from harness.interchange.table import read_table

    if path.is_dir():
        if not is_mlruns(path):
            raise HarnessError(f"{path}: neither a table (*.csv) nor MLflow's file store, which has a meta.yaml")
        return read_mlruns(path, experiment, seed, settings)
    if experiment is not None:
        raise HarnessError("--experiment goes with MLflow's file store, a folder")
    return read_table(path, metrics, seed, settings)


def _check_name(store: "Store", study: str) -> None:
    """Refuse to add imported runs to a study whose runs were made here."""
    from harness.interchange.outside import is_imported
    from harness.store.queries import snapshot

    found = snapshot(store)
    if any(
        place.study == study and not is_imported(found.trials[place.trial_key].config) for place in found.study_trials
    ):
        raise HarnessError(f"--study: '{study}' is a study of the harness; choose another name for what is imported")


def _say(path: Path, runs: "Sequence[OutsideRun]", taken: "Taken", added: int) -> None:
    """Say what was taken in, and what was left out."""
    known = len(taken.lines) - added
    click.echo(
        f"{path}: {added} runs taken in{f', {known} known' if known else ''}: {len(taken.trials)} trials, "
        f"seeds {', '.join(map(str, taken.seeds))}"
    )
    for name in taken.trials[:_NAMED]:
        click.echo(f"  {name}")
    if len(taken.trials) > _NAMED:
        click.echo(f"  and {len(taken.trials) - _NAMED} more")
    if left := len(runs) - len(taken.lines):
        states = sorted({run.state for run in runs if run.state is not None})
        why = f" ({', '.join(states)})" if states else ""
        click.echo(f"{left} runs left out: not finished{why}, or without the primary metric", err=True)
