import pytest
import torch
from sklearn.datasets import load_sample_image


@pytest.fixture(scope="session")
def photograph():
    """A part of a real photograph with roofs, leaves and sky: (3, 64, 80) on 0…255."""
    picture = torch.from_numpy(load_sample_image("china.jpg").copy())
    return picture[120:184, 200:280].permute(2, 0, 1).float()


@pytest.fixture(scope="session")
def noisy(photograph):
    """The photograph in noise of σ = 25."""
    return photograph + 25 * torch.randn(photograph.shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def _seeded():
    """Let random images of tests be the same in every run."""
    torch.manual_seed(0)
