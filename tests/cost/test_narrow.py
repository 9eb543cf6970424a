"""The control `narrow`: the width that costs as much, and the widths that the studies of CIFAR-10 state."""

from pathlib import Path

import pytest

from harness.base.errors import HarnessError
from harness.cost.count import count_config
from harness.cost.narrow import narrow
from harness.study.study import load_study

ABLATIONS = Path(__file__).resolve().parent.parent.parent / "ablations"
# What each narrow trial of a study is to be as costly as.
TWINS = {
    "cifar-small": {"narrow, 2FP, stride 2": ("parameters", ["spatial, 2FP, stride 2"])},
    "cifar-rivals": {
        "narrow to the parameters of FP3, stride 2": ("parameters", ["spatial, FP3, stride 2"]),
        "narrow to the parameters of FP3, stride 4": ("parameters", ["spatial, FP3, stride 4"]),
        "narrow to the parameters of FP4, stride 2": ("parameters", ["spatial, FP4, stride 2"]),
        "narrow to the parameters of FP4, stride 4, and of 2FP and 3FP, stride 2": (
            "parameters",
            ["spatial, FP4, stride 4", "spatial, 2FP, stride 2", "spatial, 3FP, stride 2"],
        ),
        "narrow to the parameters of 2FP and 3FP, stride 4": (
            "parameters",
            ["spatial, 2FP, stride 4", "spatial, 3FP, stride 4"],
        ),
        "narrow to the parameters of 5FP, stride 2": ("parameters", ["spatial, 5FP, stride 2"]),
        "narrow to the parameters of 5FP, stride 4": ("parameters", ["spatial, 5FP, stride 4"]),
        "narrow to the MACs of FP3, stride 2": ("macs", ["spatial, FP3, stride 2"]),
        "narrow to the MACs of FP3, stride 4, and of 2FP and 3FP, stride 2": (
            "macs",
            ["spatial, FP3, stride 4", "spatial, 2FP, stride 2", "spatial, 3FP, stride 2"],
        ),
        "narrow to the MACs of FP4, stride 2": ("macs", ["spatial, FP4, stride 2"]),
        "narrow to the MACs of FP4, stride 4": ("macs", ["spatial, FP4, stride 4"]),
        "narrow to the MACs of 2FP and 3FP, stride 4": ("macs", ["spatial, 2FP, stride 4", "spatial, 3FP, stride 4"]),
        "narrow to the MACs of 5FP, stride 2": ("macs", ["spatial, 5FP, stride 2"]),
        "narrow to the MACs of 5FP, stride 4": ("macs", ["spatial, 5FP, stride 4"]),
    },
}


@pytest.mark.parametrize("study", TWINS)
def test_the_widths_of_the_studies_cost_what_their_names_say(study):
    trials = {item.name: item.trial.config for item in load_study(ABLATIONS / f"{study}.yml").trials}
    assert {name for name in trials if name.startswith("narrow")} == set(TWINS[study])
    for name, (by, twins) in TWINS[study].items():
        cost = count_config(trials[name])[by]
        for twin in twins:
            assert abs(cost / count_config(trials[twin])[by] - 1) < 0.002, (name, twin)


def test_the_width_is_the_nearest_of_all():
    config = {
        "model": {"kind": "vgg16", "width": 0.0625},
        "compressors": {"conv3": {"kind": "spatial", "stride": 2}},
    }
    found = narrow(config, "parameters")
    assert found.target == count_config(config)["parameters"]

    def cost(width):
        return count_config({"model": {"kind": "vgg16", "width": width}, "compressors": {}})["parameters"]

    assert found.cost == cost(found.width)
    nearest = min(abs(cost(steps / 1000) - found.target) for steps in range(40, 63))
    assert abs(found.cost - found.target) <= nearest


def test_a_compressor_that_costs_more_than_it_saves_asks_for_more_width():
    config = {
        "model": {"kind": "vgg16", "width": 0.25},
        "compressors": {"conv5": {"kind": "conv1x1", "stride": 2}},
    }
    found = narrow(config, "parameters")
    assert found.width > 0.25
    assert abs(found.cost / found.target - 1) < 0.02


def test_a_model_without_a_width_is_refused():
    with pytest.raises(HarnessError, match="'mnist_cnn' has no option 'width'"):
        narrow({"model": {"kind": "mnist_cnn"}, "compressors": {}}, "macs")


def test_a_network_that_cannot_be_built_is_refused():
    with pytest.raises(HarnessError, match="vgg16 has no site 'nosuch'"):
        narrow({"model": {"kind": "vgg16"}, "compressors": {"nosuch": {"kind": "average", "stride": 2}}}, "parameters")
