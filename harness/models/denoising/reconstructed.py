"""A reconstruction of the denoiser of section 4.2 (Figs. 8 to 11, Tables 4 to 8): it fits the counts of Table 5.

The paper's figures are lost and its text is short: this is not a copy. What the printed counts fix: the five branches
of a block, k = 1, 3, 5, 7, 9, are summed, and every convolution reads all of the sum. It learns the noise φ:

    3 → inception 32 → inception 64 → inception 256 → [fp1] → residual × 3 → [fp2]
      → deconvolution 64 → [fp3] → deconvolution 32 → deconvolution 3 = φ;  estimate = noisy − 255·φ(noisy / 255)

An inception block is Σₖ tanh(BNₖ(convₖ(x))) and halves height and width; a deconvolution block doubles them, the last
one without normalisation and tanh. A residual block is x + Σₖ conv″ₖ(tanh(conv′ₖ(x))). Nothing has a bias. Both open
readings are options, as are changes with which it learns better (`harness.trial.denoisers.ReconstructedOptions`):

- `downsample: pool` convolves at full size and then takes the maximum of 2×2 places of the sum; going up, it repeats
  each place 2×2 times and then deconvolves at stride 1.
- `merge: per_branch` gives each branch of a residual block a shortcut of its own: Σₖ (x + Fₖ(x)).

`fp3` is for the remark in the paper that a third feature pooling layer lowers the PSNR. It does
not say where that layer was. Here it comes after the first deconvolution block, the next block after `fp2` and, with 64
channels, the widest place that is left. With `skips` it comes after the sum with the skip.
"""

import math
from collections.abc import Iterable, Mapping
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.base.errors import HarnessError
from harness.layers.compressor import Compressor, place_of
from harness.models.denoising.scale import MAXIMUM, pad_to_multiple, start_at_zero
from harness.models.sites import SiteLayers, check_sites
from harness.trial.denoisers import DENOISER, KERNELS, RESIDUAL_BLOCKS, ReconstructedOptions
from harness.trial.models import ModelDeclaration

HALVINGS = 3


def _sum(branches: Iterable[Tensor], *, scaled: bool) -> Tensor:
    """Return the sum of five branches, divided by √5 if `scaled`: it then has the variance of one of them."""
    total = reduce(torch.add, branches)
    return total / math.sqrt(len(KERNELS)) if scaled else total


class Branches(nn.Module):
    """An inception or a deconvolution block: (N, C, H, W) → (N, made, H/2, W/2) or (N, made, 2·H, 2·W).

    Args:
        channels: that it reads.
        made: maps that each branch makes.
        options: of the network.
        up: whether it is a deconvolution block.
        linear: whether it is the last: neither normalised nor squashed.
    """

    def __init__(
        self, channels: int, made: int, options: ReconstructedOptions, *, up: bool = False, linear: bool = False
    ) -> None:
        super().__init__()
        stride = 2 if options.downsample == "stride" and not options.stride1 else 1
        kind = _deconvolution if up else _convolution
        self.convs = nn.ModuleList(kind(channels, made, kernel, stride) for kernel in KERNELS)
        self.norms = nn.ModuleList(nn.BatchNorm2d(made) for _ in ([] if linear else KERNELS))
        self._pools = options.downsample == "pool" and not options.stride1
        self._up, self._scaled = up, options.scaled

    def forward(self, x: Tensor) -> Tensor:
        if self._up and self._pools:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        branches = (conv(x) for conv in self.convs)
        if self.norms:
            branches = (torch.tanh(norm(y)) for norm, y in zip(self.norms, branches, strict=True))
        x = _sum(branches, scaled=self._scaled)
        return F.max_pool2d(x, kernel_size=2) if self._pools and not self._up else x


class _Pointwise(nn.Conv2d):
    """A 1×1 convolution with a stride, as one without on the places that it reads.

    oneDNN writes past its memory in the backward pass of such a convolution if maps are channels-last, three of them
    are read, and the processor has no AVX512 (torch 2.11 to 2.13: "double free or corruption").
    """

    def forward(self, x: Tensor) -> Tensor:
        down, right = self.stride
        return F.conv2d(x[..., ::down, ::right].contiguous(), self.weight)


