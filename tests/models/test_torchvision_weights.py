"""torchvision's networks evaluated as they are: with weights and without a protocol."""

import hashlib
import re
from dataclasses import replace

import pytest
import torch

from harness.base.checks import FieldError
from harness.models import weights
from harness.models.build import build_model
from harness.models.foreign import make_network
from harness.models.weights import published_scales, published_weights
from harness.plugins.torchvision_models import is_published
from harness.tasks.classification import Classification
from harness.trial.datasets import CIFAR10
from harness.trial.imagenet_classes import IMAGENET
from harness.trial.models import input_scales, own_classes
from harness.trial.plugin_models import is_trained_model, resolve_model
from harness.trial.resolve import resolve_trial

TEN = replace(CIFAR10, name="ten", input_shape=(3, 64, 64), class_names=tuple(sorted(IMAGENET)))
LARGE = replace(TEN, input_shape=(3, 96, 96))
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
    assert found.config["model"]["input_scales"]["mean"] == [0.485, 0.456, 0.406]
    trained = resolve_trial(**parts, model=model, protocol="cifar-fast")
    assert not trained.is_untrained
    assert "input_scales" not in trained.config["model"]
    assert is_trained_model({"kind": KIND}, []) == (True, False)
    with pytest.raises(FieldError, match="in its protocol") as caught:
        resolve_trial(**parts, model={**model, "input_scales": {}}, protocol="cifar-fast")
    assert caught.value.path == ("model", "input_scales")


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


def test_the_weights_say_for_how_many_classes_they_are(tmp_path):
    """Also of data whose folders are all known to ImageNet; a file of an older torch has no memory map."""
    ten = replace(TEN, class_names=tuple(sorted(IMAGENET))[:10])
    assert ten.classes == 10
    network = write_weights(tmp_path, 10)
    assert resolved(tmp_path, ten).config["classes"] == 10
    torch.save(network.state_dict(), tmp_path / "weights.pth", _use_new_zipfile_serialization=False)
    assert resolved(tmp_path, CIFAR10).config["classes"] == 10
    write_weights(tmp_path, 1000)
    assert resolved(tmp_path, ten).config["classes"] == 1000
    with pytest.raises(FieldError, match="the weights are for 1,000 classes, the data have 10") as caught:
        resolved(tmp_path, CIFAR10)
    assert caught.value.path == ("weights",)
    write_weights(tmp_path, 7)
    with pytest.raises(FieldError, match="the weights are for 7 classes, the data have 10"):
        resolved(tmp_path, ten)
    torch.save([1], tmp_path / "weights.pth")
    with pytest.raises(FieldError, match="is not a state dict"):
        resolved(tmp_path, ten)


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
        resolved(tmp_path, CIFAR10, input_scales=given)


def test_other_scales_are_another_model_and_grey_images_have_no_usual_one(tmp_path):
    write_weights(tmp_path, 10)
    own = {"mean": [0, 0.5, 1], "deviation": [1, 1, 2]}
    assert resolved(tmp_path, CIFAR10, input_scales=own).config["input_scales"] == own
    grey = replace(CIFAR10, input_shape=(1, 64, 64))
    with pytest.raises(FieldError, match="is missing"):
        resolved(tmp_path, grey)
    assert resolved(tmp_path, grey, input_scales={"mean": [0.5], "deviation": [1]}).config["input_shape"][0] == 1


def test_what_draws_its_new_layers_is_seeded(tmp_path):
    write_weights(tmp_path, 10)
    parts = {"task": "classification", "dataset": "cifar10", "plugin_folders": [str(tmp_path)]}
    model = {"kind": KIND, "weights": "weights.pth", "loses": "fresh"}
    assert not resolve_trial(**parts, model=model).seeded
    place = next(iter(resolved(tmp_path, CIFAR10).declaration.sites))
    assert resolve_trial(**parts, model=model, compressors={place: {"kind": "conv1x1", "stride": 2}}).seeded


