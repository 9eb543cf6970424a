"""VDSR: Kim, Lee and Lee, "Accurate Image Super-Resolution Using Very Deep Convolutional Networks", CVPR 2016.

    (conv, ReLU) × (depth − 1) → conv;  estimate = noisy + 255·r(noisy / 255)

20 convolutions of 3×3 with zero padding and a bias, 64 maps, no normalisation. It was published for super-resolution of
luminance; here, as in the paper's section 4.2, it is a denoiser. The residual is added, where DnCNN subtracts it.
"""

from collections.abc import Mapping

from torch import Tensor

from harness.layers.compressor import Compressor
from harness.models.denoising.chain import Chain
from harness.models.denoising.scale import MAXIMUM
from harness.trial.denoisers import VDSR, VdsrOptions
from harness.trial.models import ModelDeclaration


class Vdsr(Chain):
    """Noisy images (N, C, H, W), float on the scale 0 to 255 → estimates of the same shape, not clipped.

    Args:
        compressors: none: it has no sites.
        options: channels, depth, maps (`width`), and whether the last convolution starts at zero.

    Raises:
        HarnessError: a compressor, for which there is no site.
    """

    declaration: ModelDeclaration = VDSR

    def __init__(self, compressors: Mapping[str, Compressor], options: VdsrOptions | None = None) -> None:
        options = options or VdsrOptions()
        super().__init__(
            compressors,
            options,
            inputs=options.channels,
            outputs=options.channels,
            depth=options.depth,
            width=options.width,
        )

    def forward(self, noisy: Tensor, sigma: Tensor | None = None) -> Tensor:  # noqa: ARG002 - it is blind to the level
        """Return the estimate; `sigma` (N,) is what other denoisers read."""
        return noisy + MAXIMUM * self.chained(noisy / MAXIMUM).to(noisy.dtype)
