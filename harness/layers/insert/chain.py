"""Looking back from a site: for the convolution that makes its channels, and for the activation before it."""

from torch import nn

from harness.layers.insert.errors import RefusalError
from harness.layers.insert.layers import CONVOLUTIONS, NORMS
from harness.layers.insert.network import Network
from harness.layers.insert.operations import ACTIVATIONS, KEEPING, RESHAPING, SAMPLING, plain_name
from harness.layers.insert.trace import Step, Trace, Value


def maker_of(network: Network, trace: Trace, value: Value) -> Step | None:
    """Return the call of the convolution (without groups) or linear layer that makes the channels of `value`.

    None if there is none, or where on the way from it anything but normalisation, activations, pooling, dropout
    and reshaping happens, or something else reads what it makes.
    """
    while (step := trace.makers.get(value)) is not None:
        if step.kind == "layer" and isinstance(module := network.modules[step.name], (*CONVOLUTIONS, nn.Linear)):
            return step if isinstance(module, nn.Linear) or module.groups == 1 else None
        if not _passes(network, step):
            return None
        value = step.inputs[0]
        if not trace.has_one_reader(value):
            return None
    return None


def before_activation(network: Network, trace: Trace, path: str) -> str:
    """Return the path of the module whose output the activation reads that ends at `path`.

    Pooling and dropout may be between the activation and the end of `path`.

    Raises:
        RefusalError: there is none, or something else reads one of the tensors between.
    """
    value = trace.exits[path][0].outputs[0]
    while (step := trace.makers.get(value)) is not None:
        value = step.inputs[0]
        if not trace.has_one_reader(value):
            break
        if _is_activation(network, step):
            source = trace.makers.get(value)
            if source is None or source.kind != "exit":
                raise RefusalError(f"what the activation {step} reads is not what one module returns")
            return source.name
        if not (step.kind == "exit" or plain_name(step) in SAMPLING):
            break
    raise RefusalError("no activation directly precedes it, of which alone it reads")


def _is_activation(network: Network, step: Step) -> bool:
    if step.kind == "layer":
        return isinstance(network.modules[step.name], nn.PReLU)
    return step.kind == "function" and plain_name(step) in ACTIVATIONS


def _passes(network: Network, step: Step) -> bool:
    if step.kind == "layer":
        return isinstance(network.modules[step.name], (*NORMS, nn.PReLU))
    if step.kind == "exit":
        return True
    name = plain_name(step)
    return (name in KEEPING and (len(step.inputs) == 1 or name == "expand_as")) or name in RESHAPING
