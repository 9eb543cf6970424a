"""What all tests share: the studies of the repository, and hypothesis without deadlines, repeatable in CI."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

settings.register_profile("harness", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("harness")


def pytest_collection_modifyitems(items):
    """Begin with the tests that wait for processes, so that side by side none of them is left for the end."""
    items.sort(key=lambda item: "execution" not in item.path.parts)


@pytest.fixture
def study_file():
    """Return the path of a study of `ablations/` by its name."""
    return lambda name: ROOT / "ablations" / f"{name}.yml"
