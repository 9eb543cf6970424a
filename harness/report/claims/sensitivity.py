"""Whether a claim's outcome depends on a setting that the paper does not state, from stored runs alone.

A family names the study that varies the setting (`sensitivity`). Its trials are found by what they are: the claim's own
in everything but the protocol, once for each protocol in which both are stored; the claim's own runs are one of them.
Where the mean gap points the claim's way under some and the other way under others, the claim depends on the setting.
One seed a value is no test: it says which way to look. Of times the setting is how the network is computed: by plain
torch's operators in the paper's order, or by our kernels with channels pooled first.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.report.claims.claim import Claim, Family
from harness.report.claims.gap_tests import mean_gap, points, reaches
from harness.report.claims.values import BASELINE, Stored
from harness.report.printing import in_words
from harness.report.tables.timings import Composition
from harness.store.diff import differing, flat
from harness.store.records import TrialRecord

_SPELT = {"optimizer": "optimiser"}
_COMPOSED: Mapping[Composition, str] = {"paper": "plain torch", "ours": "our kernels"}
KERNELS = "kernels"


@dataclass(frozen=True)
class Sensitivity:
    """A setting and the values of it under which the claim's gap points its way, or the other."""

    setting: str
    holds: tuple[str, ...]
    reversed: tuple[str, ...]
    seeds: tuple[int, ...]  # how many are behind each value, those that hold first; none of times

    @property
    def flips(self) -> bool:
        """Whether the claim depends on the setting."""
        return bool(self.holds) and bool(self.reversed)

    @property
    def of_the_paper(self) -> bool:
        """Whether the setting is one that the paper leaves open, not one of how we compute."""
        return self.setting != KERNELS

    def __str__(self) -> str:
        """Return "depends on: optimiser (holds under …, reversed under …)", or that it does not."""
        against = "reversed" if self.of_the_paper else "not"
        holds = f"holds under {', '.join(self.holds)}" if self.holds else ""
        others = f"{against} under {', '.join(self.reversed)}" if self.reversed else ""
        said = ", ".join(part for part in (holds, others) if part)
        if self.flips:
            return f"depends on: {self.setting} ({said}{self._behind})"
        if not self.of_the_paper:
            return f"the same under {' and '.join(self.holds or self.reversed)}"
        return f"the same way under every {self.setting} tried ({said}{self._behind})"

    @property
    def _behind(self) -> str:
        """Say on how many seeds each value stands; nothing of times."""
        if not self.seeds:
            return ""
        few, many = min(self.seeds), max(self.seeds)
        return f"; {few} to {many} seeds each, no test" if few < many else f"; {_seeds(few)} each, no test"


def _seeds(number: int) -> str:
    return "1 seed" if number == 1 else f"{number} seeds"


def sensitivity(stored: Stored, family: Family, claim: Claim) -> Sensitivity | None:
    """Return how a claim fares under the values of a setting; None where fewer than two of them are stored."""
    if claim.test == "timing":
        return _of_kernels(stored, family, claim)
    if family.sensitivity is None or claim.test != "sign_flip":
        return None
    own = stored.keys(family, family.quantities[claim.quantity])
    if any(own[name] is None for name in claim.trials):
        return None
    outcomes: dict[bool, list[tuple[str, int]]] = {True: [], False: []}
    setting = ""
    varied = list(_variants(stored, family, claim, own))
    for protocol, keys, words in varied:
        measured = stored.measure(family, claim, keys)
        way = points(claim, mean_gap(measured.gaps)) if measured.gaps else None
        if way is not None:
            setting = setting or _setting([other for other, _, _ in varied])
            said = words or in_words(_differences(protocol, varied))
            outcomes[way].append((said.removeprefix(f"{setting} "), len(measured.gaps)))
    if sum(map(len, outcomes.values())) < 2:
        return None
    holds, others = outcomes[True], outcomes[False]
    return Sensitivity(
        setting, tuple(w for w, _ in holds), tuple(w for w, _ in others), tuple(n for _, n in (*holds, *others))
    )


def _of_kernels(stored: Stored, family: Family, claim: Claim) -> Sensitivity | None:
    outcomes: dict[bool, list[str]] = {True: [], False: []}
    for composed, words in _COMPOSED.items():
        measured = stored.measure(family, claim, composed=composed)
        if measured.gaps:
            outcomes[reaches(claim, mean_gap(measured.gaps))].append(words)
    both = sum(map(len, outcomes.values())) == len(_COMPOSED)
    return Sensitivity(KERNELS, tuple(outcomes[True]), tuple(outcomes[False]), ()) if both else None


_Variant = tuple[Mapping[str, Any], dict[str, str | None], str]


def _variants(stored: Stored, family: Family, claim: Claim, own: Mapping[str, str | None]) -> Iterator[_Variant]:
    """Yield each protocol of the study, with the claim's trials trained by it and what the study calls it."""
    trials = stored.snapshot.trials
    names = tuple(dict.fromkeys((*claim.trials, *(n for n in (BASELINE,) if own.get(n) is not None))))
    planned = [(r.name, trials[r.trial_key]) for r in stored.snapshot.study_trials if r.study == family.sensitivity]
    mine = [trials[str(own[name])] for name in names]
    protocols: list[Mapping[str, Any]] = []
    for trial in [*(t for _, t in planned), mine[0]]:
        if trial.config.get("protocol", {}) not in protocols:
            protocols.append(trial.config.get("protocol", {}))
    for protocol in protocols:
        by = [(name, t) for name, t in planned if t.config.get("protocol", {}) == protocol]
        known = [*(t for _, t in by), *(t for t in mine if t.config.get("protocol", {}) == protocol)]
        keys = {name: _alike(t, known) for name, t in zip(names, mine, strict=True)}
        if all(keys[name] is not None for name in claim.trials):
            yield protocol, keys, _common([name for name, _ in by])


def _alike(wanted: TrialRecord, among: list[TrialRecord]) -> str | None:
    """Return the key of the trial that is `wanted` in everything but its protocol."""
    parts = {k: v for k, v in wanted.config.items() if k != "protocol"}
    return next((t.key for t in among if {k: v for k, v in t.config.items() if k != "protocol"} == parts), None)


def _common(names: list[str]) -> str:
    """Return the parts, between commas, with which all names end: "SGD 0.01" of "Baseline, SGD 0.01" and its like."""
    split = [name.split(", ") for name in names]
    shared: list[str] = []
    for parts in zip(*(reversed(parts) for parts in split), strict=False):
        if len(set(parts)) > 1:
            break
        shared.insert(0, parts[0])
    return ", ".join(shared if len(names) > 1 else shared[-1:])


def _setting(protocols: list[Mapping[str, Any]]) -> str:
    """Return what varies among protocols in words: one field by its name, several by the part that they are of."""
    first = flat(protocols[0])
    paths = sorted({path for other in protocols[1:] for path in differing(first, flat(other))})
    parts = list(dict.fromkeys(path.split(".")[0] for path in paths))
    if len(paths) == 1:
        return paths[0].split(".")[-1].replace("_", " ")
    return " and ".join(_SPELT.get(part, part.replace("_", " ")) for part in parts)


def _differences(protocol: Mapping[str, Any], varied: list[_Variant]) -> Any:
    """Return the parts of a protocol in which it differs from the others; of one part its value."""
    parts = {part for other, _, _ in varied for part in differing(protocol, other)}
    found = {part: protocol.get(part) for part in sorted(parts)}
    return found.popitem()[1] if len(found) == 1 else found
