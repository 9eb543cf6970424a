"""What a network computes, step by step, with the shapes of all tensors: a run on the meta device, recorded.

A run, not a symbolic trace (torch.fx): control flow may depend on shapes and on the mode, of which both are run; what
depends on values cannot run without them. Convolutions, linear layers and normalisation are one step each, other
modules are seen as the functions that they call. The tensor that leaves a module counts as another one than that which
was made within: only those who read the former see what is behind the module.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, is_dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from harness.layers.insert.errors import RefusalError
from harness.layers.insert.layers import is_layer
from harness.layers.insert.meta_copy import first_line, quick_norms

BATCH = 2
_TELLS_NO_SIZE = frozenset(
    [
        "dim",
        "ndimension",
        "ndim",
        "dtype",
        "device",
        "layout",
        "requires_grad",
        "grad_fn",
        "is_leaf",
        "is_floating_point",
        "is_complex",
        "is_cuda",
        "is_cpu",
        "is_mps",
        "is_meta",
        "is_sparse",
        "is_quantized",
        "is_nested",
        "is_contiguous",
        "is_inference",
        "is_neg",
        "is_conj",
        "element_size",
    ]
)
_FAILURES = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True)
class Value:
    """A tensor in a trace."""

    number: int
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Step:
    """A function, a layer's forward, or a tensor that leaves a module. Tensors among the arguments are Values."""

    index: int
    kind: Literal["function", "layer", "exit"]
    name: str  # of the function, or the path of the module
    inside: str  # path of the module in whose forward it happens, "" for the model itself
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]

    def __str__(self) -> str:
        if self.kind != "function":
            return f"'{self.name}'"
        return f"'{self.name}' in '{self.inside}'" if self.inside else f"'{self.name}' in the model's forward"


@dataclass(frozen=True)
class Trace:
    """The steps of one run, in their order, and what it returned."""

    steps: tuple[Step, ...]
    outputs: tuple[Value, ...]
    asked: frozenset[Value]  # whose sizes (or anything but its dtype, device, number of dimensions) Python code asked

    @cached_property
    def makers(self) -> dict[Value, Step]:
        """The step that makes a value; parameters, buffers and the input have none."""
        return {value: step for step in self.steps for value in step.outputs}

    @cached_property
    def users(self) -> dict[Value, list[Step]]:
        """The steps that read a value, for each value that a step makes."""
        users: dict[Value, list[Step]] = {value: [] for value in self.makers}
        for step in self.steps:
            for value in dict.fromkeys(step.inputs):
                users.setdefault(value, []).append(step)
        return users

    def has_one_reader(self, value: Value) -> bool:
        """Return whether one step alone reads a value, which is not an output of the model."""
        return len(self.users[value]) == 1 and value not in self.outputs

    @cached_property
    def asks_parameters(self) -> bool:
        """Whether Python code outside of layers asked for the size of a parameter or buffer, of whatever layer."""
        return any(value not in self.makers and value.number for value in self.asked)  # the input has number 0

    @cached_property
    def exits(self) -> dict[str, list[Step]]:
        """The exits of each module, by its path."""
        return self._by_name("exit")

    @cached_property
    def layers(self) -> dict[str, list[Step]]:
        """The calls of each layer, by its path."""
        return self._by_name("layer")

    def _by_name(self, kind: str) -> dict[str, list[Step]]:
        found: dict[str, list[Step]] = {}
        for step in self.steps:
            if step.kind == kind:
                found.setdefault(step.name, []).append(step)
        return found


def record(model: nn.Module, input_shape: Sequence[int], *, training: bool) -> Trace:
    """Run a model that lies on the meta device on one batch of `input_shape` (C, H, W), and return what it did.

    Raises:
        RefusalError: it does not run there, as where control flow depends on the values of tensors; in which module,
            and why.
    """
    model.train(training)
    floating = (tensor for tensor in model.state_dict().values() if tensor.is_floating_point())
    dtype = next((tensor.dtype for tensor in floating), torch.float32)
    x = torch.empty((BATCH, *input_shape), device="meta", dtype=dtype)
    recorder = _Recorder()
    try:
        with (
            quick_norms(model),
            recorder.on(model),
            _uncompiled(model),
            torch.no_grad(),
            torch.device("meta"),
            recorder,
        ):
            recorder.know(x)
            result = model(x)
    except _FAILURES as error:
        raise RefusalError(f"in '{recorder.inside or 'forward'}': {first_line(error)}") from error
    outputs = tuple(recorder.values_in(result))
    return Trace(tuple(recorder.steps), outputs, frozenset(recorder.asked))


