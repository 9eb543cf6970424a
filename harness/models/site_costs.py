"""What a network costs, and what feature pooling saves at each of its sites, from one trace on the meta device."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from harness.layers.insert.attempt import Insertion, attempts
from harness.layers.insert.errors import RefusalError
from harness.layers.insert.network import Network
from harness.layers.insert.rewire import check_fits
from harness.layers.insert.saving import Saving, macs_of_layers, saving
from harness.layers.insert.sites import Survey
from harness.layers.spatial import ChannelPool
from harness.models.foreign import make_network, on_meta


@dataclass(frozen=True)
class SiteCost:
    """What feature pooling saves behind a module."""

    path: str
    channels: int
    saved: Saving

    def as_dict(self) -> dict[str, Any]:
        """Return it with the names of `--format json`."""
        return {
            "path": self.path,
            "channels": self.channels,
            "parameters_saved": self.saved.parameters,
            "macs_saved": self.saved.macs,
        }


@dataclass(frozen=True)
class SiteCosts:
    """A network's sites with what feature pooling of one stride saves there, and where it cannot go, and why."""

    survey: Survey
    stride: int
    sites: tuple[SiteCost, ...]
    refused: dict[str, str]

    def pooled(self) -> Iterator[Insertion]:
        """Yield feature pooling at each of the sites."""
        for site in self.sites:
            yield Insertion.plain(
                site.path, self.survey.sites[site.path], ChannelPool(self.stride).layer(site.channels), self.stride
            )

    def wrong(self) -> Iterator[str]:
        """Try feature pooling at every site and count the changed network; yield a line for each that is not right.

        As many sites at a time as have nothing to do with each other: the changed network must do the same steps and
        return the same shapes, in training and in evaluation, and cost what it did less what the sites save.
        """
        saved = {site.path: site.saved for site in self.sites}
        plain = _costs(self.survey.network)
        for tried, outcome in attempts(self.survey.network, self.pooled(), self.survey.input_shape):
            at = [insertion.path for insertion in tried]
            if isinstance(outcome, str):
                yield f"'{at[0]}' does not work: {outcome}"
                continue
            expected = Saving(*(sum(counts) for counts in zip(*(saved[path] for path in at), strict=True)))
            left = _costs(outcome)
            found = Saving(plain.parameters - left.parameters, plain.macs - left.macs)
            if found != expected:
                yield f"at {', '.join(at)} there is saved {found}, not {expected}"


def foreign_on_meta(model: Mapping[str, object], folders: Sequence[str] = ()) -> nn.Module:
    """Return a plug-in's network on the meta device, in evaluation mode."""
    return on_meta(lambda: make_network(model, folders)).eval()


def site_costs(model: nn.Module, input_shape: Sequence[int], stride: int) -> SiteCosts:
    """Return what feature pooling with `stride` saves at each site of a network, for inputs of `input_shape` (C, H, W).

    Raises:
        HarnessError: the network does not run on the meta device.
    """
    survey = Survey.of(model, input_shape)
    sites, refused = [], dict(survey.refused)
    for path, plan in survey.sites.items():
        groups, rest = divmod(plan.channels, stride)
        try:
            if rest:
                raise RefusalError(f"{stride} does not divide its {plan.channels} channels")
            check_fits(survey.network, plan.changes, groups)
        except RefusalError as refusal:
            refused[path] = str(refusal)
            continue
        sites.append(SiteCost(path, plan.channels, saving(survey.network, plan, groups)))
    return SiteCosts(survey, stride, tuple(sites), refused)


def _costs(network: Network) -> Saving:
    trainable = sum(p.numel() for p in network.meta.parameters() if p.requires_grad)
    return Saving(trainable, macs_of_layers(network))
