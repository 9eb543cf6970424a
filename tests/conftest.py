"""What all tests share: the studies of the repository, and hypothesis without deadlines, repeatable in CI."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

settings.register_profile("harness", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("harness")


@pytest.fixture
def study_file():
    """Return the path of a study of `ablations/` by its name."""
    return lambda name: ROOT / "ablations" / f"{name}.yml"
