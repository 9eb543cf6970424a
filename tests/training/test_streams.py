"""Streams: what two trials at one seed share, and what no generator of anybody else can change."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from harness.attempt.messages import WEIGHTS_FILE
from harness.models.build import build_model
from harness.study.study import load_study
from harness.training import train
from harness.training.loop import Batches
from harness.training.recipe import initialise
from harness.training.setup import set_up
from harness.training.streams import epoch_order, stream, stream_seed

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def networks():
    """Return a function that builds and initialises the seven networks of Table 1."""
    study = load_study(Path(__file__).resolve().parents[2] / "ablations" / "mnist.yml")
    configs = {item.name: item.trial.config for item in study.trials}

    def make(seed):
        made = {}
        for name, config in configs.items():
            made[name] = build_model(config)
            initialise(made[name], "xavier_uniform", seed)
        return {name: dict(model.named_parameters()) for name, model in made.items()}

    return make


def test_an_epoch_visits_every_image_once_in_an_order_of_its_own():
    orders = [epoch_order(seed, epoch, 1442) for seed in (0, 1) for epoch in (0, 1)]
    for order in orders:
        assert order.sort().values.equal(torch.arange(1442))
    assert len({tuple(order.tolist()) for order in orders}) == 4
    assert epoch_order(0, 1, 1442).equal(orders[1])


def test_a_stream_is_its_name_and_a_changed_algorithm_would_be_seen():
    assert stream_seed(0, "order", 3) == stream_seed(0, "order", 3)
    names = [(0, "order", 3), (3, "order", 0), (0, "order", 4), (0, "init", 3), (0, "torch")]
    assert len({stream_seed(*name) for name in names}) == len(names)
    assert all(0 <= stream_seed(*name) < 2**63 for name in names)
    # published results depend on these numbers
    assert stream_seed(0, "order", 0) == 0x36E5703597F5E537
    assert epoch_order(0, 0, 10).tolist() == [1, 6, 0, 8, 7, 9, 5, 3, 2, 4]


def test_streams_neither_read_nor_move_torchs_own_generator():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = epoch_order(0, 0, 100), torch.rand(3, generator=stream(0, "x"))
    assert torch.get_rng_state().equal(before)
    torch.manual_seed(2)
    second = epoch_order(0, 0, 100), torch.rand(3, generator=stream(0, "x"))
    assert all(a.equal(b) for a, b in zip(first, second, strict=True))


def test_two_trials_at_one_seed_see_the_same_batches(ask, stop_at, monkeypatch):
    seen = []
    step = train.Training.step

    def note(self, index, epoch, number):
        seen[-1].append(tuple(index.tolist()))
        return step(self, index, epoch, number)

    monkeypatch.setattr(train.Training, "step", note)
    pooled = {"compressors": {"conv2": {"kind": "spatial", "stride": 4}}}
    for trial, seed in (({}, 0), (pooled, 0), ({}, 1)):
        seen.append([])
        train.run(ask(seed=seed, epochs=2, **trial), CPU, stop_at(8))
    assert [len(batch) for batch in seen[0]] == [50] * 5 + [38] + [50] * 2  # the last batch of an epoch is kept
    assert seen[0] == seen[1]
    assert seen[0] != seen[2]
    assert sorted(i for batch in seen[0][:6] for i in batch) == list(range(288))
    assert seen[0][6:] != seen[0][:2]


def test_a_last_batch_is_kept_or_dropped_as_the_protocol_says():
    protocol = {"batch_size": 250, "epochs": 1, "last_batch": "keep"}
    assert Batches.of(protocol, 1442).an_epoch == 6
    assert Batches.of({**protocol, "last_batch": "drop"}, 1442).an_epoch == 5
    assert Batches.of(protocol, 1500).an_epoch == 6


def test_parameters_of_one_name_and_shape_start_equal_in_all_seven_networks(networks):
    models = networks(0)
    pairs = 0
    for name, parameters in models.items():
        for other in models.values():
            for key, value in parameters.items():
                if key in other and other[key].shape == value.shape:
                    pairs += 1
                    assert value.equal(other[key]), (name, key)
    assert pairs > 7 * 8
    baseline, pooled = models["Baseline"], models["Feature pooling (top-k), 50%"]
    assert [k for k in baseline if k in pooled and baseline[k].shape != pooled[k].shape] == ["fc1.weight"]


def test_another_seed_starts_elsewhere_in_every_weight(networks):
    first, second = networks(0), networks(1)
    for name, parameters in first.items():
        for key, value in parameters.items():
            assert value.equal(second[name][key]) == key.endswith(".bias"), (name, key)


def test_weights_fill_the_bounds_of_xavier_and_biases_are_zero(networks):
    for parameters in networks(0).values():
        for key, value in parameters.items():
            if key.endswith(".bias"):
                assert not value.any()
                continue
            receptive = math.prod(value.shape[2:])
            bound = math.sqrt(6 / (receptive * (value.shape[0] + value.shape[1])))
            assert value.abs().max() <= bound
            assert value.abs().max() > 0.95 * bound
            assert abs(value.std() - bound / math.sqrt(3)) < 0.1 * bound
            assert abs(value.mean()) < 0.1 * bound


def test_a_network_starts_the_same_whatever_was_drawn_before(ask, own_layer):
    plugin = own_layer("return nn.Sequential(nn.Conv2d(8, 8, 1), nn.PReLU(), Bare())")
    folder = plugin["plugin_folders"][0]
    with Path(folder, "own_layer.py").open("a") as file:
        file.write(
            "\n\nclass Bare(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            "        self.own = nn.Parameter(torch.randn(1, 8, 1, 1))\n\n"
            "    def forward(self, x):\n        return x * self.own\n"
        )
    states = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        torch.rand(17)
        states.append(set_up(ask(**plugin), CPU).model.state_dict())
    assert any("own" in key for key in states[0])
    assert all(states[0][key].equal(states[1][key]) for key in states[0])
    other = set_up(ask(seed=1, **plugin), CPU).model.state_dict()
    assert not any(states[0][key].equal(other[key]) for key in other if key.endswith(".own"))


def test_a_whole_training_does_not_depend_on_what_was_drawn_before(ask, stop_at, own_layer):
    plugin = own_layer("return nn.Dropout(0.5)")
    weights = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        request = ask(**plugin)
        train.run(request, CPU, stop_at(100))
        weights.append(torch.load(f"{request.folder}/{WEIGHTS_FILE}"))
    assert all(weights[0][key].equal(weights[1][key]) for key in weights[0])


def test_he_normal_has_its_deviation_and_own_changes_nothing():
    network = nn.Sequential(nn.Conv2d(16, 64, 3), nn.Flatten(), nn.Linear(400, 300))
    before = [p.clone() for p in network.parameters()]
    initialise(network, "own", 0)
    assert all(torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))
    initialise(network, "he_normal", 0)
    for layer, fan_in in ((network[0], 16 * 9), (network[2], 400)):
        assert layer.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.03)
        assert not layer.bias.any()
    with pytest.raises(ValueError, match="unknown initialisation 'he'"):
        initialise(network, "he", 0)
