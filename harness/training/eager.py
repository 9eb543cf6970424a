"""torch's optimisers without torch's compiler, which each of them imports at its first step and which takes as long to
import as torch itself.
"""

from inspect import unwrap
from typing import Any, TypeVar, cast

import torch

Kind = TypeVar("Kind", bound=torch.optim.Optimizer)

_FOR_THE_COMPILER = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
"""The methods that torch wraps so that its compiler leaves them alone."""


def eager(kind: type[Kind]) -> type[Kind]:
    """Return a subclass of an optimiser that does the same operations, and must not be compiled."""
    own: dict[str, Any] = {name: unwrap(getattr(kind, name)) for name in _FOR_THE_COMPILER}
    step = torch.no_grad()(unwrap(cast("Any", kind.step)))
    return cast("type[Kind]", type(kind.__name__, (kind,), {**own, "step": step}))
