"""The network for MNIST: section 4.1 (A) of the paper, Fig. 3, Table 1.

    28×28×1 → conv1 3×3×16 → ReLU → conv2 3×3×32 → ReLU → [site conv2] → fc1 512 → ReLU → fc2 10

Convolutions keep height and width and, like the fully connected layers, have biases; there is no spatial
pooling. Both are fixed by the parameter counts of Table 1. Parameters start as torch has them; a protocol
sets them again.
"""

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from harness.layers.compressor import Compressor
from harness.models.sites import SiteLayers, check_sites
from harness.trial.models import MNIST_CNN, ModelDeclaration, ModelOptions


class Activations(NamedTuple):
    """What a forward pass shows to those who observe it."""

    maps: Tensor  # (N, C, 28, 28): what fc1 reads, before flattening (Fig. 5)
    hidden: Tensor  # (N, 512): the last hidden layer, after its ReLU
    logits: Tensor  # (N, 10)


class MnistCnn(nn.Module):
    """(N, 1, 28, 28) → logits (N, 10), with at most one compressor, at the site `conv2` (32 channels).

    Other parameters keep their names whatever is at the site; those of a compressor begin with
    `compressors.conv2`.

    Args:
        compressors: by site; empty for the baseline.
        options: there are none.

    Raises:
        HarnessError: an unknown site, or a stride that does not divide 32.
    """

    declaration: ClassVar[ModelDeclaration] = MNIST_CNN

    def __init__(self, compressors: Mapping[str, Compressor], options: ModelOptions | None = None) -> None:
        super().__init__()
        self.options = options or ModelOptions()
        check_sites(self.declaration, self.options, compressors)
        site = SiteLayers.of(compressors.get("conv2"), self.declaration.sites["conv2"].channels, after=("relu",))
        self.compressors = nn.ModuleDict()
        if site.layer is not None:
            self.compressors["conv2"] = site.layer
        self._before_relu = site.before_relu is not None
        channels, height, width = self.declaration.input_shape
        self.conv1 = nn.Conv2d(channels, 16, kernel_size=3, padding="same")
        self.conv2 = nn.Conv2d(16, site.made, kernel_size=3, padding="same")
        self.fc1 = nn.Linear(site.read * height * width, 512)
        self.fc2 = nn.Linear(512, self.declaration.classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x).logits

    def features(self, x: Tensor) -> Activations:
        """Return maps, last hidden layer and logits of images (N, 1, 28, 28), from one pass."""
        maps = self.conv1(x).relu()  # (N, 16, 28, 28)
        maps = self.conv2(maps)  # (N, 32, 28, 28)
        if not self.compressors:
            maps = maps.relu()
        elif self._before_relu:
            maps = self.compressors["conv2"](maps).relu()  # (N, 32/s, 28, 28)
        else:
            maps = self.compressors["conv2"](maps.relu())  # (N, 32/s, 28, 28)
        hidden = self.fc1(maps.flatten(1)).relu()  # (N, 512)
        return Activations(maps, hidden, self.fc2(hidden))
