"""Classical denoisers, also as a library by itself: BM3D, NL-Bayes, K-SVD, S-PLE.

    from harness.classical import bm3d

    estimate = bm3d(noisy, sigma=25)  # (3, H, W) on 0…255 → the same

Names are imported when they are first used: importing this package does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.classical.methods.bm3d import bm3d
    from harness.classical.methods.k_svd import k_svd
    from harness.classical.methods.nl_bayes import nl_bayes
    from harness.classical.methods.s_ple import s_ple
    from harness.classical.options import Bm3dOptions, KSvdOptions, NlBayesOptions, SPleOptions

__all__ = ["Bm3dOptions", "KSvdOptions", "NlBayesOptions", "SPleOptions", "bm3d", "k_svd", "nl_bayes", "s_ple"]

PUBLIC = ("options",)
"""The modules that other folders may import (`tests/test_imports.py`); they have the names in `__all__` too."""

_MODULE_OF = {
    **{name: f"methods.{name}" for name in ("bm3d", "k_svd", "nl_bayes", "s_ple")},
    **dict.fromkeys(("Bm3dOptions", "KSvdOptions", "NlBayesOptions", "SPleOptions"), "options"),
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
