"""`harness model sweep` and `sites`: what is saved, as counted on the changed network; and the document."""

import json
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.cost.count import count
from harness.layers import ChannelPool, insert_after
from harness.layers.insert.saving import Saving
from harness.models.site_costs import SiteCosts, foreign_on_meta
from harness.plugins.torchvision_models import torchvision_models
from harness.report.site_sweep import document, kind_of

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "torchvision-sites.md"
FEW = ("squeezenet1_1", "vit_b_16", "vit_b_32")


def call(*arguments):
    return CliRunner().invoke(main, ["model", *arguments])


def test_what_layer1_of_resnet50_saves_at_stride_2():
    done = call("sites", "torchvision:resnet50", "--stride", "2", "--format", "json")
    assert done.exit_code == 0, done.output
    expected = {"path": "layer1", "channels": 256, "parameters_saved": 81920, "macs_saved": 102760448}
    (row,) = [row for row in json.loads(done.stdout)["rows"] if row["path"] == "layer1"]
    assert expected.items() <= row.items()


@pytest.mark.parametrize(
    ("name", "stride", "paths"),
    [
        ("resnet18", 2, ["layer1", "layer2.0.conv1", "layer4"]),
        ("vgg11_bn", 4, ["features.0", "features.28", "avgpool"]),
        ("googlenet", 2, ["inception3a", "inception4a.branch2", "maxpool4"]),  # its branches meet in a concatenation
        ("densenet121", 2, ["features.denseblock1.denselayer2", "features.transition1"]),
        ("mobilenet_v2", 2, ["features.2.conv.0", "features.18"]),  # depthwise convolutions behind it
        ("efficientnet_b0", 2, ["features.2.0.block.0", "features.2.0.block.1"]),  # squeeze and excitation
        ("regnet_y_400mf", 4, ["stem", "trunk_output.block1"]),
        ("maxvit_t", 2, ["blocks.0.layers.0.layers.MBconv.layers.conv_b"]),
        ("convnext_tiny", 2, ["features.2.0"]),
    ],
)
def test_what_is_said_to_be_saved_is_what_the_changed_network_lacks(name, stride, paths):
    shape = (3, 224, 224) if name == "maxvit_t" else (3, 64, 64)
    size = ",".join(map(str, shape))
    words = ["--stride", str(stride), "--input-shape", size, "--each", "--format", "json"]
    done = call("sites", f"torchvision:{name}", *words)
    said = {row["path"]: row for row in json.loads(done.stdout)["rows"]}
    network = foreign_on_meta({"kind": f"torchvision:{name}", "classes": 1000, "input_shape": shape})
    plain = count(network, shape)
    for path in paths:
        left = count(insert_after(network, path, ChannelPool(stride), input_shape=shape), shape)
        assert said[path]["parameters_saved"] == plain.parameters - left.parameters > 0, path
        assert said[path]["macs_saved"] == plain.macs - left.macs > 0, path


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep over few networks: its result, and the document that it wrote."""
    out = tmp_path_factory.mktemp("sweep") / "sites.md"
    done = call("sweep", "--only", "[sv][qi][ut]*[1b]_[13]*", "--out", str(out), "--format", "json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout), out.read_text(encoding="utf-8"), done.stderr


def test_a_sweep_says_what_it_found_and_how_far_it_is(swept):
    found, _, progress = swept
    models = {model["model"]: model for model in found["models"]}
    assert {*FEW} <= {*models}
    assert found["versions"]["torchvision"] == metadata.version("torchvision")
    assert f"{len(models)}/{len(models)} " in progress.splitlines()[-1]
    squeezed, vit = models["squeezenet1_1"], models["vit_b_32"]
    assert not squeezed["wrong"]
    assert len(squeezed["sites"]) == 63
    assert vit["sites"] == []
    fire = next(site for site in squeezed["sites"] if site["path"] == "features.3")  # 128 channels, read by 1×1 to 16
    assert fire["parameters"] == squeezed["parameters"] - 64 * 16
    assert fire["macs"] == squeezed["macs"] - fire["macs_saved"]
    for model in models.values():
        paths = [entry["path"] for entry in (*model["sites"], *model["refused"])]
        assert len(paths) == len({*paths}) > 20


def test_the_document_holds_a_line_a_network(swept):
    found, text, _ = swept
    for model in found["models"]:
        (line,) = [line for line in text.splitlines() if line.startswith(f"| `{model['model']}` |")]
        assert f"| {len(model['sites'])} | {len(model['refused'])} |" in line
    assert f"torchvision {metadata.version('torchvision')} and torch" in text
    sites = sum(len(model["sites"]) for model in found["models"])
    assert f"**{sites:,} sites in {sum(bool(m['sites']) for m in found['models'])} of {len(found['models'])}" in text
    assert text == document(found)


def test_a_site_that_does_not_work_is_an_error(monkeypatch):
    monkeypatch.setattr(SiteCosts, "wrong", lambda _: iter(["'features.0' does not work: because"]))
    done = call("sweep", "--only", "alexnet")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1] == "alexnet: 'features.0' does not work: because"


def test_what_is_saved_wrongly_is_found(monkeypatch):
    monkeypatch.setattr("harness.models.site_costs.saving", lambda *_: Saving(7, 7))
    done = call("sweep", "--only", "alexnet")
    assert done.exit_code == 1
    assert "there is saved Saving(parameters=" in done.stderr


def test_a_network_that_does_not_run_is_refused_in_one_line():
    done = call("sweep", "--only", "alexnet", "--input-shape", "3,8,8", "--format", "json")
    assert done.exit_code == 0
    (model,) = json.loads(done.stdout)["models"]
    assert (model["sites"], model["macs"]) == ([], None)
    (refused,) = model["refused"]
    assert kind_of(refused["reason"]) == "the network does not run on such images"
    assert "\n" not in refused["reason"]


def test_no_such_model():
    done = call("sweep", "--only", "resnet5")
    assert done.exit_code == 2
    assert "did you mean 'resnet50'?" in done.output


def test_the_published_document_is_of_all_models():
    text = DOCUMENT.read_text(encoding="utf-8")
    named = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")}
    version = text.partition("with torchvision ")[2].split()[0]
    assert "all of which work" in text
    if version != metadata.version("torchvision"):
        pytest.skip(f"the document is of torchvision {version}, which may have other models")
    assert named == {*torchvision_models()}
