"""The claims of the paper as tests, each with the day on which it was written down: loaded, written out and checked,
not yet evaluated. `claim` says what one is, `claims.yml` what each test is.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path

from harness.base.checks import FieldError
from harness.base.errors import did_you_mean
from harness.report._yaml import load
from harness.report.claims.arithmetic import paper_table
from harness.report.claims.claim import (
    Claim,
    ClaimEntry,
    Claims,
    ClaimsEntry,
    Family,
    FamilyEntry,
    Word,
)
from harness.report.tables.conditions import behind
from harness.report.tables.table import Evaluated
from harness.report.tables.table_file import PAPER

_Path = tuple[str | int, ...]
_FILLED = ("id", "title", "reading", "quantity", "replaced_by")


def load_claims(path: str | Path | None = None, paper: Path = PAPER) -> Claims:
    """Return the claims of a file about a paper's tables, or those of the paper's folder, which are read once.

    Raises SpecError, one line with file and line, where they contradict themselves or their tables.
    """
    return _papers(paper) if path is None else _read(Path(path), paper)


@cache
def _papers(paper: Path) -> Claims:
    return _read(paper / "claims.yml", paper)


def _read(path: Path, paper: Path) -> Claims:
    entry = load(path, ClaimsEntry, _checks(paper))
    families = tuple(_family(family, i, paper) for i, family in enumerate(entry.families))
    return Claims(families=families, untested=entry.untested)


@cache
def _checks(paper: Path) -> Callable[[ClaimsEntry], None]:
    """Return the check of claims about a paper's tables, one per paper: by it, files that were read are known."""
    return partial(_check, paper=paper)


def _family(entry: FamilyEntry, i: int, paper: Path) -> Family:
    """Return a family with its claims written out."""
    claims = tuple(claim for j in range(len(entry.claims)) for claim in _claims(entry, i, j))
    about = entry.about or (f"Table {entry.table}" if entry.table is not None else entry.section)
    fields = {name: getattr(entry, name) for name in FamilyEntry.model_fields}
    return Family(**{**fields, "about": about, "claims": claims, "paper": paper})


def _claims(family: FamilyEntry, i: int, j: int) -> Iterator[Claim]:
    """Yield the claims that an entry stands for, the last word of the grid fastest."""
    entry, path = family.claims[j], ("families", i, "claims", j)
    common = {name: getattr(entry, name) for name in Claim.model_fields}
    common |= {name: getattr(family, name) for name in ("entered", "known") if common[name] is None}
    for point in _points(entry, path):
        filled = {name: _filled(common[name], point, (*path, name)) for name in _FILLED}
        trials = tuple(_filled(name, point, (*path, "trials")) for name in entry.trials)
        yield Claim(**{**common, **filled, "trials": trials})


def _points(entry: ClaimEntry, path: _Path) -> Iterator[dict[str, Word]]:
    if len({len(words) for words in entry.zip.values()}) > 1:
        raise FieldError((*path, "zip"), "the lists of a zip are equally long")
    for step in zip(*entry.zip.values(), strict=True) if entry.zip else [()]:
        for values in itertools.product(*entry.grid.values()):
            yield dict(zip((*entry.zip, *entry.grid), (*step, *values), strict=True))


def _filled(template: str, point: dict[str, Word], path: _Path) -> str:
    """Return a text with its braces filled."""
    try:
        return template.format(**point)
    except (KeyError, IndexError, ValueError, AttributeError):
        words = ", ".join(f"{{{word}}}" for word in point) or "none"
        raise FieldError(path, f"'{template}' has braces that the grid does not fill; it has {words}") from None


def _check(claims: ClaimsEntry, paper: Path) -> None:
    seen: dict[str, set[str]] = {"id": set(), "title": set()}
    for i, family in enumerate(claims.families):
        _check_family(family, ("families", i), paper)
        for j in range(len(family.claims)):
            for claim in _claims(family, i, j):
                for field, known in seen.items():
                    _check_new(str(getattr(claim, field)), known, ("families", i, "claims", j, field))
                _check_claim(family, claim, ("families", i, "claims", j))
        whole = _family(family, i, paper)
        if whole.smallest_p >= whole.alpha:
            raise FieldError(
                ("families", i, "seeds_needed"),
                f"{family.seeds_needed} seeds can never reject: the smallest p is {whole.smallest_p:.3g}",
            )
    _check_references(claims, seen["id"])


