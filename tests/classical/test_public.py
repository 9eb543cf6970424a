"""What `harness.classical` has for others."""

import pytest

import harness.classical


def test_every_name_is_there():
    assert {"bm3d", "k_svd", "nl_bayes", "s_ple"} < set(harness.classical.__all__)
    assert set(harness.classical.__all__) <= set(dir(harness.classical))
    for name in harness.classical.__all__:
        assert getattr(harness.classical, name).__name__ == name


def test_a_function_stays_a_function_when_its_module_is_imported():
    from harness.classical.methods.bm3d import bm3d

    assert harness.classical.bm3d is bm3d


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'bm4d'"):
        harness.classical.bm4d  # noqa: B018
