"""torchvision's networks evaluated as they are: with weights and without a protocol."""

from dataclasses import replace

import pytest
import torch

from harness.base.checks import FieldError
from harness.base.errors import HarnessError
from harness.models.build import build_model
from harness.models.foreign import make_network
from harness.models.weights import published_weights
from harness.plugins.torchvision_models import is_published
from harness.trial.datasets import CIFAR10
from harness.trial.imagenet_classes import IMAGENET
from harness.trial.models import own_classes
from harness.trial.plugin_models import is_trained_model, resolve_model
from harness.trial.resolve import resolve_trial

TEN = replace(CIFAR10, name="ten", input_shape=(3, 64, 64), class_names=tuple(sorted(IMAGENET)))
KIND = "torchvision:squeezenet1_1"


def write_weights(folder, classes, name="weights.pth"):
    torch.manual_seed(classes)
    network = make_network({"kind": KIND, "classes": classes})
    torch.save(network.state_dict(), folder / name)
    return network


def resolved(folder, data=TEN, **options):
    model = {"kind": KIND, "weights": str(folder / "weights.pth"), **options}
    return resolve_model(model, data, [str(folder)], trained=False)


def test_with_weights_and_no_protocol_it_is_not_trained(tmp_path):
    write_weights(tmp_path, 10)
    parts = {"task": "classification", "dataset": "cifar10", "plugin_folders": [str(tmp_path)]}
    model = {"kind": KIND, "weights": "weights.pth"}
    found = resolve_trial(**parts, model=model)
    assert found.is_untrained
    assert found.config["model"]["classes"] == 10
    assert found.config["model"]["normalization"]["mean"] == [0.485, 0.456, 0.406]
    trained = resolve_trial(**parts, model=model, protocol="cifar-fast")
    assert not trained.is_untrained
    assert "normalization" not in trained.config["model"]
    assert is_trained_model({"kind": KIND}, []) == (True, False)
    with pytest.raises(FieldError, match="in its protocol") as caught:
        resolve_trial(**parts, model={**model, "normalization": {}}, protocol="cifar-fast")
    assert caught.value.path == ("model", "normalization")


def test_data_with_imagenets_folders_meet_its_thousand_classes(tmp_path):
    network = write_weights(tmp_path, 1000)
    found = resolved(tmp_path)
    config = found.config
    assert (config["classes"], found.declaration.classes) == (1000, 1000)
    assert own_classes(config, TEN.class_names) == [IMAGENET[name] for name in TEN.class_names]
    assert own_classes(config, [f"n{number:08}" for number in range(1000)]) is None  # they are the network's own
    assert own_classes({"kind": "efficientnet_lite0"}, [str(number) for number in range(1000)]) is None
    built = build_model({"model": config, "compressors": {}}, (), found.files).eval()
    pixels = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(built(pixels), network.eval()(pixels))


def test_weights_for_other_classes_are_refused(tmp_path):
    write_weights(tmp_path, 7)
    found = resolved(tmp_path, CIFAR10)
    with pytest.raises(HarnessError, match="are not for 10 classes"):
        build_model({"model": found.config, "compressors": {}}, (), found.files)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"mean": [0.5]}, "must be {mean"),
        ({"mean": [0.5], "deviation": [1, 1, 1]}, "'mean' must be 3 number"),
        ({"mean": [0, 0, 0], "deviation": [1, 0, 1]}, "above 0"),
        ({"mean": [0, 0, 0], "deviation": [1, float("nan"), 1]}, "'deviation' must be 3 number"),
        ("imagenet", "must be {mean"),
    ],
)
def test_a_scale_that_is_none(tmp_path, given, words):
    write_weights(tmp_path, 10)
    with pytest.raises(FieldError, match=words):
        resolved(tmp_path, CIFAR10, normalization=given)


def test_other_scales_are_another_model_and_grey_images_have_no_usual_one(tmp_path):
    write_weights(tmp_path, 10)
    own = {"mean": [0, 0.5, 1], "deviation": [1, 1, 2]}
    assert resolved(tmp_path, CIFAR10, normalization=own).config["normalization"] == own
    grey = replace(CIFAR10, input_shape=(1, 64, 64))
    with pytest.raises(FieldError, match="is missing"):
        resolved(tmp_path, grey)
    assert resolved(tmp_path, grey, normalization={"mean": [0.5], "deviation": [1]}).config["input_shape"][0] == 1


def test_its_own_words_for_weights_are_files_that_it_fetches_once(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    asked = []

    def refuse(url, place, hash_prefix, progress):
        asked.append((url.rpartition("/")[2], hash_prefix, progress))
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(FieldError, match=r"cannot be fetched \(no network\): fetch it by another way"):
        published_weights("squeezenet1_1", "IMAGENET1K_V1")
    assert asked == [("squeezenet1_1-b8a52dc0.pth", "b8a52dc0", False)]
    kept = tmp_path / "hub" / "checkpoints"
    write_weights(kept, 1000, asked[0][0])
    for word in ("IMAGENET1K_V1", "DEFAULT"):
        found = resolve_model({"kind": KIND, "weights": word}, TEN, [], trained=False)
        assert list(found.files.values()) == [str(kept / asked[0][0])]
    assert len(asked) == 1
    with pytest.raises(FieldError, match="did you mean 'IMAGENET1K_V1'"):
        resolve_model({"kind": KIND, "weights": "IMAGENET1K_V9"}, TEN, [], trained=False)
    assert not is_published("squeezenet1_1-b8a52dc0.pth")
