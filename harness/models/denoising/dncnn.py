"""DnCNN: Zhang, Zuo, Chen, Meng and Zhang, "Beyond a Gaussian Denoiser", IEEE Trans. Image Processing 26(7), 2017.

    conv, ReLU → (conv, BN, ReLU) × (depth − 2) → conv;  estimate = noisy − 255·φ(noisy / 255)

Every convolution is 3×3 with zero padding. 64 maps; 17 layers for grey images of a known noise level, 20 for colour.
The first and the last convolution have a bias; those in between have batch normalisation in its place. With `norm:
none`, the form in which weights are published, batch normalisation is merged into convolutions with a bias.
"""

from collections.abc import Mapping

from torch import Tensor

from harness.layers.compressor import Compressor
from harness.models.denoising.chain import Chain
from harness.models.denoising.scale import MAXIMUM
from harness.trial.denoisers import DNCNN, DnCnnOptions
from harness.trial.models import ModelDeclaration


class DnCnn(Chain):
    """Noisy images (N, C, H, W), float on the scale 0 to 255 → estimates of the same shape, not clipped.

    Args:
        compressors: none: it has no sites.
        options: channels, depth, maps (`width`), normalisation, and whether the last convolution starts at zero.

    Raises:
        HarnessError: a compressor, for which there is no site.
    """

    declaration: ModelDeclaration = DNCNN

    def __init__(self, compressors: Mapping[str, Compressor], options: DnCnnOptions | None = None) -> None:
        options = options or DnCnnOptions()
        super().__init__(
            compressors,
            options,
            inputs=options.channels,
            outputs=options.channels,
            depth=options.depth,
            width=options.width,
            normalised=options.norm == "batch",
        )

    def forward(self, noisy: Tensor, sigma: Tensor | None = None) -> Tensor:  # noqa: ARG002 - it is blind to the level
        """Return the estimate; `sigma` (N,) is what other denoisers read."""
        return noisy - MAXIMUM * self.chained(noisy / MAXIMUM).to(noisy.dtype)
