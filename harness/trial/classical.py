"""Denoisers that are never trained, declared without torch: four classical methods, and four simple baselines.

Their code is `harness/classical/` and `harness/models/denoising/`. A trial of one has no protocol and no training data.
All take noisy images of any size (the four methods from 16×16 pixels), grey or colour, on the scale 0 to 255.
"""

from dataclasses import fields
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, get_type_hints

from pydantic import ConfigDict, Field, create_model, model_validator

from harness.base.checks import FieldError
from harness.classical.options import Bm3dOptions, KSvdOptions, NlBayesOptions, SPleOptions
from harness.trial.denoisers import EDGE
from harness.trial.model_declaration import ModelDeclaration, ModelOptions

_CLASSICAL = "harness.models.denoising.classical"
_BASELINES = "harness.models.denoising.lower_marks"


class ConstantsOptions(ModelOptions):
    """The constants of a classical method, checked as its own dataclass checks them, and how it takes colours.

    `colour` is `joint`, all channels at once, or `each`: every channel by itself, as a grey image.

    Raises FieldError for values that the method cannot use.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
    made_from: ClassVar[type]
    colour: Literal["joint", "each"] = "joint"

    def constants(self) -> Any:
        """Return the constants as the method takes them."""
        return self.made_from(**self.model_dump(exclude={"colour"}))

    @model_validator(mode="after")
    def _can_be_used(self) -> Self:
        try:
            self.constants()
        except ValueError as error:
            raise FieldError((), str(error)) from None
        return self


def _form_of(dataclass: type) -> type[ConstantsOptions]:
    """Return the options of a study that are the fields of a method's dataclass."""
    types = get_type_hints(dataclass)
    columns: dict[str, Any] = {each.name: (types[each.name], each.default) for each in fields(dataclass)}
    form = create_model(f"{dataclass.__name__}Form", __base__=ConstantsOptions, __doc__=dataclass.__doc__, **columns)
    form.made_from = dataclass
    form()  # the defaults must be of use, too
    return form


class NlmOptions(ModelOptions):
    """Non-local means: side of a patch, reach of the search in pixels, and strength `h` in units of σ.

    The default of `h`, and the weight of total variation, are the best of a few on scikit-learn's two photographs,
    which no table tests.
    """

    patch: Annotated[int, Field(ge=3, le=15, strict=True)] = 5
    distance: Annotated[int, Field(ge=1, le=30, strict=True)] = 6
    h: Annotated[float, Field(gt=0, le=10, strict=True)] = 0.6


class TvOptions(ModelOptions):
    """Total variation: `weight` in units of σ; more of it gives smoother images."""

    weight: Annotated[float, Field(gt=0, le=10, strict=True)] = 0.6


class BlurOptions(ModelOptions):
    """A Gaussian blur: its standard deviation in pixels, the same for every noise level."""

    sigma: Annotated[float, Field(gt=0, le=20, strict=True)]


_O = TypeVar("_O", bound=ModelOptions)


def _declared(name: str, code: str, options: type[_O], *libraries: str, seeded: bool = False) -> ModelDeclaration[_O]:
    return ModelDeclaration(
        name=name,
        input_shape=(3, EDGE, EDGE),
        classes=0,
        sites={},
        code=code,
        options=options,
        any_size=True,
        any_channels=True,
        libraries=libraries,
        seeded=seeded,
        trains=False,
    )


BM3D = _declared("bm3d", f"{_CLASSICAL}:Bm3d", _form_of(Bm3dOptions))
NL_BAYES = _declared("nl_bayes", f"{_CLASSICAL}:NlBayes", _form_of(NlBayesOptions))
K_SVD = _declared("k_svd", f"{_CLASSICAL}:KSvd", _form_of(KSvdOptions), seeded=True)
S_PLE = _declared("s_ple", f"{_CLASSICAL}:SPle", _form_of(SPleOptions))
NLM = _declared("nlm", f"{_BASELINES}:NonLocalMeans", NlmOptions, "skimage")
WAVELET = _declared("wavelet", f"{_BASELINES}:Wavelet", ModelOptions, "skimage", "pywt")
TV = _declared("tv", f"{_BASELINES}:TotalVariation", TvOptions, "skimage")
BLUR = _declared("blur", f"{_BASELINES}:Blur", BlurOptions)

UNTRAINED: tuple[ModelDeclaration, ...] = (BM3D, NL_BAYES, K_SVD, S_PLE, NLM, WAVELET, TV, BLUR)
