"""The classical denoisers as models of a trial: `harness.classical`, one image after the other, without parameters.

Noise of level 0 is not noise: the image is returned as it is.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from harness.classical import bm3d, k_svd, nl_bayes, s_ple
from harness.layers.compressor import Compressor
from harness.models.sites import check_sites
from harness.trial.classical import BM3D, K_SVD, NL_BAYES, S_PLE, ConstantsOptions
from harness.trial.models import ModelDeclaration, ModelOptions

Options = TypeVar("Options", bound=ModelOptions)


class UntrainedDenoiser(nn.Module, Generic[Options]):
    """Noisy images (N, C, H, W), float on the scale 0 to 255, and the noise's level (N,) → estimates, not clipped.

    `one_by_one` asks for one image at a time. `seed` is that of the run, for a method that draws random numbers.

    Args:
        compressors: none: it has no sites.
        options: the method's own.

    Raises:
        HarnessError: a compressor, for which there is no site.
    """

    declaration: ModelDeclaration[Options]
    one_by_one = True

    def __init__(self, compressors: Mapping[str, Compressor], options: Options | None = None) -> None:
        super().__init__()
        self.options: Options = self.declaration.options() if options is None else options
        self.seed = 0
        check_sites(self.declaration, self.options, compressors)

    @abstractmethod
    def denoised(self, image: Tensor, sigma: float) -> Tensor:
        """Return the estimate of one image (C, H, W); `sigma` is above 0."""

    def forward(self, noisy: Tensor, sigma: Tensor) -> Tensor:
        """Return the estimates; `sigma` (N,) is the noise's standard deviation on the scale 0 to 255."""
        levels = [float(level) for level in sigma]
        pairs = zip(noisy, levels, strict=True)
        return torch.stack([self.denoised(image, level) if level > 0 else image for image, level in pairs])


class _Constants(UntrainedDenoiser[ConstantsOptions]):
    """A method with constants of its own, for all channels at once or for each as a grey image."""

    def __init__(self, compressors: Mapping[str, Compressor], options: ConstantsOptions | None = None) -> None:
        super().__init__(compressors, options)
        self.constants = self.options.constants()
        self._each = self.options.colour == "each"

    @abstractmethod
    def of_image(self, image: Tensor, sigma: float) -> Tensor:
        """Return the method's estimate of an image (C, H, W) with C = 1 or 3."""

    def denoised(self, image: Tensor, sigma: float) -> Tensor:
        if self._each:
            return torch.cat([self.of_image(channel[None], sigma) for channel in image])
        return self.of_image(image, sigma)


class Bm3d(_Constants):
    """BM3D (grey) and CBM3D (colour)."""

    declaration = BM3D

    def of_image(self, image: Tensor, sigma: float) -> Tensor:
        return bm3d(image, sigma, self.constants)


class NlBayes(_Constants):
    """NL-Bayes."""

    declaration = NL_BAYES

    def of_image(self, image: Tensor, sigma: float) -> Tensor:
        return nl_bayes(image, sigma, self.constants)


class KSvd(_Constants):
    """K-SVD, whose dictionary starts with patches that are drawn by the run's seed."""

    declaration = K_SVD

    def of_image(self, image: Tensor, sigma: float) -> Tensor:
        return k_svd(image, sigma, self.constants, seed=self.seed)


class SPle(_Constants):
    """S-PLE, which the paper calls SURE-GMM."""

    declaration = S_PLE

    def of_image(self, image: Tensor, sigma: float) -> Tensor:
        return s_ple(image, sigma, self.constants)
