"""VGG-16 for CIFAR-10: section 4.1 (B) of the paper, Tables 2 and 3.

    64, 64, MP, [conv1], 128, 128, MP, [conv2], 256×3, MP, [conv3], 512×3, MP, [conv4], 512×3, [conv5] → FC 10 → BN

Every convolution is 3×3, keeps height and width, has no bias, and is followed by batch normalisation and ReLU. The last
max-pool and the first two fully connected layers of VGG-16 are gone; the one that is left has a bias and is normalised
too. All of it is fixed by the parameter counts of Tables 2 and 3. A compressor is behind the max-pool of its block,
`conv5` behind the last ReLU. Not in the paper: `width` scales all channels of all convolutions.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar, NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from harness.layers.compressor import Compressor
from harness.models.sites import SiteLayers, check_sites
from harness.trial.models import VGG16, VGG16_CHANNELS, ModelDeclaration, WidthOptions

DEPTHS = (2, 2, 3, 3, 3)  # convolutions of each block


class Activations(NamedTuple):
    """What a forward pass shows to those who observe it."""

    maps: Tensor  # (N, C, 2, 2): what the fully connected layer reads, before flattening
    hidden: Tensor  # (N, 4·C): the same, flat: there is no hidden layer behind them
    logits: Tensor  # (N, 10)


class Block(nn.Module):
    """Convolutions with batch normalisation and ReLU, a max-pool if there is one, and what is at the site.

    (N, channels, H, W) → (N, site.read, H/2, W/2), or of H, W without the pool.
    """

    def __init__(self, channels: int, width: int, depth: int, site: SiteLayers, *, pool: bool) -> None:
        super().__init__()
        sizes = [channels, *[width] * (depth - 1), site.made]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, kernel_size=3, padding=1, bias=False) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for b in sizes[1:])
        self.pool = pool
        self.compressor = site.layer
        self._before_relu = site.before_relu is not None

    def forward(self, x: Tensor) -> Tensor:
        last = len(self.convs) - 1
        for number, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = norm(conv(x))
            if number == last and self.compressor is not None and self._before_relu:
                x = F.relu(self.compressor(x))
            else:
                x = F.relu(x, inplace=True)  # batch normalisation does not need its output again
        if self.pool:
            x = F.max_pool2d(x, kernel_size=2)
        return x if self.compressor is None or self._before_relu else self.compressor(x)


class Vgg16(nn.Module):
    """(N, 3, 32, 32) → logits (N, 10), with at most one compressor at each of the sites `conv1` … `conv5`.

    Parameters keep their names whatever is at the sites; those of a compressor begin with `convN.compressor`.

    Args:
        compressors: by site; empty for the baseline.
        options: `width`, the factor of all channels of convolutions.

    Raises:
        HarnessError: an unknown site, or a stride that does not divide its channels.
    """

    declaration: ClassVar[ModelDeclaration] = VGG16

    def __init__(self, compressors: Mapping[str, Compressor], options: WidthOptions | None = None) -> None:
        super().__init__()
        self.options = options or WidthOptions()
        check_sites(self.declaration, self.options, compressors)
        channels = self.declaration.input_shape[0]
        for number, (full, depth) in enumerate(zip(VGG16_CHANNELS, DEPTHS, strict=True), 1):
            width = self.options.channels(full)
            pool = number < len(DEPTHS)
            site = SiteLayers.of(
                compressors.get(f"conv{number}"), width, after=("relu", "max_pool") if pool else ("relu",)
            )
            block = Block(channels, width, depth, site, pool=pool)
            self.add_module(f"conv{number}", block)
            channels = site.read
        self.fc = nn.Linear(channels * 2 * 2, self.declaration.classes)
        self.fc_norm = nn.BatchNorm1d(self.declaration.classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x).logits

    def features(self, x: Tensor) -> Activations:
        """Return maps, their flat form and logits of images (N, 3, 32, 32), from one pass."""
        for number in range(1, len(DEPTHS) + 1):
            x = self.get_submodule(f"conv{number}")(x)
        hidden = x.flatten(1)  # (N, 4·C)
        return Activations(x, hidden, self.fc_norm(self.fc(hidden)))
