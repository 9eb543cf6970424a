"""A benchmark and ablation harness with a results database. Importing it changes nothing in the process.

harness.denoise(image)                # as `harness denoise IMAGE`, on an array
harness.run("study.yml")              # as `harness run grid study.yml`
harness.load("results/harness.db")    # stored results as pandas frames (docs/python.md)
harness.load_network("study:trial:0") # the trained network of a run
harness.plot.curves(harness.load())   # plots of any study
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness import plot as plot
    from harness.api import denoise as denoise
    from harness.api import load as load
    from harness.api import load_network as load_network
    from harness.api import run as run

__version__ = "0.1.0"

_MODULE_OF = dict.fromkeys(("denoise", "load", "load_network", "run"), "harness.api")


def __getattr__(name: str) -> Any:
    if name == "plot":
        return import_module("harness.plot")  # which sets the attribute
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF, "plot"})
