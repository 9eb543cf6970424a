"""Classical denoisers, also as a library by itself: BM3D, NL-Bayes, K-SVD, S-PLE.

    from harness.classical import bm3d

    estimate = bm3d(noisy, sigma=25)  # (3, H, W) on 0…255 → the same

Names are imported when they are first used: importing this package does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.classical.methods.bm3d import Bm3dOptions, bm3d
    from harness.classical.methods.k_svd import KSvdOptions, k_svd
    from harness.classical.methods.nl_bayes import NlBayesOptions, nl_bayes
    from harness.classical.methods.s_ple import SPleOptions, s_ple

__all__ = ["Bm3dOptions", "KSvdOptions", "NlBayesOptions", "SPleOptions", "bm3d", "k_svd", "nl_bayes", "s_ple"]

_MODULE_OF = {
    "Bm3dOptions": "bm3d",
    "KSvdOptions": "k_svd",
    "NlBayesOptions": "nl_bayes",
    "SPleOptions": "s_ple",
    "bm3d": "bm3d",
    "k_svd": "k_svd",
    "nl_bayes": "nl_bayes",
    "s_ple": "s_ple",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.methods.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
