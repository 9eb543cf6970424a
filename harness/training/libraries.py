"""What a person's own function may import, made ready for it: torch's settings, the generators that libraries use.

Importing torch takes seconds and numpy a moment, so nothing here imports them: what is loaded already is made ready at
once, and what the function imports, whenever that is, as soon as it is there.
"""

import hashlib
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from harness.attempt.messages import Execution


def stream_seed(seed: int, *purpose: str | int) -> int:
    """Return the 63-bit seed of a purpose's stream, as `harness.training.streams` does, which needs torch."""
    name = "/".join([str(seed), *map(str, purpose)])
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1


@contextmanager
def libraries_ready(execution: Execution, seed: int) -> Iterator[None]:
    """Set torch up and seed libraries, during the block: those that are loaded, and others when they are imported."""
    known = {"numpy": lambda: _seed_numpy(seed), "torch": lambda: _ready_torch(execution, seed)}
    if execution.device != "cpu":
        import torch  # noqa: F401 - which knows the GPU

    random.seed(stream_seed(seed, "python"))
    with _when_imported(known):
        yield


def seed_loaded(seed: int) -> None:
    """Seed the generators that libraries draw from unasked: Python's, and those of numpy and torch if loaded."""
    random.seed(stream_seed(seed, "python"))
    if "numpy" in sys.modules:
        _seed_numpy(seed)
    if "torch" in sys.modules:
        _seed_torch(seed)


def _seed_numpy(seed: int) -> None:
    import numpy as np

    np.random.seed(stream_seed(seed, "numpy") % 2**32)  # noqa: NPY002 - it is this one that libraries use


def _seed_torch(seed: int) -> None:
    from harness.training.streams import seed_libraries

    seed_libraries(seed)


def _ready_torch(execution: Execution, seed: int) -> None:
    from harness.training.process import configure

    configure(execution)
    _seed_torch(seed)


@contextmanager
def _when_imported(known: Mapping[str, Callable[[], None]]) -> Iterator[None]:
    """Do, for each library by its name, what is known: at once if it is loaded, else right after its import."""
    for name, act in known.items():
        if name in sys.modules:
            act()
    finder = _Finder({name: act for name, act in known.items() if name not in sys.modules})
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder:
    """Finds modules as Python does, and lets their loaders act after them."""

    def __init__(self, waiting: dict[str, Callable[[], None]]) -> None:
        self._waiting = waiting

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a library that is waited for, the first time that it is looked for."""
        act = self._waiting.get(name)
        if act is None:
            return None
        others = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not self)
        spec = next((spec for spec in others if spec is not None), None)
        if spec is None or spec.loader is None:
            return None
        loader: Any = spec.loader  # an object of this spec alone
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module
            execute(module)
            self._waiting.pop(name, None)
            act()

        loader.exec_module = exec_module
        return spec
