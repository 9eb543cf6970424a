"""Photographs that come with scikit-learn, and a stand-in for the network that is shipped."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_image
from small_denoisers import about, network

from harness.models.model_file import save_model


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def photograph():
    """A part of a photograph, uint8 (96, 128, 3)."""
    return np.ascontiguousarray(load_sample_image("china.jpg")[100:196, 200:328])


@pytest.fixture
def saved(tmp_path):
    """Return a function that writes a small denoiser and returns its path and its network."""

    def write(channels=3, sigma=None, depth=4, name="small.npz"):
        said = about(channels, sigma, depth)
        made = network(said)
        save_model(tmp_path / name, said, made.state_dict())
        return tmp_path / name, made

    return write
