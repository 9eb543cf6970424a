"""What a claim of the paper is as data: a sentence, the two trials that it compares, and the test that it stands for.

`claims.yml` says what each test is. A family is what Holm's correction is over: the claims on one table, or on
figures or a section without one.
"""

from datetime import date
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field

from harness.report._yaml import Part
from harness.report.tables.table import TrialName
from harness.report.tables.table_file import PAPER
from harness.stats.verdicts import Hypothesis

MINIMUM_SEEDS = 8
Word = str | int | float
Verdict = Literal["supported", "too small", "contradicted", "undecided", "not run", "withdrawn"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


class Quantity(Part):
    """What a claim is about: the stored value that it reads, and how one number a run (or trial) is made of
    it.
    """

    source: Literal["result", "curve", "artifact", "measure", "timing", "cost"]
    name: str
    split: str | None = None  # of results and curves
    dataset: str | None = None  # of results: the family's, where left out
    condition: dict[str, Any] | None = None  # of results: that of the table's column, else clean, where left out
    where: dict[str, Word] = Field(default_factory=dict)  # fills the braces of a trial's name
    minus: str | None = None  # another quantity, which is subtracted seed by seed
    beside: str | None = None  # another quantity, whose effect is shown with the claim's and decides nothing
    unit: str
    of: str


class _Sentence(Part):
    """A sentence of the paper and the test that it stands for."""

    id: str
    title: str  # what is claimed, in a line that no other claim has
    place: str  # section and number of the sentence in it
    quote: str  # the paper's words
    reading: str  # what the test takes them to say
    quantity: str
    trials: tuple[str, ...] = Field(min_length=1, max_length=2)  # a and b, or a alone
    direction: Literal["greater", "less", "either"]  # a's against b's
    hypothesis: Hypothesis
    scale: Literal["difference", "ratio"]
    effect: float = Field(gt=0)  # the smallest that matters, or the margin, on the scale; in the quantity's unit
    reason: str  # why this much
    test: Literal["sign_flip", "arithmetic", "timing"]
    ours: str = ""  # if the sentence claims no outcome, so that the question is ours: the day this was noted, and why
    withdrawn: date | None = None  # when the reading was found not to mean its sentence; it stays, and counts for Holm
    withdrawn_because: str = ""
    replaced_by: str = ""  # the claim that reads the sentence now


class Claim(_Sentence):
    """A claim, written out."""

    id: str = Field(pattern=r"^[a-z0-9-]+$")
    entered: date  # when the test was written down
    known: str  # what results of its trials were known then; "" where none were


class ClaimEntry(_Sentence):
    """Claims as they are written: one for each point of the grid, and for each step of the zip."""

    entered: date | None = None  # the family's, where left out; so `known`
    known: str | None = None
    grid: dict[str, tuple[Word, ...]] = Field(default_factory=dict)
    zip: dict[str, tuple[Word, ...]] = Field(default_factory=dict)


class Untested(Part):
    """A sentence that claims something for which there is no test of its own, and why, or which claims test it."""

    place: str
    quote: str
    why: str
    tested_by: tuple[str, ...] = ()  # ids


class ClaimTrial(TrialName):
    """A trial that a claim compares; `denoiser` is what is before a classifier in the condition of its results."""

    denoiser: dict[str, Any] | None = None  # {run: "STUDY:TRIAL:SEED"} is one by name


class FamilyEntry(Part):
    """A family as it is written: what its claims have in common, and these."""

    table: int | None = None
    about: str = ""  # what the claims are on; the table, where left out
    section: str
    dataset: str | None = None  # on which results are, where there is no table to say so
    alpha: float = Field(gt=0, lt=1)
    correction: Literal["holm"]
    seeds_needed: int = Field(ge=MINIMUM_SEEDS)
    entered: date
    known: str = ""
    awaits: str = ""  # what this version of the harness cannot do yet, so that nothing of it can be run
    changed: str = ""  # what was settled after it was entered: the day, what, and what was known then
    exploratory: bool = False  # written after the results that it is held against: it confirms nothing
    seeds_a_gap: Literal[1, 2] = 1  # two where each gap takes a pair of seeds that no other gap uses
    quantities: dict[str, Quantity]
    trials: dict[str, ClaimTrial]
    constant: tuple[str, ...] = ()  # trials that no seed changes
    studies: tuple[str, ...] = ()  # that feed the claims beside the table's own; they may name further trials
    sensitivity: str | None = None  # the study that varies a setting which the paper does not state
    claims: tuple[ClaimEntry, ...] = Field(min_length=1)


class Family(FamilyEntry):
    """A family with every claim written out."""

    claims: tuple[Claim, ...]  # type: ignore[assignment]  # each of one point alone
    paper: Path = PAPER  # whose tables are meant

    @property
    def tests(self) -> int:
        """The number of sign-flip tests, over which Holm's correction is; a withdrawn one still counts, so that
        withdrawing makes no other test easier.
        """
        return sum(claim.test == "sign_flip" for claim in self.claims)

    @property
    def smallest_p(self) -> float:
        """The smallest p that a sign-flip test of this family can reach, after Holm's correction over all
        of them.
        """
        return self.tests * 2.0 ** -(self.seeds_needed // self.seeds_a_gap)

    def rests_on(self, study: str) -> bool:
        """Return whether a study feeds these claims."""
        return study in self.studies or any(trial.study == study for trial in self.trials.values())


class ClaimsEntry(Part):
    """The file as it is written."""

    families: tuple[FamilyEntry, ...]
    untested: tuple[Untested, ...] = ()


class Claims(Part):
    """All claims, a family a table or what else they are on, and the sentences without a test."""

    families: tuple[Family, ...]
    untested: tuple[Untested, ...] = ()
