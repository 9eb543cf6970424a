"""What a network costs, counted from declared layers: without torch, and without building the network.

It gives what `harness.cost.count` measures on the built network (a test holds the two equal), for the networks whose
declarations list their layers. Tables so have the counts of a row whether or not a run of it is stored.
"""

from collections.abc import Mapping
from typing import Any

from harness.trial.classical import UNTRAINED
from harness.trial.compressors import COMPRESSORS
from harness.trial.models import MODELS, AtSite


def counts_of(config: Mapping[str, Any]) -> dict[str, float] | None:
    """Return parameters, variables, weights, macs and paper_flops of a resolved configuration's network.

    Of a method that has nothing to train parameters and variables only. None for a network that only torch can count: a
    plug-in's, one with a plug-in's compressor, one whose layers are not declared, or a function.
    """
    model, compressors = dict(config.get("model", {})), config.get("compressors", {})
    declaration = MODELS.get(str(model.pop("kind", "")))
    ours = all(options["kind"] in COMPRESSORS for options in compressors.values())
    if declaration in UNTRAINED:
        return {"parameters": 0.0, "variables": 0.0}
    if declaration is None or declaration.layers is None or not ours:
        return None

    def at(site: str, channels: int, places: int) -> AtSite:
        options = compressors.get(site)
        if options is None:
            return AtSite(channels, channels)
        return COMPRESSORS[options["kind"]].at(options["stride"], channels, places)

    layers = list(declaration.layers(declaration.options(**model), at))
    weights = [layer.inputs * layer.outputs * layer.area for layer in layers]
    biases = sum(layer.outputs for layer in layers if layer.bias)
    normalised = sum(layer.outputs for layer in layers if layer.norm)
    parameters = sum(weights) + biases + 2 * normalised
    return {
        "parameters": float(parameters),
        "variables": float(parameters + 2 * normalised),
        "weights": float(sum(weights)),
        "macs": float(sum(count * layer.places for count, layer in zip(weights, layers, strict=True))),
        "paper_flops": float(2 * sum(weights) + 6 * normalised),
    }
