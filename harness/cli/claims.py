"""`harness claims`: before the runs, what a study's seeds can show of its claims."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.base.errors import HarnessError
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
    from harness.stats.sequential import Looks
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


@claims.command()
@click.option("--claims", "number", type=click.IntRange(1, 100), default=1, show_default=True, help="In the family.")
@click.option("--looks", default="10,13,16,20", show_default=True, help="After how many seeds, the most last.")
@click.option("--by", type=FiniteRange(min=0, min_open=True), default=1.0, show_default=True, metavar="SD",
              help="What matters, in standard deviations of a difference.")  # fmt: skip
@click.option("--studies", type=click.IntRange(min=10), default=1000, show_default=True, help="Simulated, per line.")
@format_option("text", "json")
def simulate(number: int, looks: str, by: float, studies: int, fmt: str) -> None:
    """Simulate studies whose seeds run until decided: how often they are wrong, or right, and the runs they save.

    A family is of claims of one kind. "differences" are the true ones, over --by, which its claims have in turn.
    Wrong: in how many studies any claim of the family has a verdict that is not true.

    \b
    harness claims simulate --claims 4 --looks 12,16,20 --studies 20000
    """
    from harness.stats.simulation import RIGHT, cases, saving, wrong_verdicts

    design = _looks(looks, number)
    errors = [wrong_verdicts(case, number, design, by, studies) for case in cases(number)]
    savings = [saving(truth, number, design, by, studies) for truth in RIGHT]
    if fmt == "json":
        print_json({"wrong": errors, "right": savings})
        return
    print_table(
        ["claims say", "gaps", "differences", "studies", "wrong", "at most (99%)"],
        [
            [e["says"], e["gaps"], e["differences"], f"{e['studies']:,}", f"{e['wrong']:.2%}", f"{e['at_most']:.2%}"]
            for e in errors
        ],
    )
    click.echo()
    print_table(
        ["difference", "right", "seeds", f"{design.at[-1]} seeds at once", "as right at once", "runs saved"],
        [
            [f"{s['difference']:g}", f"{s['right']:.1%}", f"{s['seeds']:.1f}", f"{s['right_at_once']:.1%}",
             *(("–", "–") if s["saved"] is None else (f"{s['enough_at_once']} seeds", f"{s['saved']:.0%}"))]
            for s in savings
        ],
    )  # fmt: skip


def _looks(written: str, claims: int) -> "Looks":
    """Return the looks of the command line. Raises HarnessError for some that a study could not have."""
    from harness.stats.sequential import MOST_SEEDS, Looks

    try:
        at = tuple(int(part) for part in written.split(","))
    except ValueError:
        raise HarnessError(
            f"--looks: whole numbers with commas between them, e.g. 10,13,16,20, not '{written}'"
        ) from None
    if at[0] < 1 or at[-1] > MOST_SEEDS or sorted(set(at)) != list(at):
        raise HarnessError(f"--looks: numbers of seeds that go up, at most {MOST_SEEDS}, not '{written}'")
    looks = Looks(at)
    for n in at:
        if not looks.can_decide(n, claims):
            raise HarnessError(f"--looks: a look at {n} seeds cannot decide any of {claims} claims")
    return looks


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
