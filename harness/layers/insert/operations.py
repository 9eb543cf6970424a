"""What a function of torch does to the channels of a site: a rule a kind of function, by names.

A rule says where the channels are in each output, or that they are not there any more, or refuses. Functions that are
not listed here are refused. Names are compared without the underscores of in-place and reflected forms.
"""

from collections.abc import Callable, Mapping
from math import prod

from harness.layers.insert.axis import Axis
from harness.layers.insert.errors import RefusalError
from harness.layers.insert.layers import Tracked
from harness.layers.insert.trace import Step, Value

Rule = Callable[[Step, Mapping[Value, Tracked]], list[Tracked | None]]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


ACTIVATIONS = _names("""
    relu relu6 hardtanh leaky_relu elu selu celu gelu silu mish hardswish hardsigmoid sigmoid tanh softplus softsign
    tanhshrink hardshrink softshrink logsigmoid rrelu threshold
""")
SAMPLING = _names("""
    max_pool1d max_pool2d max_pool3d max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices
    adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d adaptive_avg_pool1d adaptive_avg_pool2d
    adaptive_avg_pool3d avg_pool1d avg_pool2d avg_pool3d lp_pool1d lp_pool2d lp_pool3d interpolate upsample
    dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout feature_dropout
""")
_SAME = _names("""
    to type type_as float half double bfloat16 contiguous clone detach data requires_grad identity alias
    abs neg exp log sqrt rsqrt square reciprocal clamp clamp_min clamp_max clip pow local_response_norm
    zeros_like ones_like empty_like full_like rand_like randn_like
""")
_BINARY = _names("""
    add sub subtract rsub div divide true_divide truediv rdiv maximum minimum expand expand_as
""")
_GATES = frozenset({"mul", "multiply", "expand_as"})
KEEPING = ACTIVATIONS | SAMPLING | _SAME | _BINARY | _GATES
RESHAPING = frozenset({"view", "reshape", "flatten", "squeeze", "unsqueeze", "unflatten"})
_REDUCING = frozenset({"mean", "sum", "amax", "amin", "max", "min", "var", "std", "prod", "logsumexp"})
_JOINING = frozenset({"cat", "concat", "concatenate"})
_SPLITTING = frozenset({"chunk", "split", "split_with_sizes", "tensor_split", "unbind", "narrow", "select"})
_MOVING = frozenset({"permute", "transpose", "movedim", "moveaxis", "swapaxes", "T", "mT", "t"})
_WITH_SIZES = frozenset({"view", "reshape", "unflatten", "expand", "interpolate", "upsample"})
_NEW = frozenset({"new_empty", "new_zeros", "new_ones", "new_full", "new_tensor"})


class GateError(Exception):
    """A product of the site's channels with a value of as many channels, which may have been computed from them."""

    def __init__(self, step: Step, value: Value, axis: Axis) -> None:
        super().__init__()
        self.step, self.value, self.axis = step, value, axis


def plain_name(step: Step) -> str:
    """Return the name of a step's function without underscores at its ends."""
    return step.name.strip("_")


def writes_sizes(step: Step) -> bool:
    """Return whether a call of a function has sizes among its arguments, which may have been meant for all channels."""
    return plain_name(step) in _WITH_SIZES | _NEW


def pass_function(step: Step, tracked: Mapping[Value, Tracked]) -> list[Tracked | None]:
    """Return where each output of a function has the site's channels, for inputs that have them as in `tracked`.

    Raises:
        RefusalError: the function cannot do with fewer channels, or is unknown.
        GateError: it multiplies by something that would have to lose channels too.
    """
    if "out" in step.kwargs:
        raise RefusalError(f"{step} writes into a given tensor")
    name = plain_name(step)
    if name in {"max", "min"} and len(step.inputs) == 2:
        return keep(step, tracked)
    for names, rule in _RULES.items():
        if name in names:
            return rule(step, tracked)
    raise RefusalError(f"{step} reads its channels, and how is not known here")


def keep(step: Step, tracked: Mapping[Value, Tracked]) -> list[Tracked | None]:
    """Elementwise functions with broadcasting, pooling, dropout: channels stay where they are."""
    out = step.outputs[0]
    found = {(t.dim + len(out.shape) - len(v.shape), t.axis) for v, t in _of(step, tracked).items()}
    if len(found) > 1:
        raise RefusalError(f"{step} combines its channels in two orders")
    ((dim, axis),) = found
    for value in step.inputs:
        own = dim - len(out.shape) + len(value.shape)
        if value not in tracked and own >= 0 and value.shape[own] != 1:
            if plain_name(step) in _GATES:
                raise GateError(step, value, axis)
            raise RefusalError(f"{step} combines its channels with as many that do not come from it")
    if any(len(o.shape) != len(out.shape) or o.shape[dim] != axis.size for o in step.outputs):
        raise RefusalError(f"{step} changes the number of its channels")
    return [Tracked(dim, axis)] * len(step.outputs)


