"""Files of weights for a network: a state dict of your own, as `torch.save` writes it, or one of torchvision's."""

import hashlib
import logging
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, hub, nn

from harness.base.checks import FieldError
from harness.base.errors import HarnessError, did_you_mean
from harness.torchvision_compat import import_torchvision

_log = logging.getLogger(__name__)
_DENSE = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.(?:weight|bias|running_mean|running_var))$")
"""Names in torchvision's files of DenseNets, from before modules could have no dot in theirs."""
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
    state = _state(file)
    own = network.state_dict()
    for name in [name for name in state if name not in own and _DENSE.match(name)]:
        state[_DENSE.sub(r"\1\2", name)] = state.pop(name)
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
    return parameter_paths(network) - ({last} if other else set())


def _state(file: str, *, mmap: bool = False) -> dict[str, Tensor]:
    try:
        state = torch.load(file, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as error:
        if mmap:  # which the files of an older torch do not allow
            return _state(file)
        raise HarnessError(f"'{file}' is not a state dict: {type(error).__name__}") from error
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise HarnessError(f"'{file}' is not a state dict: save model.state_dict()")
    return state


def parameter_paths(network: nn.Module) -> frozenset[str]:
    """Return the modules that have parameters of their own."""
    return frozenset(name.rpartition(".")[0] for name, _ in network.named_parameters())


def classes_of(file: str) -> int:
    """Return for how many classes a file's weights are: the first dimension of its last tensor.

    Raises HarnessError for a file that is not a state dict.
    """
    last = list(_state(file, mmap=True).values())[-1]
    return last.shape[0] if last.ndim else 0


def published_weights(name: str, word: str) -> str:
    """Return where torchvision's weights of a network lie, which are fetched if they are not there yet.

    Raises FieldError if it has none of that word, or they cannot be fetched.
    """
    url = _published(name, word).url
    file = Path(hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        _log.warning("fetching %s to %s", url, file)
        try:
            digest = file.stem.rpartition("-")[2]
            hub.download_url_to_file(url, str(file), hash_prefix=digest, progress=False)
        except (OSError, RuntimeError) as error:
            why = " ".join(str(error).split())
            todo = f"fetch it by another way and write 'weights: {file.name}'"
            raise FieldError(("weights",), f"{url} cannot be fetched ({why}): {todo}") from error
    return str(file)


def published_scales(name: str, word: str) -> dict[str, list[float]]:
    """Return what torchvision takes away from a colour, on 0…1, and divides it by, for its weights of a network.

    Raises FieldError as `published_weights` does.
    """
    transforms = _published(name, word).transforms()
    return {"mean": list(transforms.mean), "deviation": list(transforms.std)}


def _published(name: str, word: str) -> Any:
    """Return what torchvision knows of its weights of a network."""
    import_torchvision()
    weights = import_module("torchvision.models").get_model_weights(name)
    known = dict(weights.__members__)  # DEFAULT is another name of one of them
    if word not in known:
        raise FieldError(("weights",), f"torchvision has no weights '{word}' of '{name}'{did_you_mean(word, known)}")
    if known[word].meta.get("categories") is None:
        raise FieldError(("weights",), f"torchvision's weights '{word}' of '{name}' have no classifier")
    return known[word]
