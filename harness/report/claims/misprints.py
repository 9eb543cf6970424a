"""Where the paper disagrees with itself or with the works it cites: entries that are checked, not asserted.

`misprints.yml` holds them by number. Each has checks (arithmetic over the reference tables, with the value that
it must give) or quotes the places that disagree; what is inferred says so and is under a heading of its own.
"""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Literal

from pydantic import Field, PrivateAttr

from harness.base.checks import FieldError
from harness.report._yaml import Part, load
from harness.report.claims.arithmetic import evaluate
from harness.report.tables.table_file import PAPER


class Check(Part):
    """An expression and what it gives: a number to `digits` decimals, or true."""

    expression: str
    gives: float | bool
    digits: int = 2
    _paper: Path = PrivateAttr(PAPER)  # over whose tables it is

    @property
    def value(self) -> float | bool:
        """What the expression gives, as it is compared."""
        found = evaluate(self.expression, self._paper)
        return found if isinstance(found, bool) else round(found, self.digits)

    def is_over(self, paper: Path) -> None:
        """Take the cells from the tables of a paper."""
        self._paper = paper

    @property
    def holds(self) -> bool:
        """Whether it gives what the entry says."""
        return self.value == self.gives and isinstance(self.value, bool) == isinstance(self.gives, bool)


class Place(Part):
    """A place and what it says: the paper's words, or a work that it cites."""

    where: str
    says: str


class Misprint(Part):
    """One disagreement, with what shows it."""

    number: int
    kind: Literal["text against tables", "method", "comparison", "prior work", "inference"]
    text: str
    checks: tuple[Check, ...] = ()
    places: tuple[Place, ...] = ()


class Misprints(Part):
    """All of them."""

    misprints: tuple[Misprint, ...] = Field(min_length=1)


def load_misprints(path: str | Path | None = None, paper: Path = PAPER) -> tuple[Misprint, ...]:
    """Return the entries of a file about a paper's tables, by default that of its folder, none if it has none.

    Raises SpecError, one line, for an entry that shows nothing or whose arithmetic fails.
    """
    file = paper / "misprints.yml" if path is None else Path(path)
    return () if path is None and not file.exists() else load(file, Misprints, _checks(paper)).misprints


@cache
def _checks(paper: Path) -> Callable[[Misprints], None]:
    """Return the check of entries on a paper's tables, one per paper: by it, files that were read are known."""
    return partial(_check, paper=paper)


def _check(found: Misprints, paper: Path) -> None:
    seen: set[int] = set()
    for i, entry in enumerate(found.misprints):
        if entry.number in seen:
            raise FieldError(("misprints", i, "number"), f"entry {entry.number} occurs twice")
        seen.add(entry.number)
        if entry.kind != "inference" and not entry.checks and len(entry.places) < 2:
            raise FieldError(("misprints", i), "an entry needs arithmetic or two places that disagree")
        for j, check in enumerate(entry.checks):
            check.is_over(paper)
            if not check.holds:
                place = ("misprints", i, "checks", j, "gives")
                raise FieldError(place, f"'{check.expression}' gives {check.value}, not {check.gives}")