def test_published_weights_say_how_they_scale_their_inputs(tmp_path, monkeypatch):
    usual = {"mean": [0.485, 0.456, 0.406], "deviation": [0.229, 0.224, 0.225]}
    assert published_scales("resnet18", "IMAGENET1K_V1") == usual
    half = {"mean": [0.5] * 3, "deviation": [0.5] * 3}
    assert published_scales("efficientnet_v2_l", "DEFAULT") == half
    monkeypatch.setattr(weights, "published_weights", lambda name, _: str(tmp_path / f"{name}.pth"))
    monkeypatch.setattr(weights, "classes_of", lambda _: 1000)
    found = {}
    for name in ("efficientnet_v2_l", "googlenet", "inception_v3"):
        (tmp_path / f"{name}.pth").write_bytes(name.encode())
        model = {"kind": f"torchvision:{name}", "weights": "IMAGENET1K_V1"}
        found[name] = resolve_model(model, LARGE, [], trained=False).config
    assert found["efficientnet_v2_l"]["input_scales"] == half
    assert "transform_input" not in found["efficientnet_v2_l"]
    for name in ("googlenet", "inception_v3"):
        assert (found[name]["transform_input"], found[name]["input_scales"]) == (True, usual)
    model = {"kind": "torchvision:googlenet", "weights": "IMAGENET1K_V1", "transform_input": False}
    assert resolve_model(model, LARGE, [], trained=False).config["transform_input"] is False
    own = {"kind": "torchvision:googlenet", "weights": str(tmp_path / "googlenet.pth")}
    assert "transform_input" not in resolve_model(own, LARGE, [], trained=False).config


def test_weights_without_a_classifier_are_refused():
    assert is_published("IMAGENET1K_FEATURES")
    with pytest.raises(FieldError, match="'IMAGENET1K_FEATURES' of 'vgg16' have no classifier"):
        resolve_model({"kind": "torchvision:vgg16", "weights": "IMAGENET1K_FEATURES"}, TEN, [], trained=False)


def test_densenets_files_have_dots_in_the_names_of_modules(tmp_path):
    torch.manual_seed(1)
    model = {"kind": "torchvision:densenet121", "classes": 10}
    network, other = make_network(model), make_network(model)
    of_file = {name: value for name, value in network.state_dict().items() if not name.endswith("_tracked")}
    older = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name): of_file[name] for name in of_file}
    assert "features.denseblock1.denselayer1.norm.1.weight" in older
    torch.save(older, tmp_path / "dense.pth")
    digest = hashlib.sha256((tmp_path / "dense.pth").read_bytes()).hexdigest()
    weights.load_weights(other, str(tmp_path / "dense.pth"), digest)
    loaded = other.state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in network.state_dict().items())


PLUGIN = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self, num_classes, normalization="batch", weights=0.5, loses=1, input_scales=3):
        self.said = normalization, weights, loses, input_scales
        last = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes)
        super().__init__(nn.Conv2d(3, 4, 3), nn.ReLU(), *last)
"""


def test_a_plug_in_may_have_options_of_these_names(tmp_path):
    (tmp_path / "own_net.py").write_text(PLUGIN)
    given = {"normalization": "none", "weights": 0.25, "loses": 2, "input_scales": 4}
    found = resolve_trial(
        task="classification", dataset="cifar10", protocol="cifar-fast", model={"kind": "own_net:Net", **given},
        compressors={"0": {"kind": "conv1x1", "stride": 2}}, plugin_folders=[str(tmp_path)],
    )  # fmt: skip
    model = found.config["model"]
    assert {name: model[name] for name in given} == given
    built = build_model(found.config, (str(tmp_path),), {})
    assert built.network.said == (*given.values(),)
    assert (input_scales(model), own_classes(model, CIFAR10.class_names)) == (None, None)
    Classification({"task": {}, "model": model}, [CIFAR10], tmp_path, torch.device("cpu"), channels_last=False)


def test_its_own_words_for_weights_are_files_that_it_fetches_once(tmp_path, monkeypatch, caplog):
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
    (line,) = caplog.messages
    assert line == f"fetching https://download.pytorch.org/models/{asked[0][0]} to {kept / asked[0][0]}"
    write_weights(kept, 1000, asked[0][0])
    for word in ("IMAGENET1K_V1", "DEFAULT"):
        found = resolve_model({"kind": KIND, "weights": word}, TEN, [], trained=False)
        assert list(found.files.values()) == [str(kept / asked[0][0])]
    assert len(asked) == 1
    with pytest.raises(FieldError, match="did you mean 'IMAGENET1K_V1'"):
        resolve_model({"kind": KIND, "weights": "IMAGENET1K_V9"}, TEN, [], trained=False)
    assert not is_published("squeezenet1_1-b8a52dc0.pth")
