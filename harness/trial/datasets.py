"""The datasets that come with the harness: names, shapes and the fingerprints of their splits, without torch.

Fingerprints are pinned here and checked when the data are loaded, so that a study is checked, planned and costed
without any data. `harness data verify` recomputes them.
"""

from harness.attempt.data import DatasetDeclaration, DatasetSplit
from harness.plugins.registry import Kinds


def validation_size(train_images: int) -> int:
    """Return how many training images are kept out where something is chosen: min(5,000, a tenth)."""
    return min(5_000, train_images // 10)


def _splits(name: str, pixels: int, **splits: tuple[int, str]) -> dict[str, DatasetSplit]:
    return {
        split: DatasetSplit(name, split, fingerprint, images, images * pixels)
        for split, (images, fingerprint) in splits.items()
    }


MNIST = DatasetDeclaration(
    name="mnist",
    description="MNIST handwritten digits",
    input_shape=(1, 28, 28),
    classes=10,
    splits=_splits(
        "mnist",
        28 * 28,
        train=(60_000, "74ee12172f1d4369677892736a413fe3"),
        validation=(5_000, "85b0c6bd73e8d01ead1182f171f6dcb2"),
        test=(10_000, "b29cfcf98e3784ac99f2e65f8f814cd7"),
    ),
    code="harness.data.mnist:load",
    normalization=((0.1307,), (0.3081,)),
)

DIGITS = DatasetDeclaration(
    name="digits",
    description="scikit-learn's handwritten digits, 8×8 enlarged to 28×28 (a stand-in, not MNIST)",
    input_shape=(1, 28, 28),
    classes=10,
    splits=_splits(
        "digits",
        28 * 28,
        train=(1_442, "868fa9ee01dec85ea8ff923f4b43a3aa"),
        validation=(144, "ac6ac248cfb5f4403504f1e135084574"),
        test=(355, "0a29489eba0be71ee0da4b2f0a39e448"),
    ),
    code="harness.data.digits:load",
    stand_in_for="mnist",
    normalization=((0.2238,), (0.3493,)),
)

CIFAR10 = DatasetDeclaration(
    name="cifar10",
    description="CIFAR-10, 32×32 colour photographs in ten classes",
    input_shape=(3, 32, 32),
    classes=10,
    splits=_splits(
        "cifar10",
        3 * 32 * 32,
        train=(50_000, "7b6e051dcda9367ec04b010b9cd6cdce"),
        validation=(5_000, "14078d6ab5b17340160dcd6377f51d3f"),
        test=(10_000, "1c71a82bfb22e61ebecd7df397a93e82"),
    ),
    code="harness.data.cifar10:load",
    normalization=((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),
)

DATASETS = Kinds("dataset", {d.name: d for d in (MNIST, DIGITS, CIFAR10)}, group="harness.datasets")
