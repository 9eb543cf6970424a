"""A network as it is looked at here: its copy without storage, its modules by path, and what it does in both modes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import nn

from harness.layers.insert.errors import RefusalError
from harness.layers.insert.meta_copy import meta_copy
from harness.layers.insert.trace import Trace, record


@dataclass(frozen=True)
class Network:
    """A copy on the meta device and its traces in evaluation and in training."""

    meta: nn.Module
    traces: tuple[Trace, ...]

    @classmethod
    def of(cls, model: nn.Module, input_shape: Sequence[int]) -> "Network":
        """Look at `model`, which is left as it is, for inputs (N, *input_shape).

        Raises:
            RefusalError: it cannot be copied, or does not run on the meta device.
        """
        meta = meta_copy(model)
        try:
            traces = record_modes(meta, input_shape)
        except RefusalError as refusal:
            raise RefusalError(
                f"the model does not run on the meta device, where tensors have no values, {refusal}"
            ) from refusal
        return cls(meta, traces)

    @cached_property
    def modules(self) -> dict[str, nn.Module]:
        """Every module by its path, the first if it has several."""
        return dict(self.meta.named_modules())

    @cached_property
    def sharing(self) -> set[str]:
        """Paths of modules one of whose parameters is another module's too."""
        counts = Counter(id(p) for m in self.modules.values() for p in m.parameters(recurse=False))
        return {path for path, m in self.modules.items() if any(counts[id(p)] > 1 for p in m.parameters(recurse=False))}


def record_modes(meta: nn.Module, input_shape: Sequence[int]) -> tuple[Trace, ...]:
    """Return the traces of a model on the meta device in evaluation and in training; it is left in training."""
    return tuple(record(meta, input_shape, training=training) for training in (False, True))
