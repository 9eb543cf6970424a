"""The published results, opened once."""

from pathlib import Path

import pytest

from harness.report.figures.results import Results
from harness.store.merge import open_results

PUBLISHED = Path(__file__).resolve().parents[3] / "results" / "published"


@pytest.fixture(scope="session")
def published():
    with open_results([PUBLISHED]) as store:
        yield Results(store, [PUBLISHED])
