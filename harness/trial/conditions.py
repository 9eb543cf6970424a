"""Conditions under which a task evaluates, declared without torch; those of classification are attacks and defences.

    evaluate:
      - attack: [none, {kind: fgsm, epsilon: [1, 2, 4, 8]}, {kind: pgd, epsilon: 4, restarts: 3}]
        denoiser: [none, {kind: blur, size: 3}, {kind: bm3d, sigma: 10}, {run: "STUDY:TRIAL:SEED"}]
        knowledge: [unaware, aware]

An attack changes each pixel by at most `epsilon` on the scale 0…255. A denoiser is before the classifier, behind
the attack. An unaware attack knows the classifier alone; an aware one attacks through the denoiser.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from harness.base.checks import FieldError
from harness.base.errors import HarnessError
from harness.trial.named_runs import find_run
from harness.trial.plugin_models import weights_file

SHIPPED = Path(__file__).parents[1] / "denoiser" / "dncnn-colour.npz"
"""The denoiser that comes with the harness."""

Files = Mapping[str, str]  # where files lie, by their digest
Number = Annotated[float, Field(gt=0, le=255, strict=True, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=100_000, strict=True)]
Seed = Annotated[int, Field(ge=0, strict=True)]
Switch = Annotated[bool, Field(strict=True)]


class Condition(BaseModel):
    """The options of a condition, each a single value: a list in a study stands for an evaluation with each.

    Options at their default are left out of the key, so that a new one orphans no result.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: ClassVar[str]

    def canonical(self) -> dict[str, Any]:
        """Return what of it is part of an evaluation's key."""
        return {"kind": self.kind, **self.model_dump(mode="json", exclude_defaults=True)}

    @classmethod
    def located(cls, written: Mapping[str, Any], folders: Sequence[str]) -> tuple[Mapping[str, Any], Files]:
        """Return options with the digests of the files that they name in place of these, and where they lie.

        `folders` are the study's own. Raises FieldError for a file that is not there.
        """
        del folders  # most kinds name no file
        return written, {}


class Clean(Condition):
    """The images as they are."""

    kind: ClassVar[str] = "clean"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Blur(_Part):
    """A blur: the mean over `size`×`size` pixels, or a Gaussian of standard deviation `sigma` in pixels."""

    kind: Literal["blur"]
    size: Annotated[int, Field(ge=3, le=31, strict=True)] | None = None
    sigma: Annotated[float, Field(gt=0, le=10, strict=True)] | None = None

    @field_validator("size", mode="before")
    @classmethod
    def _odd(cls, value: Any) -> Any:
        if type(value) is int and value % 2 == 0:
            raise ValueError("an odd number of pixels from 3")
        return value

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.size is None) == (self.sigma is None):
            raise ValueError("a blur with 'size' (a mean) or with 'sigma' (a Gaussian)")
        return self


class Bm3d(_Part):
    """BM3D (CBM3D of colour images) with the constants of `Bm3dOptions()`, told the noise level `sigma` on 0…255."""

    kind: Literal["bm3d"]
    sigma: Number


class Trained(_Part):
    """A trained network that denoises; `sigma` is the noise level given to it, by default that of its training.

    Of a blind network the middle of its range. `shipped` is the harness's own, `saved` a file that `harness model save`
    wrote.
    """

    kind: Literal["shipped", "saved", "run"]
    sigma: Number | None = None
    weights: str | None = None  # the SHA-256 of the file
    trial: str | None = None  # of a run: its trial's key
    seed: Seed | None = None
    awaits: str | None = None  # a run that is not done, as it is written


def awaited(condition: Mapping[str, Any]) -> str | None:
    """Return the run that a canonical condition needs and that was not done when it was resolved; None for none."""
    denoiser = condition.get("denoiser")
    return denoiser.get("awaits") if isinstance(denoiser, Mapping) else None


def _with_weights(denoiser: dict[str, Any], folders: Sequence[str]) -> tuple[dict[str, Any], Files]:
    """Return a denoiser as it is written with the digest of its weights, and where these lie."""
    hidden = sorted({"weights", "trial", "seed", "awaits"} & denoiser.keys())
    if hidden:
        raise FieldError((hidden[0],), f"'{hidden[0]}' is not an option of a denoiser: name a run, or a saved file")
    if "run" in denoiser:
        return _of_run(denoiser, denoiser.pop("run"))
    if denoiser.get("kind") not in {"shipped", "saved"}:
        return denoiser, {}
    written = str(SHIPPED) if denoiser["kind"] == "shipped" else denoiser.pop("file", None)
    if not isinstance(written, str):
        raise FieldError(("file",), "'file' is missing: what 'harness model save' wrote")
    try:
        digest, place = weights_file(written, folders)
    except FieldError as error:
        raise FieldError(("file",), error.message) from None
    return {**denoiser, "weights": digest}, {digest: place}


