"""What the models' sites and channels are, declared once and without torch.

The study files are checked against these declarations in milliseconds, and the models' code reads the same ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict


@dataclass(frozen=True)
class Site:
    """A place where a compressor can stand, named by the module behind which it stands."""

    name: str
    channels: int
    narrowable: bool  # may the convolution before it simply make fewer maps?


class ModelOptions(BaseModel):
    """Options of a model without any; those of other models derive from it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class ModelDeclaration:
    """A model by name: what it takes, what it gives, where a compressor can stand, and where its code is."""

    name: str
    input_shape: tuple[int, int, int]  # C, H, W
    classes: int
    sites: Mapping[str, Site]
    code: str  # module:class
    options: type[ModelOptions] = field(default=ModelOptions)


def _sites(*sites: Site) -> dict[str, Site]:
    return {site.name: site for site in sites}


MNIST_CNN = ModelDeclaration(
    name="mnist_cnn",
    input_shape=(1, 28, 28),
    classes=10,
    sites=_sites(Site("conv2", channels=32, narrowable=True)),
    code="harness.models.mnist_cnn:MnistCnn",
)

MODELS: Mapping[str, ModelDeclaration] = {m.name: m for m in (MNIST_CNN,)}
