"""A person's file of weights: what torch itself accepts goes in, as torch puts it in, and stays as it is."""

import hashlib

import pytest
import torch
from torch import nn

from harness.base.errors import HarnessError
from harness.models.foreign import ForeignNetwork
from harness.models.weights import load_weights
from harness.training.recipe import initialise
from harness.trial.models import ModelDeclaration


class Scale(nn.Module):
    """A parameter at its root; files of version 1 have it negated."""

    _version = 2

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def reset_parameters(self):
        nn.init.zeros_(self.scale)

    def forward(self, x):
        return x.mean((2, 3)) * self.scale

    def _load_from_state_dict(self, state, prefix, local_metadata, *others):
        if local_metadata.get("version", 1) < 2:
            state[f"{prefix}scale"] = -state[f"{prefix}scale"]
        super()._load_from_state_dict(state, prefix, local_metadata, *others)


@pytest.fixture
def load(tmp_path):
    """Return a function that saves a state dict and loads it into a network."""

    def load(network, state):
        file = tmp_path / "w.pt"
        torch.save(state, file)
        return load_weights(network, str(file), hashlib.sha256(file.read_bytes()).hexdigest())

    return load


def filled(network, value=5.0):
    for parameter in network.parameters():
        nn.init.constant_(parameter, value)
    return network


def test_a_file_of_this_version_is_not_converted_as_an_older_one(load):
    network = Scale()
    load(network, filled(Scale()).state_dict())
    assert network.scale.tolist() == [5, 5, 5]
    load(network, dict(filled(Scale()).state_dict()))  # without versions, as version 1
    assert network.scale.tolist() == [-5, -5, -5]


def test_what_a_file_gave_to_the_root_of_a_network_is_not_initialised_again(load):
    network = Scale()
    keeps = load(network, filled(Scale()).state_dict())
    initialise(
        ForeignNetwork(network, ModelDeclaration("own.py:Scale", (3, 8, 8), 3, {}, ""), keeps), "xavier_uniform", 0
    )
    assert network.scale.tolist() == [5, 5, 5]


def test_a_network_without_a_classifier_lacks_none_of_its_parameters(load):
    with pytest.raises(HarnessError, match="does not fit the network: 'scale'"):
        load(Scale(), {"scale": torch.ones(4)})


def test_counts_of_batches_that_an_older_torch_did_not_keep_are_not_missed(load):
    old = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    state = {name: value for name, value in filled(old).state_dict().items() if "num_batches" not in name}
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    network.load_state_dict(state)  # torch itself, strictly
    assert load(filled(network, 1.0), state) == {"0", "1", "3"}
    assert all(parameter.eq(5).all() for parameter in network.parameters())
    del state["1.running_mean"]
    with pytest.raises(HarnessError, match=r"does not fit the network: '1\.running_mean'"):
        load(network, state)
