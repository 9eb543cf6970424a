"""Weights that others published, into the denoising networks: by the order of layers, not by their names.

A file is read as a list of convolutions in order (`harness.models.denoising.weight_files`), each with the batch
normalisation behind it, if any. Every name and number of layers that people gave to the same network fits so. A
normalisation that the network does not have is merged into the convolution before it, exactly; a bias that the network
does not have is taken from the mean of the normalisation behind it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from harness.base.errors import HarnessError
from harness.models.denoising.weight_files import FileLayer, Norm, read_file
from harness.trial.denoisers import FfdNetOptions


def load_published(model: nn.Module, digest: str | None, files: Mapping[str, str] | None) -> frozenset[str]:
    """Load the file with a digest into a network, and return the paths of the modules whose parameters it gives.

    Args:
        model: a network of this folder. On the meta device it is left as it is if there is no file.
        digest: SHA-256 of the file's contents; None for no file.
        files: where files lie, by their digest; None if shapes alone are wanted.

    Raises:
        HarnessError: the file is not at hand, has changed, or does not fit the network.
    """
    if digest is None or files is None or next(model.parameters()).is_meta:
        return frozenset()
    if digest not in files:
        raise HarnessError(f"the weights ({digest[:12]}…) are not at hand")
    file = files[digest]
    if hashlib.sha256(Path(file).read_bytes()).hexdigest() != digest:
        raise HarnessError(f"'{file}' has changed since this was planned; run the study again")
    own = read_file(file, frozenset(model.state_dict()))
    if isinstance(own, dict):
        _load_own(model, own, file)
    else:
        _load_layers(model, _of_ffdnet(own, model, file), file)
    return frozenset(path for path, module in model.named_modules() if list(module.parameters(recurse=False)))


def _load_own(model: nn.Module, state: Mapping[str, Tensor], file: str) -> None:
    """Load a state dict with the network's own names."""
    own = model.state_dict()
    if wrong := sorted(name for name in own if name not in state or state[name].shape != own[name].shape):
        raise HarnessError(f"'{file}' does not fit the network: '{wrong[0]}' and {len(wrong) - 1} other(s)")
    model.load_state_dict(dict(state))


def _load_layers(model: nn.Module, layers: Sequence[FileLayer], file: str) -> None:
    convolutions = [each for each in model.modules() if isinstance(each, nn.Conv2d | nn.ConvTranspose2d)]
    norms = [None, *[each for each in model.modules() if isinstance(each, nn.BatchNorm2d)], None]
    if len(norms) == 2:  # the network has none
        norms = [None] * len(convolutions)
    if len(layers) != len(convolutions):
        raise HarnessError(
            f"'{file}' does not fit the network: it has {len(layers)} convolutions, not {len(convolutions)}; "
            "see the option 'depth'"
        )
    with torch.no_grad():
        for number, (layer, conv, norm) in enumerate(zip(layers, convolutions, norms, strict=True), 1):
            where = f"'{file}' does not fit the network: convolution {number}"
            if layer.weight.shape != conv.weight.shape:
                has, wanted = ("×".join(map(str, shape)) for shape in (layer.weight.shape, conv.weight.shape))
                raise HarnessError(f"{where} has {has} weights, not {wanted}; see the options 'channels' and 'width'")
            if norm is None:
                _put(conv, layer.merged())
            elif layer.norm is None:
                raise HarnessError(f"{where} has no batch normalisation behind it; write 'norm: none'")
            else:
                _put(conv, layer)
                _put_norm(norm, layer.norm, shift_of_mean=layer.bias)


def _put(conv: nn.Conv2d | nn.ConvTranspose2d, layer: FileLayer) -> None:
    conv.weight.copy_(layer.weight)
    if conv.bias is not None:
        conv.bias.copy_(torch.zeros_like(conv.bias) if layer.bias is None else layer.bias)


def _put_norm(norm: nn.BatchNorm2d, given: Norm, shift_of_mean: Tensor | None) -> None:
    """Set a normalisation; a bias of the convolution before it, which has none here, leaves the mean."""
    mean = given.mean if shift_of_mean is None else given.mean - shift_of_mean
    norm.weight.copy_(given.scale)
    norm.bias.copy_(given.shift)
    assert norm.running_mean is not None  # noqa: S101 - it keeps averages
    assert norm.running_var is not None  # noqa: S101
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(given.variance if given.epsilon == norm.eps else given.variance + given.epsilon - norm.eps)


def _of_ffdnet(layers: Sequence[FileLayer], model: nn.Module, file: str) -> Sequence[FileLayer]:
    """Return the layers of a file of FFDNet's with the noise level as the first one's last channel.

    The widespread PyTorch port has the level first, once per colour, and makes the noise.
    """
    options = getattr(model, "options", None)
    if not isinstance(options, FfdNetOptions) or not layers or not layers[0].is_ffdnet_port:
        return layers
    if not options.makes_noise:
        raise HarnessError(f"the network of '{file}' makes the noise, not the clean image; write 'residual: true'")
    weight, channels = layers[0].weight, options.channels
    if weight.shape[1] != 5 * channels:
        return layers  # whose first has wrong shapes
    level = weight[:, :channels].sum(1, keepdim=True)  # (maps, 1, 3, 3): the same level for each colour
    return [replace(layers[0], weight=torch.cat((weight[:, channels:], level), 1)), *layers[1:]]
