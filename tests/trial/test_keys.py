"""Keys: the same for the same trial however it is written, another one for whatever changes numbers."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.base.keys import KEY_SCHEME, canonical_json, evaluation_key, trial_key
from harness.study.study import load_study
from harness.trial.compressors import COMPRESSORS
from harness.trial.datasets import DATASETS
from harness.trial.protocol import Protocol
from harness.trial.resolve import resolve_trial

PINNED = {
    ("mnist", "Baseline"): "aa479dd7facff4743e82a071051bbbbe",
    ("mnist", "Feature pooling (spatial pooling), 50%"): "d0435b4e5d4244fe40569f8bd3f8487c",
    ("mnist", "Feature pooling (top-k), 75%"): "05f65f46aacd102412a661a22f87492d",
    ("mnist", "Dimension reduction of Conv, 50%"): "34db09d3f3a01a1c13145949e3d9e27f",
    ("mnist-optimiser", "SGD 0.05"): "48208281d93183886f53b054dc056472",
    ("mnist-optimiser", "SGD 0.01, momentum 0.9"): "e17a871e3fdb19194e96e0a0dfcbb07c",
    ("mnist-optimiser", "Adam 0.001"): "89368e41da2db440494a072ffcc871d2",
    ("quickstart", "Baseline"): "769840e25e1e619c779ef42677a0e025",
    ("quickstart", "Dimension reduction of Conv, 75%"): "99af3fb9e2be9d8dde070eeff977e7be",
}
ACCIDENT = (
    "this trial has another key than the results that are stored for it: if a released default or the meaning of a "
    "field was changed on purpose, raise KEY_SCHEME in harness/base/keys.py and pin the new key here; else undo it"
)


@pytest.mark.parametrize(("study", "name"), PINNED)
def test_keys_of_the_studies_stay(study_file, study, name):
    keys = {item.name: item.trial.key for item in load_study(study_file(study)).trials}
    assert keys[name] == PINNED[study, name], ACCIDENT


def test_the_form_of_a_key_stays():
    assert KEY_SCHEME == 1, "pin the keys of the new scheme here, and see that stored ones stay recognisable"
    assert trial_key({"b": 1, "a": [1e-4, "é"]}) == "b1348afc70f7b68e2677db0417d886b1", ACCIDENT
    data = DATASETS["mnist"].splits["test"].fingerprint
    assert evaluation_key(data, {"kind": "clean"}) == "b5e2ce267c9b5eb67dbe5f692624ee8f", ACCIDENT


def test_canonical_json():
    assert canonical_json({"b": [1, 2.5, None, True], "a": "é"}) == '{"a":"é","b":[1,2.5,null,true]}'
    assert canonical_json({"x": 1e-4}) == canonical_json({"x": 0.0001})
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON"):
            canonical_json({"x": wrong})


def test_trials_and_evaluations_never_share_a_key():
    assert trial_key({"data": "d", "condition": {}}) != evaluation_key("d", {})


# ---- written another way -------------------------------------------------------------------------------------------

BASE: dict[str, Any] = {
    "study": "s",
    "task": {"kind": "classification"},
    "dataset": {"kind": "digits"},
    "model": {"kind": "mnist_cnn"},
    "protocol": {"kind": "digits-quick", "epochs": 3, "optimizer": {"learning_rate": 0.5, "weight_decay": 0.25}},
    "seeds": [0],
    "trials": [{"name": "A", "compressors": {"conv2": {"kind": "spatial", "stride": 2}}}],
}


def shuffled(draw, value):
    """Return a mapping with the order of its keys drawn, and so all the way in."""
    if isinstance(value, dict):
        return {key: shuffled(draw, value[key]) for key in draw(st.permutations(sorted(value)))}
    return [shuffled(draw, item) for item in value] if isinstance(value, list) else value


@st.composite
def written_otherwise(draw):  # noqa: C901, PLR0912
    """Draw the text of a study with the one trial of BASE, written in some other way."""
    study = copy.deepcopy(BASE)
    entry = study["trials"][0]
    study["study"] = draw(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,5}", fullmatch=True))
    study["seeds"] = draw(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3, unique=True))
    entry["name"] = draw(st.text("abc xyz", min_size=1).filter(str.strip))
    if draw(st.booleans()):
        study["description"] = draw(st.text(max_size=5))
    if draw(st.booleans()):
        study["execution"] = {"threads": draw(st.integers(1, 64)), "deterministic": draw(st.booleans())}
    for part in ("task", "dataset", "model"):
        if draw(st.booleans()):
            study[part] = study[part]["kind"]
        if draw(st.booleans()):
            entry[part] = study.pop(part)
    if draw(st.booleans()):
        entry["compressors"]["conv2"]["reduce"] = "max"
    optimizer = study["protocol"]["optimizer"]
    for name, default in (("nesterov", False), ("momentum", 0.9)):
        if draw(st.booleans()):
            optimizer[name] = default
    if draw(st.booleans()):
        optimizer.update({"kind": "sgd", "momentum": 0.9})
    if draw(st.booleans()):
        study["protocol"]["normalization"] = draw(st.sampled_from([{"mean": [0]}, {"deviation": [1.0]}]))
    if draw(st.booleans()):
        entry["protocol"] = study.pop("protocol")
    if draw(st.booleans()):
        (entry["at"], entry["compressor"]), *_ = entry.pop("compressors").items()
        if draw(st.booleans()):
            entry["grid"] = {"compressor.stride": [entry["compressor"].pop("stride")]}
    text = json.dumps(shuffled(draw, study), indent=draw(st.sampled_from([None, 1])))
    return draw(st.sampled_from(["", "# a comment\n"])) + text + draw(st.sampled_from(["", "\n# another\n"]))


@given(written_otherwise())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_way_of_writing_never_changes_a_key(load, text):
    (item,) = load(text).trials
    assert item.trial.key == load(json.dumps(BASE)).trials[0].trial.key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"learning_rate": 1}, {"learning_rate": 1.0}),
        ({"learning_rate": 1e-2}, {"learning_rate": 0.01}),
        ({"weight_decay": 0}, {}),
        ({"momentum": 0}, {"momentum": 0.0}),
    ],
)
def test_numbers_are_what_they_are_worth(one, other):
    def key(options):
        protocol = {"kind": "mnist-paper", "optimizer": options}
        return resolved(protocol=protocol).key

    assert key(one) == key(other)


def test_options_at_their_default_stay_out():
    left_out = resolved(compressors={"conv2": {"kind": "topk", "stride": 2}})
    given_ = resolved(compressors={"conv2": {"kind": "topk", "stride": 2, "largest": True}})
    assert given_.config == left_out.config
    assert left_out.config["compressors"] == {"conv2": {"kind": "topk", "stride": 2}}


# ---- another trial -------------------------------------------------------------------------------------------------


def resolved(**parts):
    known = {
        "task": "classification",
        "dataset": "mnist",
        "model": "mnist_cnn",
        "compressors": {"conv2": {"kind": "spatial", "stride": 2}},
        "protocol": "mnist-paper",
    }
    return resolve_trial(**{**known, **parts})


OTHER_FIELDS: dict[str, Any] = {
    "epochs": 6,
    "batch_size": 101,
    "last_batch": "drop",
    "optimizer": {"kind": "adam", "learning_rate": 0.05},
    "normalization": {"mean": [0.5]},
    "precision": "bf16",
    "train_on": "without_validation",
    "schedule": {"kind": "steps", "at": [2], "to": [0.01]},
    "augmentation": {"kind": "flip_crop", "padding": 4},
    "batch_norm": {"decay": 0.9, "epsilon": 1e-5},
    "initialization": "he_normal",
    "label_smoothing": 0.1,
}
LATER = {"batch_norm", "label_smoothing"}  # came after results were stored: left out of the key at their default


def test_every_field_of_a_protocol_is_tried():
    assert OTHER_FIELDS.keys() == Protocol.model_fields.keys()
    assert resolved().config["protocol"].keys() == Protocol.model_fields.keys() - LATER


def others() -> Iterator[tuple[str, dict[str, Any]]]:
    for field, value in OTHER_FIELDS.items():
        yield field, {"protocol": {"kind": "mnist-paper", field: value}}
    optimizers: list[dict[str, Any]] = [
        {"learning_rate": 0.051},
        {"momentum": 0.9},
        {"momentum": 0.9, "nesterov": True},
        {"weight_decay": 1e-4},
        {"kind": "adam", "learning_rate": 0.05, "beta1": 0.8},
        {"kind": "adam", "learning_rate": 0.05, "beta2": 0.99},
        {"kind": "adam", "learning_rate": 0.05, "epsilon": 1e-7},
        {"kind": "adam", "learning_rate": 0.05, "weight_decay": 1e-4},
        {"kind": "rmsprop_tf", "learning_rate": 0.05},
        {"kind": "rmsprop", "learning_rate": 0.05},
    ]
    for options in optimizers:
        yield f"optimizer {options}", {"protocol": {"kind": "mnist-paper", "optimizer": options}}
    schedules: list[dict[str, Any]] = [
        {"kind": "steps", "at": [3], "to": [0.01]},
        {"kind": "steps", "at": [2], "to": [0.02]},
        {"kind": "steps", "at": [2, 3], "to": [0.01, 0.02]},
        {"kind": "one_cycle", "warm_up": 0.25, "start": 0.1, "end": 0.0},
        {"kind": "one_cycle", "warm_up": 0.5, "start": 0.1, "end": 0.0},
        {"kind": "one_cycle", "warm_up": 0.25, "start": 0.2, "end": 0.0},
        {"kind": "one_cycle", "warm_up": 0.25, "start": 0.1, "end": 0.1},
    ]
    for options in schedules:
        yield f"schedule {options}", {"protocol": {"kind": "mnist-paper", "schedule": options}}
    crop = {"kind": "flip_crop", "padding": 2}
    yield "padding", {"protocol": {"kind": "mnist-paper", "augmentation": crop}}
    for norm in ({"decay": 0.9, "epsilon": 1e-3}, {"decay": 0.99, "epsilon": 1e-5}):
        yield f"batch_norm {norm}", {"protocol": {"kind": "mnist-paper", "batch_norm": norm}}
    yield "deviation", {"protocol": {"kind": "mnist-paper", "normalization": {"deviation": [0.5]}}}
    yield "tf32", {"protocol": {"kind": "mnist-paper", "precision": "tf32"}}
    yield "dataset", {"dataset": "digits"}
    yield "no compressor", {"compressors": {}}
    compressors: list[dict[str, Any]] = [
        {"kind": "spatial", "stride": 4},
        {"kind": "spatial", "stride": 2, "reduce": "min"},
        {"kind": "topk", "stride": 2},
        {"kind": "topk", "stride": 2, "largest": False},
        {"kind": "conv1x1", "stride": 2},
        {"kind": "conv1x1_bn_relu", "stride": 2},
        {"kind": "average", "stride": 2},
        {"kind": "random", "stride": 2},
        {"kind": "random", "stride": 2, "draw": 1},
        {"kind": "maxout", "stride": 2},
        {"kind": "width", "stride": 2},
    ]
    assert {options["kind"] for options in compressors} == COMPRESSORS.keys()
    for options in compressors:
        yield f"compressor {options}", {"compressors": {"conv2": options}}


def test_whatever_changes_numbers_changes_the_key():
    keys = {"as it is": resolved().key} | {what: resolved(**parts).key for what, parts in others()}
    assert len(set(keys.values())) == len(keys), keys


def test_the_width_of_a_model_is_in_the_key():
    def key(model):
        return resolved(dataset="cifar10", model=model, protocol="cifar-paper", compressors={}).key

    keys = [key("vgg16"), key({"kind": "vgg16", "width": 0.5}), key({"kind": "vgg16", "width": 0.25})]
    assert len(set(keys)) == 3
    assert key({"kind": "vgg16", "width": 1.0}) == keys[0]


def test_the_site_and_the_data_are_in_the_key():
    config = resolved().config
    moved = {**config, "compressors": {"conv1": config["compressors"]["conv2"]}}
    other_data = {**config, "data": {"train": DATASETS["digits"].splits["train"].fingerprint}}
    assert len({trial_key(config), trial_key(moved), trial_key(other_data)}) == 3


def test_names_of_datasets_and_protocols_are_not_in_the_key():
    quick = resolved(protocol="digits-quick", dataset="digits")
    same = resolved(protocol={"kind": "mnist-paper", **quick.config["protocol"]}, dataset="digits")
    assert same.protocol.name != quick.protocol.name
    assert same.key == quick.key
    assert "digits" not in canonical_json(quick.config)
