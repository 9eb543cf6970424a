"""Cheap denoisers that anything better must beat: non-local means, wavelets, total variation, a Gaussian blur.

The first three are scikit-image's (`pip install 'ablation-harness[denoise]'`), computed in float64:

- non-local means: Buades, Coll, Morel 2005, in the fast form of Froment 2014 (`denoise_nl_means`);
- wavelets: BayesShrink of Chang, Yu, Vetterli 2000, of a colour image in YCbCr (`denoise_wavelet`);
- total variation: Rudin, Osher, Fatemi 1992, by Chambolle's algorithm of 2004 (`denoise_tv_chambolle`).
"""

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from harness.base.extras import needs
from harness.models.denoising.classical import Options, UntrainedDenoiser
from harness.trial.classical import BLUR, NLM, TV, WAVELET, BlurOptions, NlmOptions, TvOptions
from harness.trial.models import ModelOptions

Image = NDArray[np.float64]


class _OnArrays(UntrainedDenoiser[Options]):
    """A method on an array (H, W) or (H, W, 3), float64 on the scale 0 to 1."""

    @abstractmethod
    def on_array(self, image: Image, sigma: float, channels: dict[str, Any]) -> Image:
        """Return the estimate; `sigma` is on the same scale, `channels` the argument that says where channels are."""

    def denoised(self, image: Tensor, sigma: float) -> Tensor:
        needs(*self.declaration.libraries)
        array = image.detach().cpu().double().permute(1, 2, 0).numpy() / 255  # (H, W, C)
        grey = array.shape[2] == 1
        channels: dict[str, Any] = {"channel_axis": None if grey else -1}
        estimate = self.on_array(array[..., 0] if grey else array, sigma / 255, channels)
        return torch.from_numpy(255 * np.atleast_3d(estimate)).permute(2, 0, 1).to(image)


class NonLocalMeans(_OnArrays[NlmOptions]):
    """Non-local means."""

    declaration = NLM

    def on_array(self, image: Image, sigma: float, channels: dict[str, Any]) -> Image:
        from skimage.restoration import denoise_nl_means

        options = self.options
        found: Image = denoise_nl_means(
            image,
            patch_size=options.patch,
            patch_distance=options.distance,
            h=options.h * sigma,
            sigma=sigma,
            fast_mode=True,
            **channels,
        )
        return found


class Wavelet(_OnArrays[ModelOptions]):
    """Soft thresholds of wavelet coefficients."""

    declaration = WAVELET

    def on_array(self, image: Image, sigma: float, channels: dict[str, Any]) -> Image:
        from skimage.restoration import denoise_wavelet

        colour = channels["channel_axis"] is not None
        found: Image = denoise_wavelet(
            image, sigma=sigma, method="BayesShrink", mode="soft", convert2ycbcr=colour, rescale_sigma=True, **channels
        )
        return found


class TotalVariation(_OnArrays[TvOptions]):
    """Total variation."""

    declaration = TV

    def on_array(self, image: Image, sigma: float, channels: dict[str, Any]) -> Image:
        from skimage.restoration import denoise_tv_chambolle

        weight = self.options.weight * sigma
        found: Image = denoise_tv_chambolle(image, weight=weight, **channels)  # type: ignore[no-untyped-call]
        return found


class Blur(UntrainedDenoiser[BlurOptions]):
    """A Gaussian blur, which knows nothing of the noise."""

    declaration = BLUR

    def denoised(self, image: Tensor, sigma: float) -> Tensor:  # noqa: ARG002 - the same for every level
        array, width = image.detach().cpu().double().numpy(), self.options.sigma
        return torch.from_numpy(gaussian_filter(array, (0, width, width), mode="reflect")).to(image)
