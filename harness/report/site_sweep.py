"""The document of `harness model sweep`: where feature pooling can go in torchvision's networks, what it saves."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_KINDS = (
    ("its channels meet others in a sum, as an identity shortcut", r" combines its channels with as many"),
    ("its channels are multiplied by as many others (squeeze and excitation)", r" multiplies its channels by as many"),
    ("a grouped convolution reads it", r" is a grouped convolution "),
    (
        "its channels lie or go along another dimension (transformers)",
        r" moves its channels|along another dimension|'layer_norm' | pads its channels",
    ),
    ("its channels are split, shuffled or cut into windows", r" takes its channels apart| its channels another shape"),
    ("it does not return maps", r"^it does not return maps"),
    ("it is called several times in a pass", r"^it is called \d+ times"),
    ("it is not called", r"^it is not called"),
    ("its channels are the output of the network", r"^its channels reach the output"),
    ("the stride does not divide its channels", r" does not divide its \d+ channels"),
    ("the network does not run on such images", r"^the model does not run"),
)
_OTHER = "something else"
_NO_MAPS = ("it does not return maps", "it is not called")

_HEAD = """\
# Feature pooling in torchvision's networks

Made by `{command}` with torchvision {torchvision} and torch {torch}; do not edit.

Feature pooling with stride {stride} behind every module of torchvision's {models} classification networks, for images
of {shape} and 1,000 classes. In each network every module is either a site, where a compressor can go
([how that is found](insert.md)), or refused for a reason. No weights are made: each site was tried on torch's meta
device, in training and in evaluation, as many sites at a time as have nothing to do with each other. The changed
network did the same steps, returned the same shapes, and cost what it did less what is said here.

**{sites} sites in {with_sites} of {models} networks, {wrong}; {refused} other modules refused, each in one line.**

What is said of a network is of one site at a time, and says nothing about its accuracy: `harness model sites
torchvision:NAME --each --all` prints all sites with what each saves, `--refused` the reasons, and `harness model sweep
--format json` everything. Several sites often stand for one place: a convolution, its normalisation, its activation and
the block that ends with it. MACs are multiply-accumulates for one image. The last two columns name the site that saves
most, and how much of the whole network that is.

| network | parameters | MACs | sites | refused | mostly because | most parameters | most MACs |
|---|--:|--:|--:|--:|---|---|---|
"""

_REASONS = """\

## Why the others are refused

{no_maps} of the refused modules return no maps, or are not called. What keeps a compressor from these, and from
the other {maps}:

| because | modules | networks | for example |
|---|--:|--:|---|
"""


def document(found: Mapping[str, Any]) -> str:
    """Return the Markdown of what `harness model sweep --format json` prints."""
    models = found["models"]
    wrong = sum(len(model["wrong"]) for model in models)
    reasons = list(_reasons(models))
    no_maps = sum(1 for kind, *_ in reasons if kind in _NO_MAPS)
    head = _HEAD.format(
        **found["versions"],
        command=found["command"],
        stride=found["stride"],
        shape="×".join(map(str, found["input_shape"])),
        models=len(models),
        sites=f"{sum(len(model['sites']) for model in models):,}",
        with_sites=sum(1 for model in models if model["sites"]),
        wrong=f"{wrong} OF WHICH DO NOT WORK" if wrong else "all of which work",
        refused=f"{len(reasons):,}",
    )
    rows = "".join(f"| {' | '.join(_row(model))} |\n" for model in models)
    why = _REASONS.format(maps=f"{len(reasons) - no_maps:,}", no_maps=f"{no_maps:,}")
    return head + rows + why + "".join(f"| {' | '.join(row)} |\n" for row in _kinds(reasons))


def summary(models: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """Return headers and rows of a short table, a line per network."""
    headers = ["model", "parameters", "MACs", "sites", "refused", "wrong"]
    counted = ("sites", "refused", "wrong")
    return headers, [[m["model"], m["parameters"], m["macs"], *(len(m[name]) for name in counted)] for m in models]


def kind_of(reason: str) -> str:
    """Return in general words why a module is refused."""
    return next((words for words, pattern in _KINDS if re.search(pattern, reason)), _OTHER)


def _row(model: Mapping[str, Any]) -> list[str]:
    kinds = [kind_of(refused["reason"]) for refused in model["refused"]]
    mostly = max(dict.fromkeys(kinds), key=kinds.count, default="–")
    return [
        f"`{model['model']}`",
        f"{model['parameters'] / 1e6:,.2f} M",
        "–" if model["macs"] is None else f"{model['macs'] / 1e9:,.2f} G",
        f"{len(model['sites']):,}",
        f"{len(model['refused']):,}",
        mostly,
        *(_most(model, what) for what in ("parameters", "macs")),
    ]


def _most(model: Mapping[str, Any], what: str) -> str:
    """Return how much of a count the site saves that saves most; of equal ones that with the shortest path."""
    if not model["sites"]:
        return "–"
    site = min(model["sites"], key=lambda site: (-site[f"{what}_saved"], len(site["path"])))
    return f"{site[f'{what}_saved'] / model[what]:.1%} at `{site['path']}`"


def _reasons(models: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, str, str]]:
    """Yield kind, network, path and reason of all that is refused."""
    for model in models:
        for refused in model["refused"]:
            yield kind_of(refused["reason"]), model["model"], refused["path"], refused["reason"]


def _kinds(reasons: Sequence[tuple[str, str, str, str]]) -> Iterator[list[str]]:
    """Yield a row per kind of reason, the most frequent first, with the first one as an example."""
    kinds = [kind for kind, *_ in reasons]
    for kind in sorted(dict.fromkeys(kinds), key=lambda kind: -kinds.count(kind)):
        here = [item for item in reasons if item[0] == kind]
        _, network, path, reason = here[0]
        networks = len({item[1] for item in here})
        yield [kind, f"{len(here):,}", str(networks), f"`{network}`, `{path}`: {reason}"]
