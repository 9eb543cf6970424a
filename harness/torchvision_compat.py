"""The one way in which the harness imports torchvision, and ptflops, which would import it.

torchvision's wheels are built for CUDA. Beside a CPU build of torch (as on CI and many login nodes) their
compiled library does not load, so its operators are unknown, and `import torchvision` ends in "operator
torchvision::nms does not exist" as soon as it describes them to torch. There, and only there, the names of
these operators are defined first, without an implementation: datasets, transforms and models then work;
`torchvision.ops` and `torchvision.io` do not.

Defining a name changes torch's registry for the whole process, so `import harness` never does it. A person's plug-in,
which knows nothing of this, may import torchvision itself: `prepare_torchvision` has it done as soon as that happens.
"""

import ctypes
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

_FAKE = re.compile(r"""register_fake\(\s*["'](torchvision::\w+)["']""")
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"  # never called
_NO_IMAGES = "Failed to load image Python extension"


def import_torchvision() -> ModuleType:
    """Import and return torchvision, also if its compiled library cannot be loaded. Takes 1.5–2 s the
    first time.

    Raises:
        ModuleNotFoundError: torchvision is not installed.
    """
    _name_missing_operators()
    with warnings.catch_warnings():
        # The harness reads images with Pillow; that torchvision cannot is no news to its user.
        warnings.filterwarnings("ignore", message=_NO_IMAGES)
        return import_module("torchvision")


def prepare_torchvision() -> None:
    """Let any later `import torchvision` of this process work as `import_torchvision` does; nothing is imported now."""
    if "torchvision" not in sys.modules and not any(isinstance(finder, _Preparing) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Preparing())


class _Preparing(MetaPathFinder):
    """Finds torchvision as Python does; when it is run, and not before, its operators are named first."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, _: object = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name == "torchvision" else None
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def prepared(module: ModuleType) -> None:
            _name_missing_operators()
            warnings.filterwarnings("ignore", message=_NO_IMAGES)
            run(module)

        spec.loader.exec_module = prepared  # type: ignore[method-assign]
        return spec


def import_ptflops() -> ModuleType:
    """Import and return ptflops, without what it imports if it can: torchvision and timm, which take seconds.

    It asks them for formulas of its backend by modules, which the harness does not use, and which then lacks the
    layers of theirs: import them before `harness.cost` to use that backend in the same process.

    Raises:
        ModuleNotFoundError: ptflops is not installed.
    """
    with _hidden("torchvision"), _hidden("timm"):
        return import_module("ptflops")


@contextmanager
def _hidden(library: str) -> Iterator[None]:
    """Let a library that was not imported yet seem not to be installed."""
    if library in sys.modules:
        yield
        return
    sys.modules[library] = None  # type: ignore[assignment]  # Python's own way to say so
    try:
        yield
    finally:
        del sys.modules[library]


@cache
def _name_missing_operators() -> None:
    """Define the operators that torchvision describes to torch, if its library cannot define them."""
    import torch

    if torch.version.cuda is not None or torch.version.hip is not None:
        return
    spec = find_spec("torchvision")  # does not run it
    if spec is None or not spec.submodule_search_locations:
        return
    folder = Path(spec.submodule_search_locations[0])
    if _library_loads(folder):
        return
    described = (folder / "_meta_registrations.py").read_text(encoding="utf-8")
    for operator in dict.fromkeys(_FAKE.findall(described)):
        if not hasattr(torch.ops.torchvision, operator.partition("::")[2]):
            torch.library.define(operator, _SCHEMA)


def _library_loads(folder: Path) -> bool:
    """Return whether torchvision's library loads by itself, as `import torchvision` would load it."""
    for library in (*folder.glob("_C*.so"), *folder.glob("_C*.pyd")):
        try:
            ctypes.CDLL(str(library))
        except OSError:
            continue
        return True
    return False
