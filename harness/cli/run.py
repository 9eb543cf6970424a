"""`harness run`: grids and timings."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.attempt.messages import Execution
from harness.base.errors import HarnessError
from harness.cli.common import (
    FiniteRange,
    amount,
    db_option,
    duration,
    files_argument,
    format_option,
    load_studies,
    only_option,
    parse_options,
    parse_reasons,
    plugins_option,
    print_json,
    print_json_line,
    print_table,
    set_option,
    skip_option,
)
from harness.cli.drivers import COMMANDS
from harness.cli.drivers import detach as start_detached
from harness.cli.ended import exit_as, say_interrupted
from harness.cli.renew import renew

if TYPE_CHECKING:
    from harness.cli.display import ShownDisplay
    from harness.execution.options import ChosenExecutor, Options, Summary
    from harness.execution.plan import PlannedRun
    from harness.store.records import Snapshot
    from harness.study.study import Study
    from harness.trial.resolve import Trial

device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    help="auto, cpu, cuda or cuda:N; auto takes a GPU if there is one.",
)
threads_option = click.option(
    "--threads", type=click.IntRange(min=1), help="Threads per worker  [default: cores / jobs]"
)
from_start_option = click.option(
    "--from-start", is_flag=True, help="Begin each run at its beginning, not at its checkpoint."
)
executor_option = click.option(
    "--executor",
    metavar="NAME",
    help="local: worker processes; in-process: in this one, to debug an attempt; slurm, ray: on a cluster"
    " (docs/executors.md)  [default: as the study says, else local]",
)
executor_option_option = click.option(
    "--executor-option",
    "executor_options",
    metavar="KEY=VALUE",
    multiple=True,
    help="An option of the executor, e.g. partition=gpu. May be given several times.",
)
limit_option = click.option("--limit", type=click.IntRange(min=1), metavar="RUNS", help="Make at most this many runs.")


@click.group()
def run() -> None:
    """Run studies: grids, timings. Look at those that run, stop them, and more.

    \b
    harness run grid ablations/quickstart.yml
    harness run status
    """


for _command in (*COMMANDS, renew):
    run.add_command(_command)


@run.command()
@files_argument
@click.option("--dry-run", is_flag=True, help="Print what there is to do and what it takes; store nothing.")
@click.option("--jobs", type=click.IntRange(min=1), help="Runs side by side  [default: 1]")
@click.option("--per-device", type=click.IntRange(min=1), metavar="N", help="Runs side by side on each GPU.")
@executor_option
@executor_option_option
@threads_option
@device_option
@only_option
@limit_option
@click.option(
    "--retry", metavar="REASONS", default="", help="Run what is held: failed,oom,timeout,crashed,stale,weights."
)
@from_start_option
@set_option
@skip_option
@plugins_option
@click.option("--fail-fast", is_flag=True, help="Stop after the first run that fails.")
@click.option("--timeout", type=FiniteRange(min=0, min_open=True), metavar="SECONDS", help="End longer runs.")
@click.option("--detach", is_flag=True, help="Run on without this shell; `harness run status` and `logs` look at it.")
@format_option("text", "json")
@db_option
def grid(  # noqa: PLR0913, PLR0917 - a command has as many parameters as options
    files: tuple[str, ...],
    dry_run: bool,
    jobs: int | None,
    per_device: int | None,
    executor: str | None,
    executor_options: tuple[str, ...],
    threads: int | None,
    device: str,
    only: str | None,
    limit: int | None,
    retry: str,
    from_start: bool,
    overrides: tuple[str, ...],
    skip_invalid: bool,
    fail_fast: bool,
    timeout: float | None,
    detach: bool,
    fmt: str,
    db: Path,
) -> None:
    """Run what is left of the grids in FILEs.

    Rerunning the command runs only what is missing, however the last call ended. Exit code 0: done,
    1: some runs failed or are held for failing, 2: wrong use, 130: interrupted.

    \b
    harness run grid ablations/mnist.yml --dry-run
    harness run grid ablations/mnist.yml --jobs 2
    harness run grid ablations/mnist.yml --only '*top-k*' protocol.epochs=1
    """
    from harness.data.locations import data_root
    from harness.execution.driver import run_grid
    from harness.execution.options import Options, chosen_executor

    studies = load_studies(files, overrides, only, skip_invalid=skip_invalid)
    chosen = chosen_executor(studies, executor, parse_options(executor_options, "--executor-option"))
    where, gpus, side_by_side = _placement(device, jobs, per_device, chosen, here=dry_run)
    options = Options(
        db=db,
        data_root=data_root(),
        device=where,
        devices=gpus,
        jobs=side_by_side,
        executor=chosen.name,
        executor_options=chosen.options,
        executor_given=executor is not None,
        threads=threads,
        limit=limit,
        retry=parse_reasons(retry),
        from_start=from_start,
        fail_fast=fail_fast,
        timeout_s=timeout,
    )
    if dry_run:
        _dry_run(studies, options, fmt)
        return
    if detach:
        start_detached(db, fmt)
        return
    _tell_skipped(studies)
    with _shown_by(chosen.name, fmt) as shown:
        summary = run_grid(studies, options, shown)
    if fmt == "text":
        _tell_looks(studies, summary, db)
    _conclude(summary, fmt)


@run.command()
@files_argument
@threads_option
@device_option
@only_option
@limit_option
@set_option
@skip_option
@plugins_option
@click.option("--again", is_flag=True, help="Time also what was timed before.")
@click.option("--epochs", type=click.IntRange(min=1), default=3, show_default=True, help="Epochs to time per trial.")
@click.option(
    "--kernels",
    type=click.Choice(["auto", "torch"]),
    help="torch: plain torch's operators in the paper's order  [default: as the study says, else auto]",
)
@click.option("--at-most", type=float, default=600, show_default=True, metavar="SECONDS", help="A trial, at most.")
@db_option
def timing(  # noqa: PLR0913, PLR0917 - as above
    files: tuple[str, ...],
    threads: int | None,
    device: str,
    only: str | None,
    limit: int | None,
    overrides: tuple[str, ...],
    skip_invalid: bool,
    again: bool,
    epochs: int,
    kernels: str | None,
    at_most: float,
    db: Path,
) -> None:
    """Measure seconds per epoch and seconds per test for the trials in FILEs, one at a time on an idle machine.

    A call is one session: each round times every trial once, in a random order, by 50 steps of warm-up, one epoch and
    one pass over the test set. Tables show medians over the rounds. Claims compare trials within a session, and take
    five sessions that agree: repeat the call with --again on other days. Timings with `--kernels torch` are kept
    beside the others, never in their place.

    \b
    harness run timing ablations/mnist.yml
    harness run timing ablations/mnist.yml --kernels torch
    """
    from harness.cli.display import display
    from harness.data.locations import data_root
    from harness.execution.device import choose_device
    from harness.execution.options import Options
    from harness.execution.timing import Repeats, composed, load_per_core, run_timing

    loaded = load_studies(files, overrides, only, skip_invalid=skip_invalid)
    _tell_skipped(loaded)
    studies = [composed(study, kernels) for study in loaded]
    load = load_per_core()
    if load is not None and load > 0.25:
        click.echo(f"this machine is not idle (load {load:.2f} a core): the times will be too long", err=True)
    options = Options(db=db, data_root=data_root(), device=choose_device(device), threads=threads, limit=limit)
    with display() as shown:
        timed = run_timing(studies, options, shown, again=again, repeats=Repeats(epochs, at_most))
    if not (timed.summary.ended or timed.summary.hindered):
        click.echo("nothing to do: every trial was timed here; --again times them again")
        return
    click.echo(f"{timed.trials} timed")
    if timed.before:
        click.echo(
            f"{timed.before} timed in an earlier session, which no claim compares with this one;"
            " --again times all of them together",
            err=True,
        )
    say_interrupted(timed.summary, "the same command times what is missing")
    exit_as(timed.summary)


def _shown_by(executor: str, fmt: str) -> "ShownDisplay":
    """Return what shows a call: events for programs, else bars or lines; no bar across what a debugger prints."""
    from harness.cli.display import display
    from harness.execution.lines import Events, Lines

    return Events() if fmt == "json" else Lines() if executor == "in-process" else display()


def _placement(
    device: str, jobs: int | None, per_device: int | None, executor: "ChosenExecutor", *, here: bool
) -> tuple[str, tuple[str, ...], int]:
    """Return the device, the GPUs among which runs are shared out (none: all on the device), and how many at a time.

    With an executor on other machines the device is theirs, unless steps are to be timed `here`.
    """
    from harness.execution.device import all_gpus, choose_device
    from harness.execution.options import JOBS_ELSEWHERE

    if executor.elsewhere:
        if per_device is not None:
            raise HarnessError("--per-device is for this machine; ray shares a GPU by --executor-option gpus=0.5")
        theirs = executor.device if device == "auto" else device
        return choose_device("auto") if here else theirs, (), jobs or JOBS_ELSEWHERE
    if per_device is None:
        return choose_device(device), (), jobs or 1
    if jobs is not None:
        raise HarnessError("--jobs and --per-device both say how many runs there are side by side: give one of them")
    gpus = all_gpus(device)
    if not gpus:
        raise HarnessError("--per-device shares GPUs out and there is none here: --jobs N runs side by side on the CPU")
    return gpus[0], gpus, per_device * len(gpus)


def _dry_run(studies: Sequence[Any], options: "Options", fmt: str) -> None:
    """Print each trial with what it costs, what is done, left and held, and how long what is left will take."""
    from harness.execution.estimate import Estimator, seconds_per_image
    from harness.execution.plan import plan
    from harness.execution.register import stored, trial_costs
    from harness.report.attainable import as_fields, attainable, in_a_line

    options.executors_of(studies)
    for study in studies:
        options.check(study)
    found = stored(options.db)
    planned = plan(studies, found, options.artifacts, options.retry)
    items = [(study, item) for study in studies for item in study.chosen]
    study_of = {item.trial.key: study for study, item in items}
    costs = {}
    for _, item in items:
        record = found.trials.get(item.trial.key)
        key = item.trial.key
        costs[key] = record.costs if record and record.costs else trial_costs(item.trial, study_of[key].plugin_folders)

    def calibrate(trial: "Trial") -> float:
        study = study_of[trial.key]
        threads = options.threads_for(study)
        seconds = seconds_per_image(trial.config, study.plugin_folders, options.device, threads, macs.get(trial.key))
        return seconds if options.device == "cpu" else seconds / study.execution.processes

    macs = {key: counts["macs"] for key, counts in costs.items() if "macs" in counts}
    estimator = Estimator(found, macs, calibrate, options.device)
    drawn = {study.name: [item.seeds for item in study.trials if item.trial.seeded] for study in studies}
    can_tell = {name: attainable(name, seeds) for name, seeds in drawn.items()}
    runs_of = defaultdict(list)
    for run in planned.runs:
        runs_of[run.trial.key].append(run)
    rows = []
    for study, item in items:
        seeds = frozenset(item.seeds)
        runs = [run for run in runs_of[item.trial.key] if run.seed in seeds]
        estimate = estimator.total((run for run in runs if run.status == "left"), options.jobs)
        rows.append(
            {
                "study": study.name,
                "trial": item.name,
                "key": item.trial.key,
                **{name: _whole(costs[item.trial.key].get(name)) for name in ("parameters", "macs")},
                **{status: sum(run.status == status for run in runs) for status in ("done", "left", "held")},
                "seconds_left": estimate.seconds,
                "rough": estimate.rough,
                "processes": study.execution.processes,
                **as_fields(can_tell[study.name]),
            }
        )
    if fmt == "json":
        print_json([*rows, *_skipped_rows(studies)])
        _tell_hindrance(planned.of("left"), options)
        return
    print_table(
        ["study", "trial", "parameters", "MACs", "done", "left", "held", "time left"],
        [
            [r["study"], r["trial"], amount(r["parameters"]), amount(r["macs"]), r["done"], r["left"], r["held"],
             duration(r["seconds_left"]) if r["left"] else ""]
            for r in rows
        ],
    )  # fmt: skip
    _tell_skipped(studies)
    estimate = estimator.total(planned.of("left"), options.jobs)
    known = estimate.seconds is not None
    basis = f" on {options.device}, roughly, from steps timed just now" if estimate.rough and known else ""
    click.echo(
        f"\n{len(rows)} trials, {len(planned.runs)} runs: {planned.in_words()}; "
        f"time left: {duration(estimate.seconds)}{basis}"
    )
    for study in studies:
        if study.execution.processes > 1:
            click.echo(f"{study.name}: {_processes_in_words(study, options)}")
    if options.limit is not None:
        click.echo(
            f"--limit {options.limit}: this call would make {min(options.limit, len(planned.of('left')))} of them"
        )
    for name, told in can_tell.items():
        if told:
            click.echo(f"{name}: {in_a_line(told)}" if len(studies) > 1 else in_a_line(told))
    _tell_claims(studies, found)
    _tell_hindrance(planned.of("left"), options)


def _tell_hindrance(left: "Sequence[PlannedRun]", options: "Options") -> None:
    """Say on stderr what keeps a call without --dry-run from starting: missing data, for one."""
    from harness.execution.register import check_runnable

    try:
        check_runnable([run.trial for run in left], options.data_root, options.device)
    except HarnessError as error:
        click.echo(f"it would not start: {error}", err=True)


def _tell_claims(studies: "Sequence[Study]", found: "Snapshot") -> None:
    """Say what the seeds of the studies can show of their claims."""
    from harness.report.claims.plan import plan_claims

    for study in studies:
        for claim in plan_claims(study, found) if study.claims else ():
            click.echo(f"claim {claim.id}: {claim.in_words}")


def _tell_looks(studies: "Sequence[Study]", summary: "Summary", db: Path) -> None:
    """Say what the looks at claims gave by now, of studies whose seeds run until these are decided."""
    from harness.execution.register import stored
    from harness.report.claims.study_claims import study_findings
    from harness.report.claims.study_words import look_words

    until = [study for study in studies if study.until is not None]
    if not until:
        return
    found = stored(db)
    for study in until:
        for finding in study_findings(found, study.name):
            if finding.withdrawn is None:
                click.echo(f"claim {finding.id}: {finding.verdict} {look_words(finding)}")
    if len(until) == len(studies) and not summary.plan.of("left"):
        spared = sum(len(item.seeds) for study in studies for item in study.chosen) - len(summary.plan.runs)
        click.echo(f"{spared} runs fewer than all seeds would take" if spared else "all seeds were needed")


def _processes_in_words(study: "Study", options: "Options") -> str:
    """Return how many processes train a run, and what each of them has."""
    processes = study.execution.processes
    each = Execution(threads=options.threads_for(study), processes=processes).threads_each
    share = f"{each} thread{'s' * (each > 1)}" if options.device == "cpu" else "a GPU"
    return f"each run is trained by {processes} processes with {share} each"


def _skipped_rows(studies: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the trials that --skip-invalid skips, each with the reason."""
    nothing = {"key": None, "done": 0, "left": 0, "held": 0}
    return [
        {"study": study.name, "trial": name, **nothing, "skipped": reason}
        for study in studies
        for name, reason in study.skipped.items()
    ]