def _of(step: Step, tracked: Mapping[Value, Tracked]) -> dict[Value, Tracked]:
    return {value: tracked[value] for value in step.inputs if value in tracked}


def _single(step: Step, tracked: Mapping[Value, Tracked]) -> tuple[Value, Tracked]:
    if len(step.inputs) != 1:
        raise RefusalError(f"{step} takes several tensors")
    return step.inputs[0], tracked[step.inputs[0]]


def _argument(step: Step, position: int, *names: str) -> object:
    """Return an argument by position or name, None if it is not given."""
    if len(step.args) > position:
        return step.args[position]
    return next((step.kwargs[name] for name in names if name in step.kwargs), None)


def _reshape(step: Step, tracked: Mapping[Value, Tracked]) -> list[Tracked | None]:
    """The channels stay a dimension, or are flattened with what follows them."""
    value, at = _single(step, tracked)
    (out,) = step.outputs
    dim, old, new = at.dim, value.shape, out.shape
    if new[: dim + 1] == old[: dim + 1]:
        return [at]
    if len(new) > dim and new[:dim] == old[:dim]:
        for end in range(dim + 1, len(old) + 1):
            count = prod(old[dim + 1 : end])
            if new[dim] == old[dim] * count and new[dim + 1 :] == old[end:]:
                return [Tracked(dim, at.axis.times(count))]
    raise RefusalError(f"{step} gives its channels another shape, {old} → {new}")


def _pad(step: Step, tracked: Mapping[Value, Tracked]) -> list[Tracked | None]:
    value, at = _single(step, tracked)
    pad = _argument(step, 1, "pad")
    if not isinstance(pad, tuple) or len(pad) // 2 > len(value.shape) - 1 - at.dim:
        raise RefusalError(f"{step} pads its channels")
    return [at]


def _reduce(step: Step, tracked: Mapping[Value, Tracked]) -> list[Tracked | None]:
    """Over other dimensions the channels stay, over their own they are gone, and nothing needs to know how many."""
    value, at = _single(step, tracked)
    dims = _argument(step, 1, "dim", "axis")
    ndim = len(value.shape)
    numbers = dims if isinstance(dims, tuple) else (dims,)
    if dims is None or dims == () or isinstance(dims, bool):
        reduced = set(range(ndim))
    else:
        reduced = {number % ndim for number in numbers if isinstance(number, int)}
    if at.dim in reduced:
        return [None] * len(step.outputs)
    kept = len(step.outputs[0].shape) == ndim
    return [Tracked(at.dim if kept else at.dim - sum(d < at.dim for d in reduced), at.axis)] * len(step.outputs)


def _join(step: Step, tracked: Mapping[Value, Tracked]) -> list[Tracked | None]:
    dim = _argument(step, 1, "dim", "axis") or 0
    (out,) = step.outputs
    dim = int(dim) % len(out.shape) if isinstance(dim, int) else -1
    at = _of(step, tracked)
    if any(len(value.shape) != len(out.shape) for value in step.inputs) or dim < 0:
        raise RefusalError(f"{step} joins its channels with what has other dimensions")
    if len(set(at.values())) == 1 and len(at) == len(set(step.inputs)):
        (same,) = set(at.values())
        if same.dim != dim:
            return [same]
    if any(t.dim != dim for t in at.values()):
        raise RefusalError(f"{step} joins its channels with others along another dimension")
    channels = next(iter(at.values())).axis.channels
    parts = (at[value].axis if value in at else value.shape[dim] for value in step.inputs)
    return [Tracked(dim, Axis.joined(channels, parts))]


def _index(step: Step, tracked: Mapping[Value, Tracked]) -> list[Tracked | None]:
    _, at = _single(step, tracked)
    index = step.args[1] if isinstance(step.args[1], tuple) else (step.args[1],)
    until, behind = index[: at.dim + 1], index[at.dim + 1 :]
    sliced = all(isinstance(item, slice) for item in until) and all(isinstance(item, slice | int) for item in behind)
    if not sliced or until[at.dim :] not in [(), (slice(None),)]:
        raise RefusalError(f"{step} takes some of its channels")
    return [at]


def _split(step: Step, tracked: Mapping[Value, Tracked]) -> list[Tracked | None]:  # noqa: ARG001
    raise RefusalError(f"{step} takes its channels apart")


def _move(step: Step, tracked: Mapping[Value, Tracked]) -> list[Tracked | None]:  # noqa: ARG001
    raise RefusalError(f"{step} moves its channels to another dimension")


def _forget(step: Step, tracked: Mapping[Value, Tracked]) -> list[Tracked | None]:  # noqa: ARG001
    return [None] * len(step.outputs)


_RULES: dict[frozenset[str], Rule] = {
    KEEPING: keep,
    RESHAPING: _reshape,
    frozenset({"pad"}): _pad,
    _REDUCING: _reduce,
    _JOINING: _join,
    frozenset({"getitem"}): _index,
    _SPLITTING: _split,
    _MOVING: _move,
    _NEW: _forget,
}
