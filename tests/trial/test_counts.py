"""Counts from declared layers are those of built networks: the rows of Tables 1 to 3, all compressors, any width."""

import itertools

import pytest

from harness.cost.count import count_config
from harness.report.tables.expected import expected_configs
from harness.report.tables.table_file import load_paper_table
from harness.trial.compressors import COMPRESSORS
from harness.trial.counts import counts_of
from harness.trial.models import MODELS

STRIDES = (2, 4)


def config(model, compressors, **options):
    return {"model": {"kind": model, **options}, "compressors": compressors}


def possible(kind, site):
    wanted = COMPRESSORS[kind]
    return (site.narrowable or not wanted.narrows) and (site.activated or not wanted.before_activation)


def of_each_compressor():
    """Every compressor at every site of every network, alone and at all sites together."""
    for name, declaration in MODELS.items():
        if not declaration.trains:  # `test_untrained_trial.py` counts these
            continue
        yield config(name, {})
        for kind, stride in itertools.product(COMPRESSORS, STRIDES if declaration.sites else ()):
            fits = [site.name for site in declaration.sites.values() if possible(kind, site)]
            everywhere = {site: {"kind": kind, "stride": stride} for site in fits}
            yield config(name, everywhere)
            if stride == STRIDES[0] and len(everywhere) > 1:
                yield from (config(name, {site: options}) for site, options in everywhere.items())


@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_row_of_a_table(number):
    for label, expected in expected_configs(load_paper_table(number)).items():
        assert counts_of(expected) == count_config(expected), label


@pytest.mark.parametrize("one", list(of_each_compressor()), ids=str)
def test_every_compressor_at_every_site(one):
    assert counts_of(one) == count_config(one)


def test_published_weights_are_counted_though_nothing_trains_them():
    one = config("efficientnet_lite0", {})
    assert (counts_of(one), count_config(one)["parameters"]) == (None, 4_652_008)


@pytest.mark.parametrize("width", [0.25, 0.5, 1.5])
def test_networks_of_another_width(width):
    mixed = {"conv1": {"kind": "width", "stride": 2}, "conv4": {"kind": "conv1x1_bn_relu", "stride": 4}}
    one = config("vgg16", mixed, width=width)
    assert counts_of(one) == count_config(one)


@pytest.mark.parametrize(
    "other",
    [
        {"model": {"kind": "resnet18"}, "compressors": {}},
        config("mnist_cnn", {"conv2": {"kind": "mine:Own", "stride": 2}}),
        {"task": {"kind": "function", "target": "f.py:run"}},
    ],
)
def test_what_only_torch_can_count_is_not_guessed(other):
    assert counts_of(other) is None