def _check_references(claims: ClaimsEntry, ids: set[str]) -> None:
    """Refuse a claim that a withdrawn one, or a sentence without a test, names and that is not there."""
    for i, family in enumerate(claims.families):
        for j in range(len(family.claims)):
            for claim in _claims(family, i, j):
                if claim.replaced_by:
                    _check_known(claim.replaced_by, dict.fromkeys(ids), "claim", ("families", i, "claims", j))
    for i, entry in enumerate(claims.untested):
        for name in entry.tested_by:
            _check_known(name, dict.fromkeys(ids), "claim", ("untested", i, "tested_by"))


def _check_new(name: str, seen: set[str], path: _Path) -> None:
    if name in seen:
        raise FieldError(path, f"the claim '{name}' occurs twice")
    seen.add(name)


def _check_family(family: FamilyEntry, path: _Path, paper: Path) -> None:
    """Refuse a trial that its table does not have, and unknown words."""
    rows = set()
    if family.table is not None:
        rows = {(row.trial.study, row.trial.name) for row in paper_table(family.table, paper).rows}
    elif not family.about:
        raise FieldError((*path, "about"), "'about' is missing: claims without a table say what they are on")
    for name, trial in family.trials.items():
        if (trial.study, trial.name) not in rows and trial.study not in family.studies:
            near = did_you_mean(trial.name, [row for _, row in rows])
            said = (
                "'studies' does not name the study of" if family.table is None else f"table {family.table} has no trial"
            )
            raise FieldError((*path, "trials", name), f"{said} '{trial.study}/{trial.name}'{near}")
    if family.exploratory and not family.known:
        raise FieldError((*path, "known"), "an exploratory family says what was known when it was written")
    _check_denoisers(family, path)
    for name in family.constant:
        _check_known(name, family.trials, "trial", (*path, "constant"))
    for name, quantity in family.quantities.items():
        for field, other in (("minus", quantity.minus), ("beside", quantity.beside)):
            if other is not None:
                _check_known(other, family.quantities, "quantity", (*path, "quantities", name, field))


def _check_denoisers(family: FamilyEntry, path: _Path) -> None:
    """Refuse a denoiser that no evaluation can have."""
    for name, trial in family.trials.items():
        try:
            behind(trial.denoiser, Evaluated())
        except FieldError as error:
            raise FieldError((*path, "trials", name, "denoiser"), error.message) from None


def _check_claim(family: FamilyEntry, claim: Claim, path: _Path) -> None:
    _check_known(claim.quantity, family.quantities, "quantity", (*path, "quantity"))
    for i, name in enumerate(claim.trials):
        _check_known(name, family.trials, "trial", (*path, "trials", i))
    if len(set(claim.trials)) < len(claim.trials):
        raise FieldError((*path, "trials"), f"the claim '{claim.id}' compares a trial with itself")
    if (claim.direction == "either") != (claim.hypothesis == "equivalence"):
        raise FieldError((*path, "direction"), "'either' goes with equivalence, and with it alone")
    if claim.scale == "ratio" and (claim.effect < 1) != (claim.direction == "less"):
        raise FieldError((*path, "effect"), "a ratio is below 1 for 'less' and above 1 otherwise")
    if bool(claim.withdrawn) != bool(claim.withdrawn_because) or (claim.replaced_by and not claim.withdrawn):
        message = "'withdrawn' goes with 'withdrawn_because', and 'replaced_by' with both"
        raise FieldError((*path, "withdrawn"), message)
    tests = {"cost": "arithmetic", "timing": "timing"}
    if tests.get(family.quantities[claim.quantity].source, "sign_flip") != claim.test:
        raise FieldError((*path, "test"), f"'{claim.test}' does not fit the quantity '{claim.quantity}'")


def _check_known(name: str, known: Mapping[str, object], what: str, path: _Path) -> None:
    if name not in known:
        raise FieldError(path, f"unknown {what} '{name}'{did_you_mean(name, known)}")
