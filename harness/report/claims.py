"""The claims of the paper as tests, written down before the runs that test them: loaded and checked, not
yet evaluated.

`paper/claims.yml` says what each test is. A family is the claims of one table; Holm's correction is over
its tests.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from harness.report._yaml import Part, load
from harness.report.table import TrialName
from harness.report.table_file import PAPER, load_paper_table
from harness.spec.checks import FieldError
from harness.spec.errors import did_you_mean

MINIMUM_SEEDS = 8


class Quantity(Part):
    """What a claim is about: the stored value that it reads, and how one number a run (or trial) is made of
    it.
    """

    source: Literal["result", "curve", "artifact", "timing", "cost"]
    name: str
    split: str | None = None  # of results and curves
    where: dict[str, str | int | float] = Field(default_factory=dict)  # fills the braces of a trial's name
    unit: str
    of: str


class Claim(Part):
    """A sentence of the paper and the test that it stands for."""

    id: str = Field(pattern=r"^[a-z0-9-]+$")
    quote: str  # the paper's words
    reading: str  # what the test takes them to say
    quantity: str
    trials: tuple[str, str]  # a and b
    direction: Literal["greater", "less", "either"]  # a's against b's
    hypothesis: Literal["superiority", "non_inferiority", "equivalence"]
    scale: Literal["difference", "ratio"]
    effect: float = Field(gt=0)  # the smallest that matters, or the margin, on the scale; in the quantity's unit
    reason: str  # why this much
    test: Literal["sign_flip", "arithmetic", "timing"]


class Family(Part):
    """The claims on one table, with what they have in common."""

    table: int
    section: str
    alpha: float = Field(gt=0, lt=1)
    correction: Literal["holm"]
    seeds_needed: int = Field(ge=MINIMUM_SEEDS)
    quantities: dict[str, Quantity]
    trials: dict[str, TrialName]
    studies: tuple[str, ...] = ()  # that feed the claims beside the table's own; they may name further trials
    sensitivity: str | None = None  # the study that varies a setting which the paper does not state
    claims: tuple[Claim, ...] = Field(min_length=1)

    @property
    def smallest_p(self) -> float:
        """The smallest p that a sign-flip test of this family can reach, after Holm's correction over all
        of them.
        """
        return sum(claim.test == "sign_flip" for claim in self.claims) * 2.0**-self.seeds_needed


class Claims(Part):
    """All claims, a family a table."""

    families: tuple[Family, ...]


def load_claims(path: str | Path = PAPER / "claims.yml") -> Claims:
    """Return the claims; SpecError, one line with file and line, where they contradict themselves or their
    tables.
    """
    return load(Path(path), Claims, _check)


def _check(claims: Claims) -> None:
    _check_ids(claims)
    for i, family in enumerate(claims.families):
        _check_family(family, ("families", i))


def _check_ids(claims: Claims) -> None:
    seen: set[str] = set()
    for i, family in enumerate(claims.families):
        for j, claim in enumerate(family.claims):
            if claim.id in seen:
                raise FieldError(("families", i, "claims", j, "id"), f"the claim '{claim.id}' stands twice")
            seen.add(claim.id)


def _check_family(family: Family, path: tuple[str | int, ...]) -> None:
    """Refuse a trial that its table does not have, unknown words, and too few seeds ever to reject."""
    rows = {(row.trial.study, row.trial.name) for row in load_paper_table(family.table).rows}
    for name, trial in family.trials.items():
        if (trial.study, trial.name) not in rows and trial.study not in family.studies:
            near = did_you_mean(trial.name, [row for _, row in rows])
            raise FieldError(
                (*path, "trials", name),
                f"table {family.table} has no trial '{trial.study}/{trial.name}'{near}",
            )
    for i, claim in enumerate(family.claims):
        _check_claim(family, claim, (*path, "claims", i))
    if family.smallest_p >= family.alpha:
        raise FieldError(
            (*path, "seeds_needed"),
            f"{family.seeds_needed} seeds can never reject: the smallest p is {family.smallest_p:.3g}",
        )


def _check_claim(family: Family, claim: Claim, path: tuple[str | int, ...]) -> None:
    if claim.quantity not in family.quantities:
        raise FieldError(
            (*path, "quantity"),
            f"unknown quantity '{claim.quantity}'{did_you_mean(claim.quantity, family.quantities)}",
        )
    for i, name in enumerate(claim.trials):
        if name not in family.trials:
            raise FieldError((*path, "trials", i), f"unknown trial '{name}'{did_you_mean(name, family.trials)}")
    if claim.trials[0] == claim.trials[1]:
        raise FieldError((*path, "trials"), f"the claim '{claim.id}' compares a trial with itself")
    if (claim.direction == "either") != (claim.hypothesis == "equivalence"):
        raise FieldError((*path, "direction"), "'either' goes with equivalence, and with it alone")
    if claim.scale == "ratio" and (claim.effect < 1) != (claim.direction == "less"):
        raise FieldError((*path, "effect"), "a ratio is below 1 for 'less' and above 1 otherwise")
    tests = {"cost": "arithmetic", "timing": "timing"}
    if tests.get(family.quantities[claim.quantity].source, "sign_flip") != claim.test:
        raise FieldError((*path, "test"), f"'{claim.test}' does not fit the quantity '{claim.quantity}'")