def _tell_skipped(studies: Sequence[Any]) -> None:
    for row in _skipped_rows(studies):
        click.echo(f"skipped: {row['study']}: {row['trial']}: {row['skipped']}", err=True)


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def _conclude(summary: "Summary", fmt: str) -> None:
    """Say how a call ended and what remains, and exit with its code."""
    planned, left = summary.plan, len(summary.plan.of("left"))
    if fmt == "json":
        states = {status: len(planned.of(status)) for status in ("done", "left", "held")}
        again = {"made_again": summary.made_again} if summary.made_again else {}
        counts = {**states, "held_by_reason": planned.held_by_reason(), "ended": summary.ended, **again}
        print_json_line({"event": "end", **counts, "interrupted": summary.interrupted})
        exit_as(summary)
        return
    if summary.made_again:
        attempts = "1 attempt" if summary.made_again == 1 else f"{summary.made_again} attempts"
        click.echo(f"{attempts} died with a machine, or gave it back, and others took their place", err=True)
    if summary.ended:
        now = ", ".join(f"{count} {state}" for state, count in sorted(summary.ended.items()))
        click.echo(f"this call: {now}; in all {planned.in_words()}")
    else:
        click.echo(
            f"nothing to do: {planned.in_words()}" if not left else f"stopped before anything ran: {planned.in_words()}"
        )
    say_interrupted(summary)
    if not summary.interrupted:
        _say_why_not_all_ran(summary)
    exit_as(summary)


def _say_why_not_all_ran(summary: "Summary") -> None:
    held = summary.plan.held_by_reason()
    if summary.edited:
        click.echo("stopped because the code changed during the run; repeat the command to use the new code", err=True)
    elif held:
        click.echo(f"runs on hold were skipped; add --retry {','.join(held)} to run them", err=True)
