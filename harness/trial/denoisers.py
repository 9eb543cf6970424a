"""The denoising networks, declared without torch: options, sites and layers. Their code is `harness/models/denoising/`.

All of them take noisy images (N, C, H, W) of any height and width on the scale 0 to 255 and return estimates of the
same shape. Their costs are counted for one image of 32×32, the size of CIFAR-10's.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from harness.trial.model_declaration import Layer, ModelDeclaration, ModelOptions, Site, Sites, WidthOptions, by_name

EDGE = 32
"""Height and width of the image for which costs are counted."""

_FOLDER = "harness.models.denoising"

Switch = Annotated[bool, Field(strict=True)]
Depth = Annotated[int, Field(ge=3, le=100, strict=True)]
Maps = Annotated[int, Field(ge=1, le=1024, strict=True)]


class PublishedOptions(ModelOptions):
    """Options of the published denoisers.

    `zero_last` starts the last layer at zero, so that the network first returns what it was given; the protocol's
    initialisation then leaves that layer alone. `weights` is a file of trained weights, which the network starts with;
    in a resolved configuration the SHA-256 of its contents.
    """

    channels: Literal[1, 3] = 3
    zero_last: Switch = False
    weights: Annotated[str, Field(strict=True, min_length=1)] | None = None


def _shape(options: PublishedOptions) -> tuple[int, int, int]:
    return (options.channels, EDGE, EDGE)


KERNELS = (1, 3, 5, 7, 9)
"""Of the five branches of each block of the reconstructed denoiser."""

RESIDUAL_BLOCKS = 3

_INCEPTION = (32, 64)  # maps of the first two inception blocks; the third makes those of the residual stage
_RESIDUAL = 256
_DECONVOLUTION = (64, 32)  # of the first two deconvolution blocks; the last makes the image's


class ReconstructedOptions(WidthOptions):
    """Options of the reconstructed denoiser; the defaults are its strict form.

    `width` scales all inner channels, `narrow` those of the residual stage alone: what the third inception block makes,
    the residual blocks keep and the first deconvolution block reads. The two open readings of the paper are `merge` and
    `downsample`; `stride1` works at full resolution throughout, whatever `downsample` says. `skips` adds the first two
    inception blocks' outputs to the mirrored deconvolution blocks'. `scaled` divides each sum of five branches by √5,
    `zero_last` starts the last deconvolution block at zero.
    """

    narrow: Annotated[float, Field(gt=0, le=4, strict=True, allow_inf_nan=False)] = 1.0
    merge: Literal["one_shortcut", "per_branch"] = "one_shortcut"
    downsample: Literal["stride", "pool"] = "stride"
    skips: Switch = False
    stride1: Switch = False
    scaled: Switch = False
    zero_last: Switch = False

    @property
    def inception(self) -> tuple[int, int, int]:
        """Maps of the three inception blocks; the last are those of the residual stage without a compressor."""
        first, second = (self.channels(full) for full in _INCEPTION)
        return first, second, max(1, int(_RESIDUAL * self.width * self.narrow + 0.5))

    @property
    def deconvolution(self) -> tuple[int, int, int]:
        """Maps of the three deconvolution blocks; the last are the image's."""
        first, second = (self.channels(full) for full in _DECONVOLUTION)
        return first, second, 3


def _reconstructed_sites(options: ReconstructedOptions) -> dict[str, Site]:
    """Return the sites; the channels at `fp2` are those without a compressor at `fp1`, which leaves it fewer."""
    stage, behind = options.inception[-1], options.deconvolution[0]
    return by_name(
        Site("fp1", stage, narrowable=True, activated=False),
        Site("fp2", stage, narrowable=False, activated=False),  # an identity shortcut ends here
        Site("fp3", behind, narrowable=not options.skips, activated=False),  # a skip adds what has as many channels
    )


def _block(inputs: int, outputs: int, places: int, *, norm: bool) -> Iterator[Layer]:
    for kernel in KERNELS:
        yield Layer(inputs, outputs, area=kernel**2, places=places, bias=False, norm=norm)


def _reconstructed_layers(options: ReconstructedOptions, sites: Sites) -> Iterator[Layer]:
    edges = (EDGE,) * 4 if options.stride1 else tuple(EDGE >> level for level in range(4))  # 32, 16, 8, 4
    strided = options.downsample == "stride"
    channels = 3
    at = sites("fp1", options.inception[-1], edges[3] ** 2)
    for level, made in enumerate((*options.inception[:2], at.made)):
        yield from _block(channels, made, edges[level + strided] ** 2, norm=True)
        channels = made
    yield from at.layers
    for _convolution in range(2 * RESIDUAL_BLOCKS):
        yield from _block(at.read, at.read, edges[3] ** 2, norm=False)
    at = sites("fp2", at.read, edges[3] ** 2)
    yield from at.layers
    third = sites("fp3", options.deconvolution[0], edges[2] ** 2)
    first, second, last = third.made, *options.deconvolution[1:]
    for level, reads, makes in ((3, at.read, first), (2, third.read, second), (1, second, last)):
        yield from _block(reads, makes, edges[level - (not strided)] ** 2, norm=level > 1)
    yield from third.layers


