"""RED-Net: Mao, Shen and Yang, "Image Restoration Using Very Deep Convolutional Encoder-Decoder Networks with Symmetric
Skip Connections", NIPS 2016.

    conv 1 … conv n → deconv 1 … deconv n;  estimate = noisy + 255·r(noisy / 255)

RED30 has n = 15; all kernels are 3×3 with a bias, stride 1 and zero padding, 64 maps, ReLU behind all but the last. The
output of every second convolution i = 2, 4 … below n is added to that of deconvolution n − i, before its ReLU; the
input itself is added to the last one's.
"""

from collections.abc import Mapping
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from harness.layers.compressor import Compressor
from harness.models.denoising.chain import PublishedDenoiser
from harness.models.denoising.scale import MAXIMUM, start_at_zero
from harness.trial.denoisers import RED_NET, RedNetOptions
from harness.trial.models import ModelDeclaration


class RedNet(PublishedDenoiser):
    """Noisy images (N, C, H, W), float on the scale 0 to 255 → estimates of the same shape, not clipped.

    Args:
        compressors: none: it has no sites.
        options: channels, depth, maps (`width`), and whether the last deconvolution starts at zero.

    Raises:
        HarnessError: a compressor, for which there is no site.
    """

    declaration: ModelDeclaration = RED_NET

    def __init__(self, compressors: Mapping[str, Compressor], options: RedNetOptions | None = None) -> None:
        options = options or RedNetOptions()
        super().__init__(compressors, options)
        half, maps, channels = options.depth // 2, options.width, options.channels
        down, up = [channels, *[maps] * half], [*[maps] * half, channels]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, kernel_size=3, padding=1) for a, b in pairwise(down))
        self.deconvs = nn.ModuleList(nn.ConvTranspose2d(a, b, kernel_size=3, padding=1) for a, b in pairwise(up))
        if options.zero_last:
            self.keeps = start_at_zero(self, f"deconvs.{half - 1}")

    def forward(self, noisy: Tensor, sigma: Tensor | None = None) -> Tensor:  # noqa: ARG002 - it is blind to the level
        """Return the estimate; `sigma` (N,) is what other denoisers read."""
        half = len(self.convs)
        x = noisy / MAXIMUM
        skips: dict[int, Tensor] = {}  # by the deconvolution whose output they are added to
        for number, conv in enumerate(self.convs, 1):
            x = F.relu(conv(x))  # (N, maps, H, W)
            if number % 2 == 0 and number < half:
                skips[half - number] = x
        for number, deconv in enumerate(list(self.deconvs)[:-1], 1):
            x = deconv(x)
            x = F.relu(x + skips[number] if number in skips else x)
        residual: Tensor = self.deconvs[-1](x)  # (N, C, H, W); bf16 under autocast
        return noisy + MAXIMUM * residual.to(noisy.dtype)
