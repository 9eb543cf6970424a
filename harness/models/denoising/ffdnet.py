"""FFDNet: Zhang, Zuo and Zhang, "FFDNet: Toward a Fast and Flexible Solution for CNN-Based Image Denoising", IEEE
Trans. Image Processing 27(9), 2018.

    every 2×2 pixels → 4 channels, and the noise level as one more → conv, ReLU → (conv, BN, ReLU) × (depth − 2) → conv
    → 4 channels → 2×2 pixels: the clean image

Every convolution is 3×3 with zero padding, at half the height and width; 12 of 96 maps for colour, 15 of 64 for grey.
Images of odd height or width are extended by their last row or column. Biases and `norm: none` are as in DnCNN. Not as
published: with `residual` or `zero_last` it makes the noise. Without a noise level (`sigma`), the level counts as 0.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.layers.compressor import Compressor
from harness.models.denoising.chain import Chain
from harness.models.denoising.scale import MAXIMUM, pad_to_multiple
from harness.trial.denoisers import FFDNET, FfdNetOptions
from harness.trial.models import ModelDeclaration


class FfdNet(Chain):
    """Noisy images (N, C, H, W), float on the scale 0 to 255, and the noise level → estimates, not clipped.

    Args:
        compressors: none: it has no sites.
        options: channels, depth, maps (`width`), normalisation, whether it makes the noise, and whether the last
            convolution starts at zero.

    Raises:
        HarnessError: a compressor, for which there is no site.
    """

    declaration: ModelDeclaration = FFDNET

    def __init__(self, compressors: Mapping[str, Compressor], options: FfdNetOptions | None = None) -> None:
        options = options or FfdNetOptions()
        super().__init__(
            compressors,
            options,
            inputs=4 * options.channels + 1,
            outputs=4 * options.channels,
            depth=options.depth,
            width=options.width,
            normalised=options.norm == "batch",
        )
        self._makes_noise = options.makes_noise

    def forward(self, noisy: Tensor, sigma: Tensor | None = None) -> Tensor:
        """Return the estimate; `sigma` (N,) is the noise's standard deviation on the scale 0 to 255."""
        count, _, height, width = noisy.shape
        x = F.pixel_unshuffle(pad_to_multiple(noisy / MAXIMUM, 2), 2)  # (N, 4·C, H/2, W/2)
        level = noisy.new_zeros(count) if sigma is None else sigma.to(noisy) / MAXIMUM
        x = torch.cat((x, level.view(-1, 1, 1, 1).expand(count, 1, *x.shape[-2:])), 1)  # (N, 4·C + 1, H/2, W/2)
        made = F.pixel_shuffle(self.chained(x), 2)[..., :height, :width].to(noisy.dtype)  # (N, C, H, W)
        return noisy - MAXIMUM * made if self._makes_noise else MAXIMUM * made
