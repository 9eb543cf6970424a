"""What published denoisers share: options, weights from a file, and in three of them a plain chain of convolutions.

    conv, ReLU → (conv, normalisation if there is one, ReLU) × (depth − 2) → conv

All convolutions are 3×3 with zero padding. Each has a bias, unless batch normalisation follows it.
"""

from collections.abc import Mapping
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from harness.layers.compressor import Compressor
from harness.models.denoising.published import load_published
from harness.models.denoising.scale import start_at_zero
from harness.models.sites import check_sites
from harness.trial.denoisers import PublishedOptions
from harness.trial.models import ModelDeclaration


class PublishedDenoiser(nn.Module):
    """A network without sites that can start from published weights.

    Raises HarnessError for a compressor, for which there is no site.
    """

    declaration: ModelDeclaration
    keeps: frozenset[str] = frozenset()
    """The modules that a protocol's initialisation leaves as they are."""

    def __init__(self, compressors: Mapping[str, Compressor], options: PublishedOptions) -> None:
        super().__init__()
        check_sites(self.declaration, options, compressors)
        self.options = options
        self.declaration = self.declaration.with_options(options)

    def read_weights(self, files: Mapping[str, str] | None) -> None:
        """Load the file of weights that the options name, if any (`harness.models.denoising.published`)."""
        self.keeps |= load_published(self, self.options.weights, files)


class Chain(PublishedDenoiser):
    """A chain of `depth` convolutions from `inputs` to `outputs` channels, of `width` maps in between.

    `normalised`: with batch normalisation behind all convolutions but the first and the last.
    """

    def __init__(
        self,
        compressors: Mapping[str, Compressor],
        options: PublishedOptions,
        *,
        inputs: int,
        outputs: int,
        depth: int,
        width: int,
        normalised: bool = False,
    ) -> None:
        super().__init__(compressors, options)
        between = depth - 2
        sizes = [inputs, *[width] * (between + 1), outputs]
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, kernel_size=3, padding=1, bias=not normalised or number in (0, between + 1))
            for number, (a, b) in enumerate(pairwise(sizes))
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(between if normalised else 0))
        if options.zero_last:
            self.keeps = start_at_zero(self, f"convs.{between + 1}")

    def chained(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) → (N, outputs, H, W); bf16 under autocast."""
        first, *middle, last = self.convs
        x = F.relu(first(x), inplace=True)  # (N, width, H, W)
        for number, conv in enumerate(middle):
            x = conv(x)
            if self.norms:
                x = self.norms[number](x)
            x = F.relu(x, inplace=True)
        made: Tensor = last(x)
        return made
