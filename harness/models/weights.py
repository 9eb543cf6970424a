"""A person's own file of weights (a state dict, as `torch.save(model.state_dict(), FILE)` writes it) into a network."""

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn

from harness.base.errors import HarnessError

_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")


def load_weights(network: nn.Module, file: str, digest: str) -> frozenset[str]:
    """Load a file into a network and return the paths of the modules whose parameters come from it.

    The classifier of another number of classes is left as it is. The file's versions of modules count, as for torch
    itself, and a file of an older torch may lack the counts of batches that normalisation has seen.

    Raises:
        HarnessError: another file than was planned with, or one that does not fit the network.
    """
    if hashlib.sha256(Path(file).read_bytes()).hexdigest() != digest:
        raise HarnessError(f"'{file}' has changed since this was planned; run the study again")
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise HarnessError(f"'{file}' is no state dict: {type(error).__name__}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise HarnessError(f"'{file}' is no state dict: save model.state_dict()")
    own = network.state_dict()
    for name in [name for name in state if name not in own and name.startswith(_AUXILIARY)]:
        del state[name]  # in place: `_metadata`, the versions, stays with it
    layers = [path for path, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    last = layers[-1] if layers else None
    needed = {name for name in own if name in state or not name.endswith("num_batches_tracked")}
    other = {n for n in {*needed, *state} if n not in own or n not in state or own[n].shape != state[n].shape}
    if wrong := sorted(name for name in other if name.rpartition(".")[0] != last):
        raise HarnessError(f"'{file}' does not fit the network: '{wrong[0]}' and {len(wrong) - 1} other(s)")
    for name in other & state.keys():
        del state[name]
    network.load_state_dict(state, strict=False)
    paths = {name.rpartition(".")[0] for name, _ in network.named_parameters()}
    return frozenset(paths - ({last} if other else set()))
