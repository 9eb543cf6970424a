"""The constants of the four methods, without torch, so that a study is checked without it."""

from dataclasses import dataclass

SMALLEST = 16
"""The least height and width of an image that a method takes."""

BM3D_PATCH = 8
"""The side of BM3D's patches."""


@dataclass(frozen=True)
class Bm3dOptions:
    """The constants of BM3D; four of them as chosen by ablations/denoise-constants.yml, the others as published.

    All are used at every σ; published are other ones for σ > 40.

    Attributes:
        threshold: λ₃D: in the first step coefficients below λσ become 0 (published for σ ≤ 40: 2.7).
        wiener: factor of σ² in the second step's shrinkage b²/(b² + wiener·σ²) (published for σ ≤ 40: 1).
        stride: pixels between reference patches.
        window: side of the search window, odd.
        group, wiener_group: N, patches per group in the first and second step; powers of two (published for σ ≤ 40:
            16, 32).
        beta: of the Kaiser window.

    Raises:
        ValueError: a value that the method cannot use.
    """

    threshold: float = 3.0
    wiener: float = 0.5
    stride: int = 3
    window: int = 39
    group: int = 32
    wiener_group: int = 64
    beta: float = 2.0

    def __post_init__(self) -> None:
        if not (self.threshold > 0 and self.wiener > 0 and self.beta >= 0):
            raise ValueError("bm3d: threshold and wiener must be above 0, and beta not below 0")
        if not 1 <= self.stride <= BM3D_PATCH:
            raise ValueError(f"bm3d: stride is {self.stride}; give 1 to {BM3D_PATCH}, so that patches cover the image")
        if self.window < 1 or self.window % 2 == 0:
            raise ValueError(f"bm3d: window is {self.window}; give an odd number")
        corner = min(self.window // 2 + 1, SMALLEST - BM3D_PATCH + 1) ** 2  # places in the window of an image's corner
        for size in (self.group, self.wiener_group):
            if size < 1 or size & (size - 1) or size > corner:
                raise ValueError(f"bm3d: a group of {size} patches; give a power of two of at most {corner}")


@dataclass(frozen=True)
class NlBayesOptions:
    """The constants of NL-Bayes; None is the published choice for the noise, and for grey or colour.

    Attributes:
        patch, second_patch: k₁ and k₂, the sides of the patches in the first and second step.
        similar, second_similar: N₁ and N₂, how many patches are a group; 3k² if None, but for a grey image as published
            for the noise unless k is given. N₁ must be above k₁².
        beta, second_beta: β₁ and β₂, factors of the noise's variance in the two estimates.
        flat: γ, a group with less than γσ² of variance is a flat area.
        near: τ/k₂², the squared difference per pixel up to which the second step takes more than N₂ patches.
        window: the widest search window, odd.

    Raises:
        ValueError: a value that the method cannot use.
    """

    patch: int | None = None
    second_patch: int | None = None
    similar: int | None = None
    second_similar: int | None = None
    beta: float | None = None
    second_beta: float | None = None
    flat: float = 1.05
    near: float = 48.0
    window: int = 37

    def __post_init__(self) -> None:
        for patch in (self.patch, self.second_patch):
            if patch is not None and not 2 <= patch <= 8:
                raise ValueError(f"nl_bayes: a patch of {patch} pixels; give 2 to 8")
        for count in (self.similar, self.second_similar):
            if count is not None and count < 4:
                raise ValueError(f"nl_bayes: a group of {count} patches; give at least 4")
        if self.patch is not None and self.similar is not None and self.similar <= self.patch**2:
            raise ValueError(
                f"nl_bayes: similar is {self.similar} with patch={self.patch}; give more than {self.patch**2}, else a "
                "group has no usable covariance"
            )
        if not all(beta is None or beta > 0 for beta in (self.beta, self.second_beta)):
            raise ValueError("nl_bayes: beta and second_beta must be above 0")
        if not (self.flat >= 0 and self.near >= 0):
            raise ValueError("nl_bayes: flat and near must not be below 0")
        if self.window < 3 or self.window % 2 == 0:
            raise ValueError(f"nl_bayes: window is {self.window}; give an odd number of at least 3")


@dataclass(frozen=True)
class SPleOptions:
    """The constants of S-PLE.

    Attributes:
        iterations: of EM.
        threshold: factor of s·√(2 ln m), below which a coefficient in a Gaussian of m factors becomes 0.
        negligible: a probability of a Gaussian, below which it has no part in a patch's mixed estimate.

    Raises:
        ValueError: a value that the method cannot use.
    """

    iterations: int = 8
    threshold: float = 1.0
    negligible: float = 1e-3

    def __post_init__(self) -> None:
        if self.iterations < 0 or not self.threshold >= 0 or not 0 <= self.negligible < 0.05:
            raise ValueError("s_ple: iterations and threshold must not be below 0, negligible in 0 … 0.05")


@dataclass(frozen=True)
class KSvdOptions:
    """The constants of K-SVD; None is the usual choice for the noise.

    Attributes:
        patch: k, the side of a patch: 5 (σ ≤ 20), 7 (≤ 60) or 9 if None.
        atoms: how many the dictionary has; fewer for a small image.
        iterations: how often patches are coded and all atoms updated.
        every: T, an iteration sees every T-th patch, the next one those beside; 32 (σ ≤ 10), 16 (≤ 40) or 8 if None,
            and less for a small image.
        training: the most patches of an iteration; a larger image has a larger T.
        last: the most patches of the one update that follows.
        confidence: the share of pure noise whose energy is below the error at which a patch is coded.
        gamma: γ of Mairal's metric, the weight of a colour patch's means; grey patches have none.
        most: the most atoms of a patch.

    Raises:
        ValueError: a value that the method cannot use.
    """

    patch: int | None = None
    atoms: int = 256
    iterations: int = 15
    every: int | None = None
    training: int = 40_000
    last: int = 80_000
    confidence: float = 0.93
    gamma: float = 5.25
    most: int = 24

    def __post_init__(self) -> None:
        if self.patch is not None and not 2 <= self.patch <= 16:
            raise ValueError(f"k_svd: a patch of {self.patch} pixels; give 2 to 16")
        if min(self.atoms, self.iterations, self.training, self.last, self.most) < 1 or (
            self.every is not None and self.every < 1
        ):
            raise ValueError("k_svd: atoms, iterations, every, training, last and most must be at least 1")
        if not 0 < self.confidence < 1:
            raise ValueError(f"k_svd: confidence is {self.confidence}; give a number between 0 and 1")
        if not self.gamma >= 0:
            raise ValueError("k_svd: gamma must not be below 0")
