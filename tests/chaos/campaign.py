"""A campaign: a reference of each study, then one fault after the other, each in a fresh folder, and what they cost."""

import random
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import chaos.more_faults  # noqa: F401 - enters faults
from chaos.compare import Found, Run, difference, found
from chaos.faults import FAULTS, Fault
from chaos.lab import Lab, end
from harness.execution.plan import HELD

COUNTS = ("lost", "doubled", "differing bits", "tracebacks", "orphans", "hangs")
_MOST_REPEATS = 8  # of a command until nothing of its study is left

Reference = dict[tuple[str, ...], dict[Run, Found]]


@dataclass
class Outcome:
    """What one fault led to."""

    number: int
    fault: Fault
    studies: tuple[str, ...]
    did: str = ""
    codes: list[int] = field(default_factory=list)
    seconds: float = 0.0
    recovery_s: float = 0.0  # of the commands that were repeated until nothing was left
    faults: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in COUNTS})

    @property
    def well(self) -> bool:
        return not any(self.faults.values())

    def line(self) -> str:
        """Return one line, with the first finding of each kind."""
        counts = [f"{len(lines)} {name} ({lines[0]})" for name, lines in self.faults.items() if lines]
        study = self.studies[-1].removesuffix(".yml")
        codes = ", ".join(map(str, self.codes))
        times = f"{self.seconds:.0f} s, {self.recovery_s:.1f} of them to recover"
        words = f"{self.fault.name} ({study}): {self.did}; exit codes {codes}; {times}"
        return f"{self.number:3d} {'ok ' if self.well else 'BAD'} {words}{''.join(f'; {c}' for c in counts)}"


def schedule(count: int, seed: int) -> list[tuple[Fault, tuple[str, ...]]]:
    """Return which faults a seed gives, each with its studies: the whole table in random order, again and again."""
    rng, chosen = random.Random(seed), []  # noqa: S311 - repeatable, not secret
    while len(chosen) < count:
        table = list(FAULTS.values())
        rng.shuffle(table)
        chosen += [(fault, rng.choice(list(fault.studies))) for fault in table]
    return chosen[:count]


def make_reference(folder: Path, chosen: Iterable[tuple[str, ...]], deadline_s: float) -> Reference:
    """Run the studies without a fault. Raises RuntimeError where even that goes wrong."""
    reference: Reference = {}
    for studies in sorted(set(chosen), key=len):
        lab = Lab(folder / studies[-1].removesuffix(".yml"), studies, deadline_s)
        settle(lab, {})
        reference[studies] = found(lab)
        seen = [*lab.toll.tracebacks, *lab.toll.orphans, *lab.toll.hangs, *difference(reference[studies], lab).lost]
        if seen or not reference[studies]:
            raise RuntimeError(f"the reference of {', '.join(studies)}: {'; '.join(seen) or 'no run ends'}")
    return reference


def inflict(
    number: int, fault: Fault, studies: tuple[str, ...], seed: int, lab: Lab, wanted: dict[Run, Found]
) -> Outcome:
    """Do to a fresh lab what a fault does, repeat the command until nothing is left, and compare."""
    outcome, started = Outcome(number, fault, studies), time.monotonic()
    rng = random.Random(f"{seed}:{number}:{fault.name}")  # noqa: S311 - repeatable, not secret
    try:
        outcome.did = fault.strike(lab, rng)
        struck = time.monotonic()
        settle(lab, wanted)
        outcome.recovery_s = time.monotonic() - struck
    finally:
        end(lab)
    found_wrong, toll = difference(wanted, lab), lab.toll
    lists = (
        found_wrong.lost, found_wrong.doubled, found_wrong.differing, toll.tracebacks, toll.orphans, toll.hangs,
    )  # fmt: skip
    outcome.faults = dict(zip(COUNTS, lists, strict=True))
    outcome.codes, outcome.seconds = lab.codes, time.monotonic() - started
    return outcome


def settle(lab: Lab, wanted: dict[Run, Found]) -> None:
    """Repeat the command of each study until nothing of it is left; what is held is retried."""
    for study in lab.studies:
        retry: tuple[str, ...] = ()
        for _ in range(_MOST_REPEATS):
            before = lab.attempts()
            code = lab.grid(*retry, study=study).finish()
            if code == 0 and lab.attempts() == before and (retry or not _incomplete(lab, wanted)):
                break
            # The first repetition runs what is left, as a person would; only then is what is held retried.
            retry = ("--retry", ",".join(HELD)) if code != 0 or lab.attempts() == before else ()


def _incomplete(lab: Lab, wanted: dict[Run, Found]) -> bool:
    """Return whether something is missing that a retry of what is held may bring."""
    lost = difference(wanted, lab).lost
    return any("is not on the disk" not in line for line in lost)


def run(chosen: Sequence[int], count: int, seed: int, work: Path, deadline_s: float, say: Callable[[str], None]) -> int:
    """Inflict the faults of a seed whose numbers are `chosen`, say a line per fault and the counts.

    Return how many of them did harm.
    """
    plan = schedule(count, seed)
    started = time.monotonic()
    reference = make_reference(work / "reference", [plan[n - 1][1] for n in chosen], deadline_s)
    runs, seconds = sum(map(len, reference.values())), time.monotonic() - started
    say(f"reference: {runs} runs, {seconds:.0f} s; seed {seed}, in {work}")
    outcomes = []
    for number in chosen:
        fault, studies = plan[number - 1]
        lab = Lab(work / f"{number:03d}", studies, deadline_s)
        outcome = inflict(number, fault, studies, seed, lab, reference[studies])
        say(outcome.line())
        outcomes.append(outcome)
        if outcome.well:
            shutil.rmtree(lab.folder, ignore_errors=True)
    say(total(outcomes))
    bad = [outcome.number for outcome in outcomes if not outcome.well]
    if bad:
        say(f"one again: make chaos FAULTS={count} SEED={seed} ONLY={bad[0]}")
        say(f"the folders of {', '.join(map(str, bad))} are kept in {work}")
    return len(bad)


def total(outcomes: Sequence[Outcome]) -> str:
    """Return the counts over all faults in one line."""
    sums = {name: sum(len(outcome.faults[name]) for outcome in outcomes) for name in COUNTS}
    return f"{len(outcomes)} faults: {', '.join(f'{number} {name}' for name, number in sums.items())}"
