"""`harness results verify`: whether what is stored is intact, and can be reproduced."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.base.errors import HarnessError
from harness.cli.common import duration, format_option, load_studies, plugins_option, print_json, sources_option
from harness.cli.completion import study_files
from harness.cli.results.move import print_made_twice

if TYPE_CHECKING:
    from harness.execution.rerun import Drawn, Repeated
    from harness.store.circumstances import Pairs
    from harness.store.made_twice import MadeTwice
    from harness.store.verify import Verified

_NAMED = 5  # facts that changed


@click.command()
@click.option("--rerun", type=click.IntRange(min=1), metavar="K", help="Repeat K runs, drawn by --seed, here.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the draw.")
@click.option("--device", help="Where to repeat runs: cpu, cuda or cuda:N  [default: where each was made]")
@click.option("--study", "files", metavar="FILE", multiple=True, help="Where plug-ins and own data of runs are named.",
              shell_complete=study_files)  # fmt: skip
@plugins_option
@format_option("text", "json")
@sources_option
def verify(
    rerun: int | None, seed: int, device: str | None, files: tuple[str, ...], fmt: str, sources: tuple[Path, ...]
) -> None:
    """Check that what is stored is intact: the file, references, keys made again, artifacts' checksums.

    Of runs that several machines have made it says whether the attempts have the same bits; others that nothing
    explains, by code, device or versions, are a fault. Of code that has changed since the runs it says how many runs
    that concerns, by model of device.

    --rerun K then repeats K runs as they were made: the same bits, or the differences beside the spread over the
    trial's seeds. One line per fault, and exit code 1 if there is one: a run that ends otherwise, whose bits differ
    although code, device and versions are the same, or whose metric is more than 4 standard deviations over at least
    3 seeds away. With fewer seeds a metric that differs is undecided, which is not a fault.

    \b
    harness results verify
    harness results verify --from results/published
    harness results verify --rerun 2 --seed 7 --from results/published/mnist.jsonl
    """
    from harness.store.verify import verify as look

    if rerun is None and (device or files):
        raise HarnessError("--device and --study go with --rerun K")
    if device is not None:
        from harness.execution.device import choose_device

        choose_device(device)  # once, and not as the reason why each run that is drawn cannot be made
    found = look(sources)
    hints = _look_for_unknown_results(sources, found)
    ages = _ages(found)
    if fmt == "text":
        _print(found)
        _print_ages(ages)
    for hint in hints:
        click.echo(hint, err=True)
    repeated: list[Repeated] = []
    passed_over: dict[str, str] = {}
    if rerun is not None and not found.faults:
        repeated, passed_over = _rerun(rerun, seed, device, files, sources, fmt)
    if fmt == "json":
        print_json(
            {
                "faults": found.faults,
                **{name: getattr(found, name) for name in ("trials", "attempts", "files", "elsewhere")},
                "code": {device: dict(counts) for device, counts in ages.items()},
                "made_twice": [_twice_json(each) for each in found.twice],
                "repeated": [_json(each) for each in repeated],
                "passed_over": passed_over,
            }
        )
    if found.faults or any(each.verdict == "BAD" for each in repeated):
        sys.exit(1)
    if rerun is not None and not repeated:
        raise HarnessError("none of the stored runs can be repeated here")


def _look_for_unknown_results(sources: Sequence[Path], verified: "Verified") -> list[str]:
    """Return what is to be said, for each database, of results beside it that it does not know.

    That they are there is no fault, as they may be another's; that one is damaged is, unless its run is done.
    """
    from harness.execution.intake import unknown_results
    from harness.execution.register import stored
    from harness.store.errors import DatabaseError

    hints = []
    for db in sources:
        if db.suffix == ".jsonl" or not db.is_file():
            continue
        with suppress(HarnessError, DatabaseError):  # what cannot be read has been named
            artifacts, found = db.resolve().parent / "artifacts", stored(db)
            unknown = unknown_results(artifacts, {a.uid for a in found.attempts})
            done = {(a.trial_key, a.seed) for a in found.attempts if a.accepted}
            verified.faults += [
                f"{each.folder}: {each.fault}, and {db} does not know it; `harness run grid FILE` makes its run again"
                for each in unknown
                if each.fault is not None and (each.request.trial_key, each.request.seed) not in done
            ]
            if good := sum(each.fault is None for each in unknown):
                words = f"{artifacts} holds {good} results that {db} does not know"
                hints.append(f"{words}; `harness results recover --db {db}` takes them in")
    return hints


def _print(found: "Verified") -> None:
    for fault in found.faults:
        click.echo(f"BAD  {fault}")
    there = f"{found.trials} trials, {found.attempts} attempts, {found.files} artifacts"
    elsewhere = f" ({found.elsewhere} more are not here)" if found.elsewhere else ""
    click.echo(f"{'   ' if found.faults else 'ok '}  {there}{elsewhere}")
    print_made_twice([each for each in found.twice if not each.unexplained], len(found.twice))


def _ages(found: "Verified") -> "Mapping[str, Mapping[str, int]]":
    """Return how many runs are of today's code, by the model of device that made them; nothing if there are faults."""
    from harness.execution.renew import runs_by_age

    return {} if found.faults or found.snapshot is None else runs_by_age(found.snapshot)


