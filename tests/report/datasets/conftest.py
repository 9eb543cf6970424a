"""The published results of the denoisers that are not trained, read once."""

from pathlib import Path

import pytest

from harness.store.merge import open_results
from harness.store.queries import snapshot

PUBLISHED = Path(__file__).resolve().parents[3] / "results" / "published"


@pytest.fixture(scope="session")
def published_store():
    with open_results([PUBLISHED / "denoise-classical.jsonl"]) as store:
        yield snapshot(store)
