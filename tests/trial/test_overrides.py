"""A protocol's name with all that a study overrides, and what of it the paper leaves open."""

import pytest

from harness.trial.overrides import overrides, protocol_in_words, unstated
from harness.trial.protocol import PROTOCOLS, resolve_protocol


def config(name, **changes):
    return {"protocol": resolve_protocol({"kind": name, **changes}).canonical()}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_as_its_file_has_it_overrides_nothing(name):
    assert overrides(name, config(name)) == ()
    assert protocol_in_words(name, config(name)) == name


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": 1}, "epochs 1 instead of 5"),
        ({"optimizer": {"learning_rate": 0.1}}, "optimizer.learning_rate 0.1 instead of 0.02"),
        ({"optimizer": {"momentum": 0.9}}, "optimizer.momentum 0.9 instead of 0.0"),  # a default, which no file writes
        (
            {"optimizer": {"kind": "adam", "learning_rate": 0.001}},
            "optimizer adam, learning_rate 0.001 instead of sgd, learning_rate 0.02",
        ),
        ({"batch_norm": {"decay": 0.9, "epsilon": 0.1}}, "batch_norm decay 0.9, epsilon 0.1 instead of none"),
        ({"normalization": {"mean": [0.5]}}, "normalization.mean 0.5 instead of 0.0"),
        ({"epochs": 2, "precision": "bf16"}, "epochs 2 instead of 5, precision bf16 instead of fp32"),
    ],
)
def test_every_setting_that_differs_is_named_with_both_values(changes, words):
    assert protocol_in_words("mnist-paper", config("mnist-paper", **changes)) == f"mnist-paper ({words})"


def test_another_protocols_settings_are_not_taken_for_its_own():
    """The name is what a study says; what was trained is in the configuration."""
    assert "epochs" in protocol_in_words("cifar-paper", config("cifar-fast"))


@pytest.mark.parametrize(("name", "one"), [("f.py:run", {}), ("of-a-later-version", config("mnist-paper"))])
def test_without_a_file_there_is_nothing_to_compare_with(name, one):
    assert (overrides(name, one), protocol_in_words(name, one), unstated(name, one)) == ((), name, ())


def test_settings_of_a_later_version_are_compared_as_they_are_written():
    later = config("mnist-paper")
    later["protocol"]["sharpness"] = 0.5
    assert "sharpness 0.5 instead of none" in protocol_in_words("mnist-paper", later)


def test_what_the_paper_does_not_state_but_for_what_the_study_sets():
    found = {u.setting: u for u in unstated("mnist-paper", config("mnist-paper"))}
    assert found["optimizer"].source in {"inferred", "assumed"}
    assert found["optimizer"].value["learning_rate"] == 0.02
    assert "epochs" not in found  # the paper states them
    own = unstated("mnist-paper", config("mnist-paper", augmentation={"kind": "flip_crop", "padding": 2}))
    assert {u.setting for u in own} == set(found) - {"augmentation"}
