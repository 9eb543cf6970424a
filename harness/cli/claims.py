"""`harness claims`: before the runs, what a study's seeds can show of its claims."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.common import (
    FiniteRange,
    db_option,
    duration,
    format_option,
    load_studies,
    plugins_option,
    print_json,
    print_table,
)
from harness.cli.completion import study_files

if TYPE_CHECKING:
    from harness.report.claims.plan import PlannedClaim
    from harness.store.records import Snapshot


@click.group()
def claims() -> None:
    """Plan claims before they run.

    \b
    harness claims plan own.yml
    """


@claims.command()
@click.argument("file", metavar="FILE", shell_complete=study_files)
@click.option("--sd", type=FiniteRange(min=0, min_open=True), help="The standard deviation of a difference.")
@plugins_option
@format_option("text", "json")
@db_option
def plan(file: str, sd: float | None, fmt: str, db: Path) -> None:
    """Print what the seeds of the study in FILE can show of its claims, how many they need, and what these cost.

    The spread of a difference is that of the stored seeds, at least three of each trial (a pilot), or --sd. Power is
    80%, after Holm's correction over the family.

    \b
    harness claims plan own.yml
    harness claims plan own.yml --sd 0.004
    """
    from harness.execution.register import stored
    from harness.report.claims.plan import plan_claims

    (study,) = load_studies([file], (), None)
    found = stored(db)
    planned = plan_claims(study, found, sd)
    costs = {claim.id: _seconds(claim, found) for claim in planned}
    if fmt == "json":
        print_json([{**asdict(claim), "seconds": costs[claim.id]} for claim in planned])
        return
    print_table(
        ["claim", "says", "by", "sd", "seeds", "shows", "needs", "smallest p", "time for these"],
        [
            [c.id, c.says, f"{c.by:g}", _spread(c), c.seeds, "–" if c.can_show is None else f"{c.can_show:.2g}",
             _needed(c), f"{c.smallest_p:.2g}", duration(costs[c.id]) if c.needed else ""]
            for c in planned
        ],
    )  # fmt: skip
    click.echo()
    for claim in planned:
        click.echo(f"{claim.id}: {claim.in_words}")


def _spread(claim: "PlannedClaim") -> str:
    if claim.sd is None:
        return "unknown"
    upper = "" if claim.sd_upper is None else f" ({claim.stored} seeds, at most {claim.sd_upper:.2g})"
    return f"{claim.sd:.2g}{upper}"


def _needed(claim: "PlannedClaim") -> str:
    return ("–" if claim.sd is None else "> 200") if claim.needed is None else str(claim.needed)


def _seconds(claim: "PlannedClaim", found: "Snapshot") -> float | None:
    """Return how long the runs take that a claim still needs, by those of its trials that ended; None if none did."""
    if claim.needed is None:
        return None
    times = [_run_seconds(found, key) for key in claim.trials]
    wanted = [1 if key in claim.constant else claim.needed for key in claim.trials]
    missing = [max(0, n - len(found.runs(key))) for n, key in zip(wanted, claim.trials, strict=True)]
    if any(t is None and m for t, m in zip(times, missing, strict=True)):
        return None
    return sum((t or 0.0) * m for t, m in zip(times, missing, strict=True))


def _run_seconds(found: "Snapshot", key: str) -> float | None:
    """Return the median seconds of a trial's runs."""
    from statistics import median

    spans = [run.seconds for run in found.runs(key).values() if run.seconds is not None and not run.resumed_from]
    return median(spans) if spans else None
