"""Protocols: complete, each field with its source, and changed field by field."""

import re
from pathlib import Path
from typing import get_args

import pytest

from harness.base.checks import FieldError
from harness.trial.protocol import (
    PROTOCOLS,
    Adam,
    BatchNorm,
    Constant,
    Exponential,
    FlipCrop,
    Normalization,
    OneCycle,
    Protocol,
    ResizedCrop,
    RmsProp,
    Sgd,
    Steps,
    resolve_protocol,
)

KNOWN = ", ".join(PROTOCOLS)
LATER = {"batch_norm", "label_smoothing"}  # fields that came later: left out at the default that means "as before"


def test_the_protocols_that_there_are():
    assert list(PROTOCOLS) == [
        "cifar-fast", "cifar-paper", "denoise-paper", "denoise-tuned", "digits-quick", "dncnn", "imagenet-paper",
        "imagenet-tuned", "mnist-paper",
    ]  # fmt: skip


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_field_says_where_it_is_from(name):
    protocol = resolve_protocol({"kind": name})
    assert protocol.name == name
    assert protocol.description.strip()
    assert protocol.fields.keys() == protocol.canonical().keys()
    assert Protocol.model_fields.keys() - LATER <= protocol.fields.keys() <= Protocol.model_fields.keys()
    for field, entry in protocol.fields.items():
        assert entry.source in {"stated", "inferred", "assumed"}, field
        assert entry.where.strip(), field
        if entry.source == "stated":
            assert "§" in entry.where, f"{field} is stated, but not where"


def test_a_change_is_marked_as_set_and_the_rest_as_it_was():
    before = resolve_protocol({"kind": "mnist-paper"})
    after = resolve_protocol({"kind": "mnist-paper", "epochs": 2})
    assert (after.fields["epochs"].value, after.fields["epochs"].source) == (2, "set")
    assert after.settings.epochs == 2
    assert {name: entry for name, entry in after.fields.items() if name != "epochs"} == {
        name: entry for name, entry in before.fields.items() if name != "epochs"
    }
    assert resolve_protocol({"kind": "mnist-paper"}) == before


@pytest.mark.parametrize(
    ("change", "optimizer"),
    [
        ({"learning_rate": 0.5}, {"kind": "sgd", "learning_rate": 0.5, "momentum": 0.9}),
        ({"weight_decay": 0.5}, {"kind": "sgd", "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 0.5}),
        ({"kind": "sgd", "learning_rate": 0.5}, {"kind": "sgd", "learning_rate": 0.5}),
        ({"kind": "adam", "learning_rate": 0.5}, {"kind": "adam", "learning_rate": 0.5}),
    ],
)
def test_an_optimizer_with_a_kind_replaces_and_without_one_merges(change, optimizer):
    protocol = resolve_protocol({"kind": "digits-quick", "optimizer": change})
    assert protocol.canonical()["optimizer"] == optimizer


def test_part_of_the_normalization_merges():
    protocol = resolve_protocol({"kind": "mnist-paper", "normalization": {"mean": [0.5]}})
    assert protocol.canonical()["normalization"] == {"mean": [0.5], "deviation": [1.0]}


@pytest.mark.parametrize(
    ("options", "path", "message"),
    [
        (None, (), f"'protocol' is missing; known: {KNOWN}"),
        (3, (), "a protocol is written NAME or {kind: NAME, field: value}, not 3"),
        ({"kind": ["x"]}, ("kind",), f"unknown protocol '['x']'; known: {KNOWN}"),
        (
            {"kind": "mnist-paper", "optimizer": {"nesterov": True}},
            ("optimizer",),
            (
                "'optimizer' must be used with a momentum above 0 where nesterov is true, "
                "not {'kind': 'sgd', 'learning_rate': 0.02, 'nesterov': True}"
            ),
        ),
        (
            {"kind": "imagenet-paper", "augmentation": {"area": [0.5, 0.1]}},
            ("augmentation",),
            (
                "'augmentation' must be from a lower number to a higher one in 'area', "
                "not {'kind': 'resized_crop', 'area': [0.5, 0.1], 'ratio': [0.75, 1.3333333333333333]}"
            ),
        ),
    ],
)
def test_refused(options, path, message):
    with pytest.raises(FieldError) as caught:
        resolve_protocol(options)
    assert (caught.value.path, caught.value.message) == (path, message)


def test_the_paper_s_settings():
    protocol = resolve_protocol({"kind": "mnist-paper"})
    assert (protocol.settings.epochs, protocol.settings.batch_size) == (5, 100)
    assert {protocol.fields[name].source for name in ("epochs", "batch_size")} == {"stated"}
    assert protocol.fields["optimizer"].source != "stated"


def test_the_document_has_every_field_with_its_kinds_and_their_settings():
    text = (Path(__file__).resolve().parents[2] / "docs" / "protocols.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    named = {name: row for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named.keys() == Protocol.model_fields.keys()
    for part, field in [
        (Sgd, "optimizer"), (Adam, "optimizer"), (Constant, "schedule"), (Steps, "schedule"), (OneCycle, "schedule"),
        (Exponential, "schedule"), (RmsProp, "optimizer"), (ResizedCrop, "augmentation"),
        (FlipCrop, "augmentation"), (Normalization, "normalization"), (BatchNorm, "batch_norm"),
    ]:  # fmt: skip
        kind = part.model_fields.get("kind")
        words = [*part.model_fields, *(get_args(kind.annotation) if kind else ())]
        assert [word for word in words if not re.search(rf"\b{word}\b", named[field])] == []
    for field in ("last_batch", "initialization", "precision", "train_on"):
        words = get_args(Protocol.model_fields[field].annotation)
        assert [word for word in words if f"`{word}`" not in named[field]] == []
