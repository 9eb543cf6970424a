"""What the channels of a tensor consist of, once some of them come from a site, and which of them stay."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Run(NamedTuple):
    """Neighbouring entries of a dimension: all of the site's channels with `size` entries each, or `size` others."""

    of_site: bool
    size: int


@dataclass(frozen=True)
class Axis:
    """A dimension of a tensor as runs of entries, from a site of `channels` channels or from elsewhere.

    The site's own output has one run of one entry a channel. Flattening H×W maps makes that H·W entries a channel, and
    a concatenation sets runs side by side.
    """

    channels: int
    runs: tuple[Run, ...]

    @classmethod
    def of_site(cls, channels: int) -> "Axis":
        """Return the axis of the site's own output."""
        return cls(channels, (Run(of_site=True, size=1),))

    @property
    def size(self) -> int:
        """Entries of the dimension, before anything is reduced."""
        return sum(run.size * self.channels if run.of_site else run.size for run in self.runs)

    def left(self, groups: int) -> int:
        """Return how many entries there are when of the site's channels `groups` are left."""
        return sum(run.size * groups if run.of_site else run.size for run in self.runs)

    def entries_of_site(self) -> Tensor:
        """Return which entries are the site's: bool (size,), on the CPU."""
        sizes = [run.size * self.channels if run.of_site else run.size for run in self.runs]
        return torch.cat([torch.full((n,), run.of_site, device="cpu") for n, run in zip(sizes, self.runs, strict=True)])

    def among(self, left: Tensor) -> "Axis":
        """Return the axis when of the entries from elsewhere those alone are there for which `left` (size,) is true."""
        runs, offset = [], 0
        for run in self.runs:
            size = run.size * self.channels if run.of_site else run.size
            runs.append(run if run.of_site else Run(of_site=False, size=int(left[offset : offset + size].sum())))
            offset += size
        return Axis(self.channels, tuple(runs))

    def times(self, count: int) -> "Axis":
        """Return the axis on which every entry has become `count` neighbouring ones."""
        return Axis(self.channels, tuple(Run(run.of_site, run.size * count) for run in self.runs))

    @classmethod
    def joined(cls, channels: int, parts: "Iterable[Axis | int]") -> "Axis":
        """Return the axis of a concatenation; a number is so many entries from elsewhere."""
        runs = ((Run(of_site=False, size=part),) if isinstance(part, int) else part.runs for part in parts)
        return cls(channels, tuple(run for part in runs for run in part))


@dataclass(frozen=True)
class Reduction:
    """A site's channels, in groups of neighbours, and the one of each group whose weights stay."""

    channels: int
    kept: tuple[int, ...]  # increasing, one a group

    def kept_entries(self, axis: Axis) -> Tensor:
        """Return the positions on `axis` that stay: int64 (new size,), increasing, on the CPU."""
        kept = torch.tensor(self.kept, dtype=torch.int64, device="cpu")
        parts, offset = [], 0
        for run in axis.runs:
            entries = torch.arange(run.size, device="cpu")
            if run.of_site:
                parts.append((kept[:, None] * run.size + entries).flatten() + offset)
            else:
                parts.append(entries + offset)
            offset += run.size * (self.channels if run.of_site else 1)
        return torch.cat(parts)

    def new_entries(self, axis: Axis) -> Tensor:
        """Return to which new position each one on `axis` belongs: int64 (old size,), on the CPU."""
        groups = len(self.kept)
        group = torch.arange(self.channels, device="cpu") // (self.channels // groups)
        parts, offset = [], 0
        for run in axis.runs:
            entries = torch.arange(run.size, device="cpu")
            if run.of_site:
                parts.append((group[:, None] * run.size + entries).flatten() + offset)
            else:
                parts.append(entries + offset)
            offset += run.size * (groups if run.of_site else 1)
        return torch.cat(parts)
