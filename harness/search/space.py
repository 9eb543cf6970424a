"""What a search chooses among, and the placements: at each site nothing, or the compressor with one of the strides."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from harness.base.checks import FieldError
from harness.base.keys import canonical_json
from harness.trial.resolve import Trial, named, resolve_trial

Placement = tuple[tuple[str, Any], ...]
"""(site, stride) of each compressor, in the order of the sites; empty for the network without compressors.

In a search of a function's arguments: (argument, value) of each that is searched.
"""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included: whole ones if both are, in steps, or even in their logarithm."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether whole numbers alone are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int) and isinstance(self.step, int | None)

    @property
    def size(self) -> float:
        """How many numbers there are; infinite if they are not whole and there is no step."""
        step = 1 if self.whole and self.step is None else self.step
        steps = math.inf if step is None else (self.high - self.low) / step
        return steps if math.isinf(steps) else math.floor(steps + 1e-9) + 1

    def holds(self, value: float) -> bool:
        """Return whether a number is one of them."""
        if not self.low <= value <= self.high or (self.whole and not isinstance(value, int)):
            return False
        steps = 0.0 if self.step is None else (value - self.low) / self.step
        return abs(steps - round(steps)) < 1e-8


Choice = Range | Sequence[Any]


class AnySpace(Protocol):
    """What is asked of a space, whatever its points are."""

    @property
    def plugin_folders(self) -> Sequence[str]:
        """Where plug-ins are looked for first."""

    @property
    def choices(self) -> Mapping[str, Choice]:
        """What may be at each place."""

    @property
    def size(self) -> float:
        """How many points there are."""

    @property
    def sample(self) -> Trial:
        """Some trial of the space, for what all have in common."""

    def placement(self, chosen: Mapping[str, Any]) -> Placement:
        """Return the point of a choice a place."""

    def chosen(self, placement: Placement) -> dict[str, Any]:
        """Return the choice at each place of a point."""

    def trial(self, placement: Placement) -> Trial:
        """Return the trial of a point."""

    def find(self, key: str, config: Mapping[str, Any]) -> Placement | None:
        """Return the point whose trial has this key and configuration, or None."""

    def words(self, placement: Placement) -> str:
        """Return a point for people."""

    def entry(self, placement: Placement) -> dict[str, Any]:
        """Return what differs between points, as a study writes it."""

    def final_parts(self) -> dict[str, Any]:
        """Return the parts of the study that is written at the end."""


@dataclass(frozen=True)
class Space:
    """All placements of one kind of compressor in one network."""

    parts: Mapping[str, Any]  # task, dataset, model, protocol, as resolve_trial takes them
    compressor: Mapping[str, Any]  # its kind and options, without a stride
    strides: Mapping[str, tuple[int, ...]]  # by site: those that divide its channels
    plugin_folders: Sequence[str] = ()
    _trials: dict[Placement, Trial] = field(default_factory=dict, repr=False, compare=False)

    @property
    def choices(self) -> Mapping[str, Sequence[int | None]]:
        """What may be at each site: None, for nothing, and the strides."""
        return {site: [None, *strides] for site, strides in self.strides.items()}

    @property
    def size(self) -> int:
        """How many placements there are, that of nothing among them."""
        return math.prod(len(strides) + 1 for strides in self.strides.values())

    @property
    def sample(self) -> Trial:
        """The trial without compressors."""
        return self.trial(())

    def placement(self, chosen: Mapping[str, Any]) -> Placement:
        """Return the placement of a choice a site."""
        return tuple((site, stride) for site in self.strides if (stride := chosen[site]) is not None)

    def chosen(self, placement: Placement) -> dict[str, Any]:
        """Return the choice at each site of a placement."""
        return {**dict.fromkeys(self.strides), **dict(placement)}

    def words(self, placement: Placement) -> str:
        """Return a placement for people."""
        return words(placement)

    def entry(self, placement: Placement) -> dict[str, Any]:
        """Return what differs between placements, as a study writes it."""
        compressors = self.compressors(placement)
        return {"compressors": compressors} if compressors else {}

    def final_parts(self) -> dict[str, Any]:
        """Return the parts of the study that is written at the end: it trains on all, to meet the test set."""
        parts = {name: named(value) for name, value in self.parts.items() if value is not None}
        return {**parts, "protocol": {**parts["protocol"], "train_on": "all"}}

    def compressors(self, placement: Placement) -> dict[str, dict[str, Any]]:
        """Return a placement as a study writes it: a compressor a site."""
        return {site: {**self.compressor, "stride": stride} for site, stride in placement}

    def trial(self, placement: Placement) -> Trial:
        """Return the trial of a placement. Raises FieldError if it cannot be."""
        if placement not in self._trials:
            self._trials[placement] = resolve_trial(
                **self.parts, compressors=self.compressors(placement), plugin_folders=self.plugin_folders
            )
        return self._trials[placement]

    def find(self, key: str, config: Mapping[str, Any]) -> Placement | None:
        """Return the placement whose trial has this key and configuration, or None if it is none of these."""
        known = self._by_options
        placement = []
        for site, options in config.get("compressors", {}).items():
            stride = known.get(site, {}).get(canonical_json(options))
            if stride is None:
                return None
            placement.append((site, stride))
        found = self.placement(self.chosen(tuple(placement)))
        try:
            return found if self.trial(found).key == key else None
        except FieldError:  # of another network, of the same sites: in this one they cannot be combined
            return None

    @cached_property
    def _by_options(self) -> dict[str, dict[str, int]]:
        """Return the stride of each compressor at each site by the canonical form of its options."""
        found: dict[str, dict[str, int]] = {site: {} for site in self.strides}
        for site, strides in self.strides.items():
            for stride in strides:
                options = self.trial(((site, stride),)).config["compressors"][site]
                found[site][canonical_json(options)] = stride
        return found


def words(placement: Placement) -> str:
    """Return a placement for people: "conv3 s=2, conv4 s=4", or "none"."""
    return ", ".join(f"{site} s={stride}" for site, stride in placement) or "none"
