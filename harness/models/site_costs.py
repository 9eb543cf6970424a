"""What a network costs, and what feature pooling saves at each of its sites, from one trace on the meta device."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from torch import nn

from harness.layers.insert.attempt import Insertion, attempts
from harness.layers.insert.errors import RefusalError
from harness.layers.insert.install import install
from harness.layers.insert.layers import NORMS
from harness.layers.insert.network import Network
from harness.layers.insert.rewire import check_fits, rewire
from harness.layers.insert.saving import Saving, macs_of_layers, saving
from harness.layers.insert.sites import Survey
from harness.layers.spatial import ChannelPool
from harness.models.foreign import make_network, on_meta


@dataclass(frozen=True)
class SiteCost:
    """What feature pooling saves behind a module, and which layers then read fewer channels, in order."""

    path: str
    channels: int
    saved: Saving
    readers: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it with the names of `--format json`."""
        return {
            "path": self.path,
            "channels": self.channels,
            "parameters_saved": self.saved.parameters,
            "macs_saved": self.saved.macs,
        }


@dataclass(frozen=True)
class Place:
    """Sites between the same layers: the last of them, and the others, from there back."""

    site: SiteCost
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class SiteCosts:
    """A network's sites with what feature pooling of one stride saves there, and where it cannot go, and why."""

    survey: Survey
    stride: int
    sites: tuple[SiteCost, ...]
    refused: dict[str, str]

    def insertion(self, site: SiteCost) -> Insertion:
        """Return what feature pooling at a site takes."""
        layer = ChannelPool(self.stride).layer(site.channels)
        return Insertion.plain(site.path, self.survey.sites[site.path], layer, self.stride)

    def pooled_at(self, site: SiteCost, network: nn.Module) -> nn.Module:
        """Return a copy of the network itself, of which this is the survey, with feature pooling at a site."""
        insertion = self.insertion(site)
        changed = deepcopy(network)
        rewire(changed, insertion.plan.changes, insertion.reduction, "slice")
        install(changed, insertion.plan.at, insertion.layer)
        return changed

    def places(self) -> list[Place]:
        """Return the sites, those between the same convolutions and linear layers as one, in the order of a pass.

        A convolution, its normalisation and its activation are such sites, and the block that ends with them: the same
        layers read their channels. Behind the last of them a compressor has the least to do.
        """
        order = {path: steps[-1].index for path, steps in self.survey.network.traces[0].exits.items()}
        between: dict[frozenset[str], list[SiteCost]] = {}
        for site in self.sites:
            between.setdefault(self._weighted(site), []).append(site)
        found = []
        for group in between.values():
            last, *others = sorted(group, key=lambda site: order.get(site.path, -1), reverse=True)
            found.append(Place(last, tuple(site.path for site in others)))
        return sorted(found, key=lambda place: order.get(place.site.path, -1))

    def _weighted(self, site: SiteCost) -> frozenset[str]:
        """Return the layers that change with a site but normalisation and activations."""
        modules = self.survey.network.modules
        changes = self.survey.sites[site.path].changes
        return frozenset(path for path in changes if not isinstance(modules[path], (*NORMS, nn.PReLU)))

    def wrong(self) -> Iterator[str]:
        """Try feature pooling at every site and count the changed network; yield a line for each that is not right.

        As many sites at a time as have nothing to do with each other: the changed network must do the same steps and
        return the same shapes, in training and in evaluation, and cost what it did less what the sites save.
        """
        saved = {site.path: site.saved for site in self.sites}
        plain = _costs(self.survey.network)
        for tried, outcome in attempts(self.survey.network, map(self.insertion, self.sites), self.survey.input_shape):
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
        readers = tuple(layer for layer, change in plan.changes.items() if change.reads is not None)
        sites.append(SiteCost(path, plan.channels, saving(survey.network, plan, groups), readers))
    return SiteCosts(survey, stride, tuple(sites), refused)


def _costs(network: Network) -> Saving:
    trainable = sum(p.numel() for p in network.meta.parameters() if p.requires_grad)
    return Saving(trainable, macs_of_layers(network))
