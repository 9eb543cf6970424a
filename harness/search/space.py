"""The placements among which a search chooses: at each site nothing, or the compressor with one of the strides."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from harness.spec.keys import canonical_json
from harness.spec.resolve import Trial, resolve_trial

Placement = tuple[tuple[str, int], ...]
"""(site, stride) of each compressor, in the order of the sites; empty for the network without compressors."""


@dataclass(frozen=True)
class Space:
    """All placements of one kind of compressor in one network."""

    parts: Mapping[str, Any]  # task, dataset, model, protocol, as resolve_trial takes them
    compressor: Mapping[str, Any]  # its kind and options, without a stride
    strides: Mapping[str, tuple[int, ...]]  # by site: those that divide its channels
    plugin_folders: Sequence[str] = ()
    _trials: dict[Placement, Trial] = field(default_factory=dict, repr=False, compare=False)

    @property
    def choices(self) -> dict[str, list[int | None]]:
        """What may stand at each site: None, for nothing, and the strides."""
        return {site: [None, *strides] for site, strides in self.strides.items()}

    @property
    def size(self) -> int:
        """How many placements there are, that of nothing among them."""
        return math.prod(len(strides) + 1 for strides in self.strides.values())

    def placement(self, chosen: Mapping[str, int | None]) -> Placement:
        """Return the placement of a choice a site."""
        return tuple((site, stride) for site in self.strides if (stride := chosen[site]) is not None)

    def compressors(self, placement: Placement) -> dict[str, dict[str, Any]]:
        """Return a placement as a study writes it: a compressor a site."""
        return {site: {**self.compressor, "stride": stride} for site, stride in placement}

    def trial(self, placement: Placement) -> Trial:
        """Return the trial of a placement. Raises FieldError where it cannot be."""
        if placement not in self._trials:
            self._trials[placement] = resolve_trial(
                **self.parts, compressors=self.compressors(placement), plugin_folders=self.plugin_folders
            )
        return self._trials[placement]

    def find(self, key: str, config: Mapping[str, Any]) -> Placement | None:
        """Return the placement whose trial has this key and configuration, or None where it is none of these."""
        known = self._by_options
        placement = []
        for site, options in config.get("compressors", {}).items():
            stride = known.get(site, {}).get(canonical_json(options))
            if stride is None:
                return None
            placement.append((site, stride))
        chosen: dict[str, int | None] = {**dict.fromkeys(self.strides), **dict(placement)}
        found = self.placement(chosen)
        return found if self.trial(found).key == key else None

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
