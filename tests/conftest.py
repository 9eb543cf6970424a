"""What all tests share: the studies of the repository, and a process that uses one thread."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def study_file():
    """Return the path of a study of `ablations/` by its name."""
    return lambda name: ROOT / "ablations" / f"{name}.yml"