def _uncompiled(model: nn.Module) -> AbstractContextManager[None]:
    """Let what `torch.compile` made, the model or modules of it, run as it was: hooks see no compiled code's steps."""
    compiled = any(isinstance(getattr(module, "_orig_mod", None), nn.Module) for module in model.modules())
    return torch.compiler.set_stance("force_eager") if compiled else nullcontext()


class _Recorder(TorchFunctionMode):
    """Records each function of torch that is called outside layers, and through hooks each module that is called."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self.asked: set[Value] = set()
        self._stack: list[str] = []
        self._in_layer = False
        self._unseen = False  # while hooks of the recorder itself look at tensors
        self._values: dict[int, tuple[Tensor, Value]] = {}  # the tensor is kept, so that its id stays its own
        self._count = 0

    @property
    def inside(self) -> str:
        """The path of the module that runs."""
        return self._stack[-1] if self._stack else ""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if self._in_layer or self._unseen:
            return func(*args, **kwargs)
        seen_args, seen_kwargs = self._seen(args), self._seen(kwargs)  # before a function that writes into them
        result = func(*args, **kwargs)
        name = _name_of(func)
        changed = args[0] if name == "__setitem__" else result
        if any(True for _ in _tensors_in(changed)):
            self._add("function", name, seen_args, seen_kwargs, changed)
        elif name not in _TELLS_NO_SIZE:
            self.asked.update(_values_in(seen_args))
        return result

    def know(self, tensor: Tensor) -> None:
        """Give a tensor that no step makes its value before anything reads it."""
        self._new(tensor)

    @contextmanager
    def on(self, model: nn.Module) -> Iterator[None]:
        """Watch the modules of `model`."""
        handles = []
        for path, module in model.named_modules():
            handles += self._watch(path, module)
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _watch(self, path: str, module: nn.Module) -> list[Any]:
        layer = is_layer(module)

        def enter(module: nn.Module, args: Any) -> None:  # noqa: ARG001
            self._stack.append(path)
            self._in_layer = self._in_layer or layer

        def ran(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:  # noqa: ARG001
            self._in_layer = False
            self._add("layer", path, self._seen(args), self._seen(kwargs), output)

        def leave(module: nn.Module, args: Any, output: Any) -> Any:  # noqa: ARG001
            self._stack.pop()
            if not path or self._in_layer:
                return output
            left = output
            if isinstance(output, Tensor):
                self._unseen = True
                left = output.view_as(output)
                self._unseen = False
            self._add("exit", path, (self._seen(output),), {}, left if isinstance(output, Tensor) else ())
            return left

        # A layer ends before, and a module after, the hooks that it has already, such as that of a compressor.
        handles = [module.register_forward_pre_hook(enter, prepend=True), module.register_forward_hook(leave)]
        if layer:
            handles.append(module.register_forward_hook(ran, prepend=True, with_kwargs=True))
        return handles

    def _add(self, kind: Any, name: str, args: Any, kwargs: Any, made: Any) -> None:
        outputs = tuple(self._new(tensor) for tensor in _tensors_in(made))
        inputs = (*_values_in(args), *_values_in(kwargs))
        self.steps.append(Step(len(self.steps), kind, name, self.inside, args, kwargs, inputs, outputs))

    def _new(self, tensor: Tensor) -> Value:
        before, self._unseen = self._unseen, True
        value = Value(self._count, tuple(tensor.shape))
        self._unseen = before
        self._count += 1
        self._values[id(tensor)] = (tensor, value)
        return value

    def _seen(self, item: Any) -> Any:
        """Return arguments with Values in place of tensors."""
        if isinstance(item, Tensor):
            known = self._values.get(id(item))
            return known[1] if known else self._new(item)
        if isinstance(item, dict):
            return {key: self._seen(value) for key, value in item.items()}
        if isinstance(item, list | tuple):
            return tuple(self._seen(value) for value in item)
        return item

    def values_in(self, item: Any) -> Iterator[Value]:
        """Yield the values of the tensors in a result."""
        for tensor in _tensors_in(item):
            yield self._seen(tensor)


def _name_of(func: Any) -> str:
    name = getattr(func, "__name__", type(func).__name__)
    return getattr(func.__self__, "__name__", name) if name == "__get__" else str(name)


def _tensors_in(item: Any) -> Iterator[Tensor]:
    yield from _leaves(item, Tensor)


def _values_in(item: Any) -> Iterator[Value]:
    yield from _leaves(item, Value)


def _leaves(item: Any, kind: type) -> Iterator[Any]:
    if isinstance(item, kind):
        yield item
    elif isinstance(item, Mapping):
        for value in item.values():
            yield from _leaves(value, kind)
    elif isinstance(item, list | tuple):
        for value in item:
            yield from _leaves(value, kind)
    elif is_dataclass(item) and not isinstance(item, type):
        yield from _leaves(vars(item), kind)
