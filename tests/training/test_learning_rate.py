"""Learning rates: the schedules at their corners, and that they reach the optimiser and survive a stop."""

from itertools import pairwise

import pytest
import torch

from harness.attempt.messages import Execution
from harness.layers.kernels import KERNELS, linear
from harness.training import train
from harness.training.process import StopFlag
from harness.training.recipe import LearningRate, set_batch_norm
from harness.training.setup import set_up
from harness.training.step import PlainStep

CPU = torch.device("cpu")
ONE_CYCLE = {"kind": "one_cycle", "warm_up": 0.25, "start": 0.1, "end": 0.0}
STEPS = {"kind": "steps", "at": [80, 120, 150], "to": [0.01, 0.001, 0.0005]}


def test_constant():
    assert LearningRate({"kind": "constant"}, 0.3, 10).at(epoch=4, step=9) == 0.3


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [(0, 0.1), (79, 0.1), (80, 0.01), (119, 0.01), (120, 0.001), (149, 0.001), (150, 5e-4), (179, 5e-4)],
)
def test_steps_change_at_the_epochs_of_the_paper(epoch, rate):
    assert LearningRate(STEPS, 0.1, 180 * 200).at(epoch=epoch, step=epoch * 200) == rate


@pytest.mark.parametrize(
    ("epoch", "rate"), [(0, 0.1), (1, 0.1), (2, 0.094), (3, 0.094), (4, 0.08836), (119, 0.1 * 0.94**59)]
)
def test_an_exponential_rate_falls_after_every_second_epoch(epoch, rate):
    schedule = {"kind": "exponential", "factor": 0.94, "every": 2}
    assert LearningRate(schedule, 0.1, 120).at(epoch=epoch, step=0) == pytest.approx(rate, rel=1e-12)


def test_one_cycle_rises_and_falls():
    rate = LearningRate(ONE_CYCLE, 2.0, 1000)
    rates = [rate.at(epoch=0, step=step) for step in range(1000)]
    assert rates[0] == pytest.approx(2 * (0.1 + 0.9 * 0.0005 / 0.25))
    assert max(rates) == pytest.approx(2.0, abs=0.01)
    assert rates.index(max(rates)) in {249, 250}
    assert all(a < b for a, b in pairwise(rates[:250]))
    assert all(a > b for a, b in pairwise(rates[250:]))
    assert rates[-1] == pytest.approx(2 * 0.0005 / 0.75)
    assert sum(rates) / 1000 == pytest.approx(2 * (0.25 * 0.55 + 0.75 * 0.5), rel=1e-3)


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="unknown schedule 'sine'"):
        LearningRate({"kind": "sine"}, 0.1, 10).at(epoch=0, step=0)


@pytest.mark.parametrize("end", [0.0, 0.1])
def test_a_cosine_falls_from_the_rate_to_its_end(end):
    steps = 200
    rate = LearningRate({"kind": "cosine", **({"end": end} if end else {})}, 0.4, steps)
    rates = [rate.at(epoch=0, step=step) for step in range(steps)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == pytest.approx(0.4, rel=1e-4)
    assert rates[-1] == pytest.approx(0.4 * end, abs=1e-4)
    middle = 0.4 * (end + (1 - end) / 2)  # half of the way at half of the steps
    assert (rates[steps // 2 - 1] + rates[steps // 2]) / 2 == pytest.approx(middle, rel=1e-6)
    assert rate.at(epoch=9, step=10 * steps) == pytest.approx(0.4 * end)


def test_every_step_is_taken_with_the_rate_of_its_schedule(ask, monkeypatch):
    used, step = [], PlainStep.step

    def watched(self, index):
        used.append(self.optimizer.param_groups[0]["lr"])
        return step(self, index)

    monkeypatch.setattr(PlainStep, "step", watched)
    train.run(ask(epochs=2, schedule=ONE_CYCLE), CPU, StopFlag())
    rate = LearningRate(ONE_CYCLE, 0.01, 12)
    assert used == [rate.at(epoch=n // 6, step=n) for n in range(12)]


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def cycled(ask, request):
    """A recipe in a precision for a network of one channel (bf16 is slow on many CPUs), and its whole training."""
    recipe = {
        "compressors": {"conv2": {"kind": "width", "stride": 32}},
        "epochs": 2,
        "schedule": ONE_CYCLE,
        "precision": request.param,
        "augmentation": {"kind": "flip_crop", "padding": 2},
    }
    return recipe, train.run(ask(**recipe), CPU, StopFlag())


@pytest.mark.parametrize("steps", [1, 5, 6, 9])
def test_cycle_flips_and_crops_go_on_with_the_same_bits(ask, stop_at, cycled, steps):
    recipe, whole = cycled
    first = ask(**recipe)
    assert train.run(first, CPU, stop_at(steps)).state == "interrupted"
    rest = train.run(ask(resume=first, **recipe), CPU, StopFlag())
    assert rest.resumed_from == first.uid
    assert (rest.results, rest.curve) == (whole.results, whole.curve)


def test_bf16_and_augmentation_change_what_is_learnt(ask):
    plain = train.run(ask(), CPU, StopFlag()).results
    for change in ({"precision": "bf16"}, {"augmentation": {"kind": "flip_crop", "padding": 2}}):
        assert train.run(ask(**change), CPU, StopFlag()).results != plain


def test_weights_stay_in_fp32_under_bf16(ask):
    request = ask(precision="bf16")
    setup = set_up(request, CPU)
    assert {p.dtype for p in setup.model.parameters()} == {torch.float32}
    loss = setup.task.loss(setup.model, torch.arange(4))
    assert loss.dtype == torch.float32
    inside = []
    setup.model.conv2.register_forward_hook(lambda _m, _i, output: inside.append(output.dtype))
    setup.task.loss(setup.model, torch.arange(4))
    assert inside == [torch.bfloat16]


@pytest.mark.skipif(not linear._works(), reason="this torch has no oneDNN")
def test_large_layers_compute_by_onednn_but_for_plain_torch(ask, monkeypatch):
    monkeypatch.setattr(linear, "_faster", lambda: True)
    kinds = []
    for kernels in KERNELS:
        model = set_up(ask(execution=Execution(kernels=kernels)), CPU).model
        kinds.append([type(layer) for layer in (model.fc1, model.fc2)])
    assert kinds == [[linear.OneDNNLinear, torch.nn.Linear], [torch.nn.Linear] * 2]


def test_batch_normalisation_takes_the_protocols_decay_and_epsilon():
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2), torch.nn.BatchNorm1d(2))
    set_batch_norm(model, None)
    assert [(m.momentum, m.eps) for m in model[1:]] == [(0.1, 1e-5)] * 2
    set_batch_norm(model, {"decay": 0.99, "epsilon": 0.001})
    assert [(round(m.momentum, 12), m.eps) for m in model[1:]] == [(0.01, 0.001)] * 2
