"""What all denoising networks share: the scale of pixels, sizes that a network can halve, a last layer at zero."""

from torch import Tensor, nn
from torch.nn import functional as F

MAXIMUM = 255.0
"""The largest value of a clean pixel."""


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Return images (N, C, H, W) with height and width raised to a multiple, by repeating the last row and column.

    Crop the result of a network with `[..., :H, :W]`. Repetition works for images of any size; reflection would not
    for those that are smaller than what is added.
    """
    height, width = images.shape[-2:]
    below, right = -height % multiple, -width % multiple
    return F.pad(images, (0, right, 0, below), mode="replicate") if below or right else images


def start_at_zero(model: nn.Module, *paths: str) -> frozenset[str]:
    """Set all parameters of some modules to zero, and return their paths for the attribute `keeps` of the model.

    A protocol's initialisation leaves the modules that `keeps` names as they are.
    """
    for path in paths:
        for parameter in model.get_submodule(path).parameters():
            nn.init.zeros_(parameter)
    return frozenset(paths)
