"""Files of weights for a network: a state dict of your own, as `torch.save` writes it, or one of torchvision's."""

import hashlib
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor, hub, nn

from harness.base.checks import FieldError
from harness.base.errors import HarnessError, did_you_mean
from harness.torchvision_compat import import_torchvision

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


def published_weights(name: str, word: str) -> str:
    """Return where torchvision's weights of a network lie, which are fetched if they are not there yet.

    Raises FieldError if it has none of that word, or they cannot be fetched.
    """
    import_torchvision()
    weights = import_module("torchvision.models").get_model_weights(name)
    known = {word: one.url for word, one in weights.__members__.items()}  # DEFAULT is another name of one of them
    if word not in known:
        raise FieldError(("weights",), f"torchvision has no weights '{word}' of '{name}'{did_you_mean(word, known)}")
    file = Path(hub.get_dir(), "checkpoints", known[word].rpartition("/")[2])
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            digest = file.stem.rpartition("-")[2]
            hub.download_url_to_file(known[word], str(file), hash_prefix=digest, progress=False)
        except (OSError, RuntimeError) as error:
            why = " ".join(str(error).split())
            todo = f"fetch it by another way and write 'weights: {file.name}'"
            raise FieldError(("weights",), f"{known[word]} cannot be fetched ({why}): {todo}") from error
    return str(file)