class _TransposedPointwise(nn.ConvTranspose2d):
    """A transposed 1×1 convolution with a stride: zeros between the places that it writes. See `_Pointwise`."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: ARG002 - torch's signature
        made = F.conv_transpose2d(x, self.weight)  # (N, C, H, W)
        images, channels, height, width = made.shape
        down, right = self.stride
        spread = made.new_zeros(images, channels, height * down, width * right)
        spread[..., ::down, ::right] = made
        return spread


def _convolution(channels: int, made: int, kernel: int, stride: int) -> nn.Module:
    kind = _Pointwise if kernel == 1 else nn.Conv2d
    return kind(channels, made, kernel, stride=stride, padding=kernel // 2, bias=False)


def _deconvolution(channels: int, made: int, kernel: int, stride: int) -> nn.Module:
    kind = _TransposedPointwise if kernel == 1 else nn.ConvTranspose2d
    return kind(channels, made, kernel, stride=stride, padding=kernel // 2, output_padding=stride - 1, bias=False)


class ResidualBlock(nn.Module):
    """(N, C, H, W) → the same shape: two k×k convolutions in each of five branches, and one shortcut or five."""

    def __init__(self, channels: int, options: ReconstructedOptions) -> None:
        super().__init__()
        self.first = nn.ModuleList(_convolution(channels, channels, kernel, 1) for kernel in KERNELS)
        self.second = nn.ModuleList(_convolution(channels, channels, kernel, 1) for kernel in KERNELS)
        self._per_branch, self._scaled = options.merge == "per_branch", options.scaled

    def forward(self, x: Tensor) -> Tensor:
        branches = (second(torch.tanh(first(x))) for first, second in zip(self.first, self.second, strict=True))
        if self._per_branch:
            return _sum((x + y for y in branches), scaled=self._scaled)
        return x + _sum(branches, scaled=self._scaled)


class Reconstructed(nn.Module):
    """Noisy colour images (N, 3, H, W), float on the scale 0 to 255 → estimates of the same shape, not clipped.

    Height and width are raised to a multiple of 8 inside. Parameters keep their names whatever is at the sites; those
    of a compressor begin with `compressors.fpN`.

    Args:
        compressors: by site; empty for the baseline.
        options: the strict form by default.

    Raises:
        HarnessError: an unknown site, a stride that does not divide, a compressor that goes before an activation, or
            one that narrows what cannot be narrowed.
    """

    declaration: ModelDeclaration = DENOISER

    def __init__(self, compressors: Mapping[str, Compressor], options: ReconstructedOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or ReconstructedOptions()
        check_sites(self.declaration, options, compressors)
        self.declaration = self.declaration.with_options(options)
        self.compressors = nn.ModuleDict()
        fp1 = self._site("fp1", compressors, options.inception[-1])
        fp2 = self._site("fp2", compressors, fp1.read)
        fp3 = self._site("fp3", compressors, options.deconvolution[0])
        first, second, _ = options.inception
        self.inception1 = Branches(3, first, options)
        self.inception2 = Branches(first, second, options)
        self.inception3 = Branches(second, fp1.made, options)
        self.residual = nn.Sequential(*(ResidualBlock(fp1.read, options) for _ in range(RESIDUAL_BLOCKS)))
        _, middle, last = options.deconvolution
        self.deconvolution1 = Branches(fp2.read, fp3.made, options, up=True)
        self.deconvolution2 = Branches(fp3.read, middle, options, up=True)
        self.deconvolution3 = Branches(middle, last, options, up=True, linear=True)
        ends = [f"deconvolution3.convs.{number}" for number in range(len(KERNELS))]
        self.keeps = start_at_zero(self, *ends) if options.zero_last else frozenset[str]()
        self._multiple = 1 if options.stride1 else 2**HALVINGS

    def _site(self, name: str, compressors: Mapping[str, Compressor], channels: int) -> SiteLayers:
        compressor = compressors.get(name)
        place = f"{self.declaration.name}, site {name}"
        if compressor is not None and place_of(compressor) == "before_relu":
            raise HarnessError(f"{place}: a compressor that goes before an activation; there is none at this site")
        try:
            site = SiteLayers.of(compressor, channels, after=())
        except ValueError as error:
            raise HarnessError(f"{place}: {error}") from error
        if site.layer is not None:
            self.compressors[name] = site.layer
        return site

    def forward(self, noisy: Tensor, sigma: Tensor | None = None) -> Tensor:  # noqa: ARG002 - it is blind to the level
        """Return the estimate; `sigma` (N,) is what other denoisers read."""
        height, width = noisy.shape[-2:]
        at = self._compress
        x = pad_to_multiple(noisy / MAXIMUM, self._multiple)  # (N, 3, H, W), as are all comments at full width
        one = self.inception1(x)  # (N, 32, H/2, W/2)
        two = self.inception2(one)  # (N, 64, H/4, W/4)
        x = at("fp1", self.inception3(two))  # (N, 256, H/8, W/8), or fewer channels
        x = at("fp2", self.residual(x))
        x = self.deconvolution1(x)  # (N, 64, H/4, W/4)
        x = at("fp3", x + two if self.options.skips else x)
        x = self.deconvolution2(x)  # (N, 32, H/2, W/2)
        x = self.deconvolution3(x + one if self.options.skips else x)  # (N, 3, H, W)
        residual: Tensor = x[..., :height, :width]
        return noisy - MAXIMUM * residual.to(noisy.dtype)  # float32 under autocast too

    def _compress(self, site: str, x: Tensor) -> Tensor:
        if site in self.compressors:
            x = self.compressors[site](x)
        return x
