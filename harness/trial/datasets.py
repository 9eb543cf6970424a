"""The datasets that come with the harness: names, shapes and the fingerprints of their splits, without torch.

Fingerprints are pinned here and checked when the data are loaded, so that a study is checked, planned and costed
without any data. `harness data verify` recomputes them.
"""

import hashlib
from collections.abc import Mapping

from harness.attempt.data import DatasetDeclaration, DatasetSplit
from harness.plugins.registry import Kinds


def validation_size(train_images: int) -> int:
    """Return how many training images are kept out if something is chosen: min(5,000, a tenth)."""
    return min(5_000, train_images // 10)


def first_fingerprint(fingerprint: str, count: int) -> str:
    """Return the fingerprint of the first images, in canonical order, of a split with a fingerprint."""
    return hashlib.sha256(f"the first {count} of {fingerprint}".encode()).hexdigest()[:32]


def resized_fingerprint(fingerprint: str, height: int, width: int) -> str:
    """Return the fingerprint of a split's images once they are resized."""
    return hashlib.sha256(f"{fingerprint} resized to {height}×{width}".encode()).hexdigest()[:32]


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

Splits = Mapping[str, tuple[int, int, str]]
"""Of each split: images, bytes of their pixels, fingerprint."""


def _photographs(
    name: str, description: str, splits: Splits, shape: tuple[int, int, int] = (3, 0, 0)
) -> DatasetDeclaration:
    return DatasetDeclaration(
        name=name,
        description=description,
        input_shape=shape,
        classes=0,
        splits={
            split: DatasetSplit(name, split, fingerprint, images, size)
            for split, (images, size, fingerprint) in splits.items()
        },
        code="harness.data.photographs:load_images",
    )


PHOTOGRAPHS = (
    _photographs(
        "sample-photos",
        "three photographs that come with scikit-learn (to train on) and matplotlib (to test on)",
        {
            "train": (2, 1_639_680, "d1633af1d32f76c1b11c3d7d096e6e94"),
            "test": (1, 921_600, "da06d58ba4599b9470ffcfef3c6c47fe"),
        },
    ),
    _photographs(
        "bsd500", "all 500 images of BSDS500", {"test": (500, 231_601_500, "dfdd2392e3bf1e49a7d5cb0baadc5ab9")}
    ),
    _photographs(
        "bsd432",
        "BSDS500 without the 68 images of CBSD68, to train on",
        {
            "train": (432, 200_103_696, "7ab41c5ad581d02660bb5b22aa38ed63"),
            "validation": (43, 19_917_729, "3af18ef6c1a995a186403e143712eaf9"),
        },
    ),
    _photographs(
        "bsd432-grey",
        "bsd432 in grey",
        {
            "train": (432, 66_701_232, "a88b604a9558fbc2b9d80f30be9c80ef"),
            "validation": (43, 6_639_243, "da55fd88d32278d3402c60533afb4fd9"),
        },
        (1, 0, 0),
    ),
    _photographs(
        "bsd200", "the 200 test images of BSDS500", {"test": (200, 92_640_600, "103feb2021783368b406f32329879339")}
    ),
    _photographs(
        "cbsd68", "CBSD68: 68 images of BSDS500", {"test": (68, 31_497_804, "64e7dad9c0595e92e3b4f3994f41a28b")}
    ),
    _photographs("bsd68", "CBSD68 in grey", {"test": (68, 10_499_268, "7c03803628efa95acb6bdbb35995ffba")}, (1, 0, 0)),
    _photographs(
        "kodak24",
        "24 Kodak photographs, crops of 500×500",
        {"test": (24, 18_000_000, "3d7920aade8cccf75ec6358ececaa39a")},
        (3, 500, 500),
    ),
)

DATASETS = Kinds("dataset", {d.name: d for d in (MNIST, DIGITS, CIFAR10, *PHOTOGRAPHS)}, group="harness.datasets")