def _of_run(denoiser: dict[str, Any], name: Any) -> tuple[dict[str, Any], Files]:
    if not isinstance(name, str) or name.count(":") < 2 or "kind" in denoiser:
        raise FieldError(("run",), f"'run' must be STUDY:TRIAL:SEED, without a kind, not {name!r}")
    try:
        run = find_run(name)
    except HarnessError:  # it may be done later: whoever only reads the study needs it not
        return {**denoiser, "kind": "run", "awaits": name}, {}
    return {**denoiser, "kind": "run", "trial": run.trial, "seed": run.seed, "weights": run.weights}, {
        run.weights: run.file
    }


Denoiser = Annotated[Blur | Bm3d | Trained, Field(discriminator="kind")]


class Defended(Condition):
    """A condition with a denoiser before the classifier, or none."""

    denoiser: Denoiser | None = None

    @field_validator("denoiser", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        return None if value == "none" else value

    @classmethod
    def located(cls, written: Mapping[str, Any], folders: Sequence[str]) -> tuple[Mapping[str, Any], Files]:
        """Find the weights of a denoiser that is shipped, saved in a file, or a run of a study."""
        denoiser = written.get("denoiser")
        if not isinstance(denoiser, Mapping):
            return written, {}
        try:
            found, files = _with_weights(dict(denoiser), folders)
        except FieldError as error:
            raise FieldError(("denoiser", *error.path), error.message) from None
        return {**written, "denoiser": found}, files

    def without_defence(self) -> Self:
        """Return the same with no denoiser before the classifier."""
        return self.model_copy(update={"denoiser": None})

    def canonical(self) -> dict[str, Any]:
        found = super().canonical()
        if self.denoiser is not None:
            found["denoiser"] = self.denoiser.model_dump(mode="json", exclude_none=True)
        return found


class Unattacked(Defended):
    """The images as they are, or denoised."""

    kind: ClassVar[str] = "clean"


class Perturbed(Defended):
    """Images changed by at most `epsilon` a pixel and channel, within 0…255; `round`ed to whole numbers, as files are.

    Rounding stays within `epsilon` (of which the whole part counts then).
    """

    epsilon: Number
    round: Switch = True


class UniformNoise(Perturbed):
    """Noise drawn uniformly from -ε…ε, no attack: what any change of that size does by itself."""

    kind: ClassVar[str] = "uniform_noise"
    seed: Seed = 0


class Attack(Perturbed):
    """An attack by the gradient of the loss.

    `gradient` is how an aware attack goes through the denoiser: its `own`; as if it returned what it is given, the
    `identity` (BPDA, Athalye, Carlini and Wagner 2018); or of both, image by image, what is `worse` for the classifier.
    """

    knowledge: Literal["unaware", "aware"] = "unaware"
    gradient: Literal["own", "identity", "worse"] = "own"

    def canonical(self) -> dict[str, Any]:
        """Leave out what an attack that meets no denoiser, or knows of none, does not have."""
        found = super().canonical()
        if self.denoiser is None:
            found.pop("knowledge", None)
        if "knowledge" not in found:
            found.pop("gradient", None)
        return found


class Fgsm(Attack):
    """One step of ε along the sign of the gradient: Goodfellow, Shlens, Szegedy 2015."""

    kind: ClassVar[str] = "fgsm"


class Bim(Attack):
    """Steps along the sign, each followed by a projection: Kurakin, Goodfellow, Bengio 2017.

    `step` is 2.5·ε/steps if it is left out.
    """

    kind: ClassVar[str] = "bim"
    steps: Count = 10
    step: Number | None = None

    @property
    def step_size(self) -> float:
        """The length of a step, on the scale 0…255."""
        return 2.5 * self.epsilon / self.steps if self.step is None else self.step


class Pgd(Bim):
    """The same from random starts within ε, of which the worst counts: Madry et al. 2018."""

    kind: ClassVar[str] = "pgd"
    steps: Count = 50
    restarts: Count = 1
    random_start: Switch = True
    seed: Seed = 0


class Universal(Attack):
    """One perturbation for all images, crafted on the first `images` training images by steps along the sign.

    The gradient of a step is the sum over a batch, each step is followed by a projection (Shafahi et al. 2020); the
    question is that of Moosavi-Dezfooli et al. 2017. `step` is ε/10 if it is left out.
    """

    kind: ClassVar[str] = "universal"
    images: Count = 1_000
    batch: Count = 100
    epochs: Count = 5
    step: Number | None = None

    @property
    def step_size(self) -> float:
        """The length of a step, on the scale 0…255."""
        return self.epsilon / 10 if self.step is None else self.step


ATTACKS: dict[str, type[Condition]] = {
    each.kind: each for each in (Unattacked, Fgsm, Bim, Pgd, Universal, UniformNoise)
}
"""The conditions of classification by kind."""