def _print_ages(ages: "Mapping[str, Mapping[str, int]]") -> None:
    """Say how many runs are of code that has changed since, of each model of device."""
    words = {
        "today": "of today's code",
        "stale": "of code that has changed since",
        "unknown": "of code that cannot be told without their study",
    }
    if not any(counts.get("stale") for counts in ages.values()):
        return
    for device, counts in ages.items():
        click.echo(f"     {device}: {', '.join(f'{counts[age]} {words[age]}' for age in words if counts.get(age))}")
    click.echo(
        "     harness run renew FILE... shows of studies what is stale, and whether today's code gives the same bits"
    )


def _twice_json(each: "MadeTwice") -> dict[str, Any]:
    return {
        "run": each.label,
        "attempts": [each.counts.uid, each.other.uid],
        "equal_bits": not each.differing,
        "differing": list(each.differing),
        "changed": {name: list(pair) for name, pair in each.changed.items()},
    }


def _rerun(
    count: int, seed: int, device: str | None, files: Sequence[str], sources: Sequence[Path], fmt: str
) -> "tuple[list[Repeated], dict[str, str]]":
    """Repeat runs, and say each as it ends."""
    from harness.data.locations import data_root
    from harness.execution.rerun import draw, repeat
    from harness.store.merge import open_results
    from harness.store.queries import snapshot

    studies = load_studies(files, [], None, skip_invalid=True) if files else []
    repeated = []
    with open_results(sources) as store:
        found = snapshot(store)
        drawn = draw(found, count, seed, data_root=data_root(), device=device, studies=studies)
        for label, reason in drawn.passed_over.items():
            click.echo(f"passed over: {label}: {reason}", err=True)
        for run in drawn.runs:
            click.echo(f"repeating {run.label}, which took {_took(run)}", err=True)
            repeated.append(repeat(store, found, run, data_root()))
            if fmt == "text":
                _print_repeated(repeated[-1])
    return repeated, dict(drawn.passed_over)


def _took(run: "Drawn") -> str:
    return duration(run.attempt.seconds)


def _print_repeated(run: "Repeated") -> None:
    from harness.execution.rerun import ENOUGH_SEEDS

    label, word = run.drawn.label, f"{run.verdict:3}"
    if run.state != run.drawn.attempt.state:
        reason = f": {run.error}" if run.error else ""
        click.echo(f"{word}  {label}: ended {run.state}, was {run.drawn.attempt.state}{reason}")
        return
    if not run.differing:
        click.echo(f"{word}  {label}: equal bits")
        return
    changed = _first(run.changed) or "nothing that was recorded and may change bits has changed"
    beside = f" (but {_first(run.beside)})" if run.beside and not run.changed else ""
    click.echo(f"{word}  {label}: {', '.join(run.differing)} differ; {changed}{beside}")
    if run.verdict == "undecided":
        few = f"fewer than {ENOUGH_SEEDS} seeds are stored"
        click.echo(f"     undecided: {few}, too few to tell how far chance would take it")
    for metric in run.metrics:
        spread = "one seed, no spread" if metric.spread is None else f"{metric.spread:.3g} over {metric.seeds} seeds"
        values = f"{metric.stored:.6g} stored, {metric.here:.6g} here, {metric.here - metric.stored:+.3g}"
        click.echo(f"     {metric.metric}: {values}; spread {spread}")


def _first(pairs: "Pairs") -> str:
    """Return the first facts that changed, and how many more did."""
    from harness.store.circumstances import in_words

    shown = [f"{name} {in_words(one)} → {in_words(other)}" for name, (one, other) in list(pairs.items())[:_NAMED]]
    more = len(pairs) - len(shown)
    return ", ".join([*shown, *([f"and {more} more"] if more else [])])


def _json(run: "Repeated") -> dict[str, Any]:
    return {
        "attempt": run.drawn.attempt.uid,
        "run": run.drawn.label,
        "verdict": run.verdict,
        "well": None if run.verdict == "undecided" else run.verdict == "ok",
        "state": run.state,
        "error": run.error,
        "equal_bits": run.state == run.drawn.attempt.state and not run.differing,
        "differing": list(run.differing),
        "changed": {name: {"stored": one, "here": other} for name, (one, other) in run.changed.items()},
        "beside": {name: {"stored": one, "here": other} for name, (one, other) in run.beside.items()},
        "metrics": [
            {
                "metric": m.metric,
                "stored": m.stored,
                "here": m.here,
                "difference": m.here - m.stored,
                "spread": m.spread,
                "seeds": m.seeds,
            }
            for m in run.metrics
        ],
    }
