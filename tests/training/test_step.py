"""The training step: which one an execution gets, and that a captured one is the plain one, bit by bit."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from harness.attempt.messages import Execution
from harness.training import train
from harness.training.attempt import run_attempt
from harness.training.capture import _restored
from harness.training.process import StopFlag, configure
from harness.training.recipe import build_optimizer
from harness.training.setup import build_step, channels_last
from harness.training.step import PlainStep

CPU = torch.device("cpu")
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
RECIPES = {
    "plain": {"optimizer": {"kind": "sgd", "learning_rate": 0.01}},
    "momentum": {"optimizer": {"kind": "sgd", "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 5e-4}},
    "adam": {"optimizer": {"kind": "adam", "learning_rate": 0.001}},
}


class FakeTask:
    """A task on a device whose loss is that of a linear regression with batch normalisation."""

    def __init__(self, device):
        self.device = device
        self.inputs = torch.randn(40, 5, generator=torch.Generator().manual_seed(0)).to(device)

    def loss(self, model, index):
        return (model(self.inputs[index]) - self.inputs[index].sum(1, keepdim=True)).square().mean()


def network(device):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 1)).to(device)


def trained(task, execution, options, sizes=(10, 10, 10, 4, 10, 10)):
    """Return losses and final state of a few steps, with a rate that changes."""
    model = network(task.device)
    optimizer = build_optimizer(options, model.parameters())
    step = build_step(task, model, optimizer, execution, batch_size=10)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1)).to(task.device)
    losses = [step(order[n : n + size], 0.01 / (n + 1)).clone() for n, size in enumerate(sizes)]
    return torch.stack(losses), model.state_dict()


def test_a_cpu_steps_call_by_call_whatever_is_asked():
    model = network(CPU)
    for capture in ("auto", "off"):
        optimizer = torch.optim.SGD(model.parameters())
        assert isinstance(build_step(FakeTask(CPU), model, optimizer, Execution(capture=capture), 10), PlainStep)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_plain_step_is_torchs_own_loop(recipe):
    task, options = FakeTask(CPU), RECIPES[recipe]["optimizer"]
    losses, state = trained(task, Execution(), options, sizes=(10, 10))
    model = network(CPU)
    optimizer = build_optimizer(options, model.parameters())
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    for n in range(2):
        optimizer.param_groups[0]["lr"] = 0.01 / (n + 1)
        optimizer.zero_grad()
        loss = task.loss(model, order[n : n + 10])
        loss.backward()
        optimizer.step()
        assert loss.detach().equal(losses[n])
    assert all(state[key].equal(value) for key, value in model.state_dict().items())


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("before", [0, 3])
def test_what_a_warm_up_changes_is_put_back(recipe, before):
    """Two steps after a warm-up that was undone are the two steps that would have been taken without it."""
    finals = []
    for warm_up in (False, True):
        task, model = FakeTask(CPU), network(CPU)
        optimizer = build_optimizer(RECIPES[recipe]["optimizer"], model.parameters())
        step = PlainStep(task, model, optimizer)
        index = torch.arange(10)
        for _ in range(before):
            step(index, 0.01)
        if warm_up:
            with _restored(model, optimizer):
                for _ in range(3):
                    step(index + 20, 0.3)
        for _ in range(2):
            step(index, 0.01)
        finals.append(model.state_dict())
    assert all(finals[0][key].equal(value) for key, value in finals[1].items())


@pytest.mark.parametrize(
    ("memory_format", "precision", "device", "expected"),
    [
        ("auto", "fp32", "cpu", False),
        ("auto", "bf16", "cpu", True),
        ("auto", "fp32", "cuda:0", True),
        ("contiguous", "bf16", "cuda:0", False),
        ("channels_last", "fp32", "cpu", True),
    ],
)
def test_the_memory_format_is_chosen_unless_it_is_named(memory_format, precision, device, expected):
    assert channels_last(Execution(device=device, memory_format=memory_format), precision) is expected


def test_the_memory_format_changes_no_result_beyond_rounding(ask):
    results = []
    for memory_format in ("contiguous", "channels_last"):
        execution = Execution(checkpoint_every_s=1e9, memory_format=memory_format)
        outcome = train.run(ask(epochs=2, execution=execution), CPU, StopFlag())
        results.append([result.value for result in outcome.results])
    assert results[0] == pytest.approx(results[1], abs=0.02)


@pytest.fixture
def gpu():
    """The GPU, set as a worker sets it."""
    cudnn = torch.backends.cudnn
    before = torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark
    yield configure(Execution(device="cuda:0", threads=torch.get_num_threads()))
    torch.use_deterministic_algorithms(before[0])
    _, cudnn.deterministic, cudnn.benchmark = before


@GPU
@pytest.mark.gpu
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_captured_step_is_the_plain_one(gpu, recipe):
    task, options = FakeTask(gpu), RECIPES[recipe]["optimizer"]
    plain = trained(task, Execution(device="cuda:0", capture="off"), options)
    captured = trained(task, Execution(device="cuda:0"), options)
    assert captured[0].equal(plain[0])
    assert all(captured[1][key].equal(value) for key, value in plain[1].items())


@GPU
@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_an_attempt_on_a_gpu_is_the_same_captured_and_not(gpu, ask, precision):
    outcomes = []
    for capture in ("auto", "off"):
        execution = replace(Execution(checkpoint_every_s=1e9), device="cuda:0", capture=capture)
        recipe = {"epochs": 2, "precision": precision, "augmentation": {"kind": "flip_crop", "padding": 2}}
        outcomes.append(train.run(ask(execution=execution, **recipe), gpu, StopFlag()))
    assert outcomes[0].curve == outcomes[1].curve
    assert outcomes[0].results == outcomes[1].results


KINDS = ["spatial", "topk", "conv1x1", "conv1x1_bn_relu", "average", "random", "maxout", "width"]


@GPU
@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
def test_every_compressor_is_captured_as_it_is_called(gpu, ask, kind):
    outcomes = []
    for capture in ("auto", "off"):
        execution = replace(Execution(checkpoint_every_s=1e9), device="cuda:0", capture=capture)
        compressors = {"conv2": {"kind": kind, "stride": 2}}
        outcomes.append(train.run(ask(execution=execution, compressors=compressors), gpu, StopFlag()))
    assert outcomes[0].curve == outcomes[1].curve


@GPU
@pytest.mark.gpu
def test_an_attempt_on_a_gpu_goes_on_with_the_same_bits(gpu, ask, stop_at, own_layer):
    recipe = {"epochs": 2, **own_layer("return nn.Sequential(nn.BatchNorm2d(8), nn.Dropout(0.3))")}
    execution = replace(Execution(checkpoint_every_s=1e9), device="cuda:0")
    whole = train.run(ask(execution=execution, **recipe), gpu, StopFlag())
    first = ask(execution=execution, **recipe)
    assert train.run(first, gpu, stop_at(4)).state == "interrupted"
    rest = train.run(ask(execution=execution, resume=first, **recipe), gpu, StopFlag())
    assert (rest.curve, rest.results) == (whole.curve, whole.results)


@GPU
@pytest.mark.gpu
def test_a_whole_attempt_on_a_gpu_ends_well(gpu, ask):
    request = ask(execution=replace(Execution(), device="cuda:0"))
    assert run_attempt(Path(request.folder)) == "done"