DENOISER = ModelDeclaration(
    name="denoiser",
    input_shape=(3, EDGE, EDGE),
    classes=0,
    sites=_reconstructed_sites(ReconstructedOptions()),
    code=f"{_FOLDER}.reconstructed:Reconstructed",
    options=ReconstructedOptions,
    resized=_reconstructed_sites,
    layers=_reconstructed_layers,
    any_size=True,
)


_P = TypeVar("_P", bound=PublishedOptions)


def _published(
    name: str, code: str, options: type[_P], layers: Callable[[_P, Sites], Iterator[Layer]]
) -> ModelDeclaration[_P]:
    return ModelDeclaration(
        name=name,
        input_shape=(3, EDGE, EDGE),
        classes=0,
        seeded=False,
        sites={},
        code=f"{_FOLDER}.{code}",
        options=options,
        layers=layers,
        any_size=True,
        shaped=_shape,
    )


class DnCnnOptions(PublishedOptions):
    """DnCNN's: 20 layers as published for colour; for grey images write `channels: 1, depth: 17`.

    `norm: none` is the form of published weights, in which batch normalisation is merged into the convolutions.
    """

    depth: Depth = 20
    width: Maps = 64
    norm: Literal["batch", "none"] = "batch"


def _dncnn_layers(options: DnCnnOptions, _: Sites) -> Iterator[Layer]:
    yield from _plain(options.channels, options.channels, options, EDGE**2, norm=options.norm == "batch")


def _plain(inputs: int, outputs: int, options: Any, places: int, *, norm: bool) -> Iterator[Layer]:
    """Yield 3×3 convolutions of one width; all but the first and the last normalised, or all with a bias."""
    yield Layer(inputs, options.width, area=9, places=places)
    for _ in range(options.depth - 2):
        yield Layer(options.width, options.width, area=9, places=places, bias=not norm, norm=norm)
    yield Layer(options.width, outputs, area=9, places=places)


DNCNN = _published("dncnn", "dncnn:DnCnn", DnCnnOptions, _dncnn_layers)


class FfdNetOptions(PublishedOptions):
    """FFDNet's: 12 layers of 96 maps as published for colour; for grey `channels: 1, depth: 15, width: 64`.

    As published it makes the clean image. With `residual` it makes the noise, which is subtracted: some of the weights
    that are to be had are of this form. `zero_last` takes this form too.
    """

    depth: Depth = 12
    width: Maps = 96
    norm: Literal["batch", "none"] = "batch"
    residual: Switch = False

    @property
    def makes_noise(self) -> bool:
        """Whether the network returns the noise: at zero, it would else return black images."""
        return self.residual or self.zero_last


def _ffdnet_layers(options: FfdNetOptions, _: Sites) -> Iterator[Layer]:
    maps = 4 * options.channels
    yield from _plain(maps + 1, maps, options, (EDGE // 2) ** 2, norm=options.norm == "batch")


FFDNET = _published("ffdnet", "ffdnet:FfdNet", FfdNetOptions, _ffdnet_layers)


class VdsrOptions(PublishedOptions):
    """VDSR's: 20 layers of 64 maps."""

    depth: Depth = 20
    width: Maps = 64


def _vdsr_layers(options: VdsrOptions, _: Sites) -> Iterator[Layer]:
    yield from _plain(options.channels, options.channels, options, EDGE**2, norm=False)


VDSR = _published("vdsr", "vdsr:Vdsr", VdsrOptions, _vdsr_layers)


class RedNetOptions(PublishedOptions):
    """RED-Net's: `depth` layers, one half convolutions and the other deconvolutions; RED30 has 30."""

    depth: Annotated[int, Field(ge=4, le=100, multiple_of=2, strict=True)] = 30
    width: Maps = 64


def _red_net_layers(options: RedNetOptions, _: Sites) -> Iterator[Layer]:
    yield from _plain(options.channels, options.channels, options, EDGE**2, norm=False)


RED_NET = _published("red_net", "red_net:RedNet", RedNetOptions, _red_net_layers)

DENOISERS: tuple[ModelDeclaration, ...] = (DENOISER, DNCNN, FFDNET, RED_NET, VDSR)
