"""A trial of a model that is never trained: no protocol, no training data, its constants in its key, its errors."""

import hashlib

import pytest

from harness.base.checks import FieldError
from harness.classical import Bm3dOptions
from harness.cost.count import count_config
from harness.study.study import load_study
from harness.trial.attempt_digest import attempt_digest
from harness.trial.classical import UNTRAINED
from harness.trial.counts import counts_of
from harness.trial.models import MODELS
from harness.trial.resolve import resolve_trial

BM3D_KEY = "e35f9c2ee322b0d3da49477383f2f00e"
"""A released trial's key: see `test_keys.py`."""


def trial(model="bm3d", **parts):
    usual = {"task": "denoising", "dataset": "sample-photos", "evaluate": [{"sigma": 25}]}
    return resolve_trial(**{**usual, **parts}, model=model)


def test_its_key_is_made_of_the_task_and_the_model_alone():
    found = trial()
    assert found.config == {"task": {"kind": "denoising"}, "data": {}, "model": {"kind": "bm3d"}, "compressors": {}}
    assert found.key == BM3D_KEY
    elsewhere = trial(dataset="kodak24", evaluate=[{"sigma": [15, 50]}, {"dataset": "sample-photos", "sigma": 25}])
    assert elsewhere.key == found.key
    assert [(each.dataset, each.condition["sigma"]) for each in elsewhere.evaluations] == [
        ("kodak24", 15.0),
        ("kodak24", 50.0),
        ("sample-photos", 25.0),
    ]


def test_it_has_no_protocol_and_the_data_that_it_is_tested_on():
    found = trial(dataset="kodak24", evaluate=[{"dataset": "sample-photos", "sigma": 25}])
    assert (found.protocol, found.protocol_name, found.precision) == (None, "not trained", "fp32")
    assert (found.is_untrained, found.is_function) == (True, False)
    assert [(split.name, split.split) for split in found.datasets] == [("sample-photos", "test")]
    assert [declared.name for declared in found.data] == ["sample-photos"]


def test_its_code_does_not_depend_on_what_it_is_tested_on():
    digests = {
        attempt_digest(found.config, found.data, kind)
        for found in (trial(), trial(dataset="cifar10"))
        for kind in ("train", "evaluate", "check", "timing")
    }
    assert len(digests) == 1
    assert digests != {attempt_digest(trial("nlm").config, trial("nlm").data)}


def test_constants_are_part_of_the_key_unless_they_are_the_default():
    assert trial({"kind": "bm3d", "threshold": 3.0, "window": 39}).key == trial().key
    changed = trial({"kind": "bm3d", "threshold": 2.7, "wiener": 1})
    assert changed.config["model"] == {"kind": "bm3d", "threshold": 2.7, "wiener": 1.0}
    options = MODELS["bm3d"].options.model_validate({"threshold": 2.7, "wiener": 1})
    assert options.constants() == Bm3dOptions(threshold=2.7, wiener=1.0)


