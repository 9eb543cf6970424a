"""A network that is uniformly narrower and costs what another one costs: the control `narrow`.

Feature pooling saves parameters (and MACs) at its sites. Whether it saves them well is asked of a network that has just
as many of them, because all its layers are a little narrower.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.base.errors import HarnessError
from harness.cost.count import count_config
from harness.trial.counts import counts_of
from harness.trial.models import MODELS, WidthOptions

By = Literal["parameters", "macs"]
_STEP = 1e-4  # of the width
_WIDEST = 4  # that a model takes


@dataclass(frozen=True)
class Narrowed:
    """A width, to four places, what the network of it costs, and what was asked for."""

    width: float
    cost: int
    target: int


def narrow(config: Mapping[str, Any], by: By, plugin_paths: Sequence[str | Path] = ()) -> Narrowed:
    """Return the width at which a trial's network without its compressors costs most nearly what it costs with them.

    Args:
        config: a trial's configuration; its "model" and "compressors" are read.
        by: what is to be equal.
        plugin_paths: folders in which modules of plug-ins may lie.

    Raises:
        HarnessError: the model has no option `width`, or none that it takes is wide enough.
    """
    model = dict(config["model"])
    declaration = MODELS.get(model["kind"])
    if declaration is None or not issubclass(declaration.options, WidthOptions):
        raise HarnessError(f"the model '{model['kind']}' has no option 'width' to narrow it by")
    target = int(count_config(config, plugin_paths)[by])  # built, and so checked

    def cost(steps: int) -> int:
        narrowed = {"model": {**model, "width": steps * _STEP}, "compressors": {}}
        return int((counts_of(narrowed) or count_config(narrowed))[by])

    low, high = 0, round(model.get("width", 1.0) / _STEP)
    while cost(high) < target:  # a compressor may cost more than it saves
        low, high = high, 2 * high
        if high * _STEP > _WIDEST:
            raise HarnessError(f"no width up to {_WIDEST} of '{model['kind']}' costs as much: {target} {by}")
    # cost(low) < target ≤ cost(high), and the cost rises with the width
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if cost(middle) >= target else (middle, high)
    near = min((steps for steps in (low, high) if steps), key=lambda steps: abs(cost(steps) - target))
    return Narrowed(round(near * _STEP, 4), cost(near), target)
