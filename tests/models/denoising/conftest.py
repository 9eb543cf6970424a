"""Data, declared without pixels, for tests of what networks take."""

import pytest

from harness.attempt.data import DatasetDeclaration


def _data(name, *shape, classes=0):
    return DatasetDeclaration(name, "", shape, classes, {}, "nowhere:nothing")


@pytest.fixture
def colour():
    return _data("photographs", 3, 0, 0)


@pytest.fixture
def grey():
    return _data("grey", 1, 0, 0)