@pytest.mark.parametrize(
    ("model", "parts", "path", "words"),
    [
        ("bm3d", {"protocol": "dncnn"}, ("protocol",), "'bm3d' is not trained: leave 'protocol' out"),
        ("bm3d", {"task": {"kind": "denoising", "sigma": 25}}, ("task", "sigma"), "write it into 'evaluate'"),
        ("bm3d", {"evaluate": None}, ("evaluate",), "say what it is tested on, e.g. evaluate: [{sigma: 25}]"),
        ("bm3d", {"evaluate": ["kodak24"]}, ("evaluate", 0, "sigma"), "'sigma' is missing"),
        ("bm3d", {"dataset": "bsd432"}, ("evaluate",), "has no test split"),
        ("bm3d", {"dataset": None}, ("dataset",), "'dataset' is missing"),
        ("bm3d", {"task": "classification"}, ("model",), "gives images, not classes"),
        ("bm3d", {"compressors": {"conv1": "maxout"}}, ("compressors", "conv1"), "unknown site"),
        ({"kind": "bm3d", "treshold": 3}, {}, ("model", "treshold"), "did you mean 'threshold'"),
        ({"kind": "bm3d", "threshold": "3"}, {}, ("model", "threshold"), "must be a number"),
        ({"kind": "bm3d", "stride": 2.5}, {}, ("model", "stride"), "must be a whole number"),
        ({"kind": "bm3d", "window": 4}, {}, ("model",), "window is 4; give an odd number"),
        ({"kind": "k_svd", "confidence": 2}, {}, ("model",), "give a number between 0 and 1"),
        ("blur", {}, ("model", "sigma"), "'sigma' is missing"),
        ({"kind": "nlm", "h": 0}, {}, ("model", "h"), "greater than 0"),
        ("dncnn", {}, ("task", "sigma"), "'sigma' is missing"),
        ("dncnn", {"task": {"kind": "denoising", "sigma": 25}}, ("protocol",), "'protocol' is missing"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(model, parts, path, words):
    with pytest.raises(FieldError) as raised:
        trial(model, **parts)
    assert (raised.value.path, words in raised.value.message) == (path, True), raised.value


def test_published_weights_are_evaluated_as_they_are_unless_a_protocol_trains_on(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"weights")
    network = {"kind": "ffdnet", "weights": "w.pth", "residual": True}
    found = trial(network, plugin_folders=[str(tmp_path)])
    digest = hashlib.sha256(b"weights").hexdigest()
    assert found.config["model"]["weights"] == digest
    assert (found.is_untrained, found.files) == (True, {digest: str(tmp_path / "w.pth")})
    noise, recipe = {"kind": "denoising", "sigma": 25}, {"kind": "dncnn", "augmentation": {"size": 16, "per_image": 9}}
    trained = trial(network, task=noise, protocol=recipe, plugin_folders=[str(tmp_path)])
    assert not trained.is_untrained


def test_grey_and_colour_images_are_one_trial():
    grey = trial(dataset="bsd68")
    assert grey.key == trial().key


@pytest.mark.parametrize("declared", UNTRAINED, ids=lambda declared: declared.name)
def test_it_has_no_parameters_and_no_multiply_accumulates(declared):
    options = {"sigma": 1.0} if declared.name == "blur" else {}
    config = {"model": {"kind": declared.name, **options}, "compressors": {}}
    assert counts_of(config) == count_config(config) == {"parameters": 0.0, "variables": 0.0}


def test_an_entry_of_a_study_can_leave_the_protocol_of_the_others(load):
    text = """\
study: s
task: {kind: denoising, sigma: 25}
dataset: sample-photos
protocol: {kind: dncnn, augmentation: {kind: patches, size: 16, per_image: 10}}
seeds: [0]
trials:
  - {name: DnCNN, model: {kind: dncnn, depth: 3, width: 4}}
  - {name: BM3D, model: bm3d, protocol: null, task: denoising, evaluate: [{sigma: 25}]}
"""
    trained, untrained = (item.trial for item in load(text).trials)
    assert (trained.is_untrained, untrained.is_untrained) == (False, True)
    assert trained.evaluations == untrained.evaluations


def test_one_seed_stands_for_all_of_what_draws_no_random_numbers(tmp_path):
    file = tmp_path / "s.yml"
    file.write_text(
        "study: s\ntask: denoising\ndataset: sample-photos\nseeds: [3, 4, 5]\nevaluate: [{sigma: 25}]\n"
        "trials:\n  - {name: BM3D, model: bm3d}\n  - {name: K-SVD, model: k_svd}\n"
        "  - {name: K-SVD again, model: k_svd, seeds: [6]}\n  - {name: BM3D again, model: bm3d, seeds: [6]}\n"
        "  - name: CNN\n    task: {kind: denoising, sigma: 25}\n"
        "    dataset: cifar10\n    model: dncnn\n    protocol: denoise-tuned\n"
    )
    found = {item.name: item.seeds for item in load_study(file).trials}
    assert found == {"BM3D": (3,), "K-SVD": (3, 4, 5, 6), "CNN": (3, 4, 5)}
