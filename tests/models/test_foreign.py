"""Foreign networks in trials: sites, what starts equal, weights from a file, refusals in one line."""

import importlib
import json
import sys
from importlib import import_module

import pytest
import torch
from click.testing import CliRunner

from harness.base.checks import FieldError
from harness.base.errors import HarnessError
from harness.cli import main
from harness.models.build import build_model
from harness.study.study import load_study
from harness.torchvision_compat import import_torchvision
from harness.training.recipe import initialise
from harness.trial.plugin_models import declared_model
from harness.trial.resolve import resolve_trial

SPATIAL = {"kind": "spatial", "stride": 2}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("harness.plugins.cache._known", {})
    return tmp_path / "cache"


def resolve(model, compressors=None, data="cifar10", folders=()):
    protocol = "cifar-fast" if data == "cifar10" else "digits-quick"
    return resolve_trial(
        task="classification",
        dataset=data,
        model=model,
        compressors=compressors,
        protocol=protocol,
        plugin_folders=folders,
    )


def network(model, compressors=None, data="cifar10", folders=()):
    trial = resolve(model, compressors, data, folders)
    torch.manual_seed(0)
    made = build_model(trial.config, folders, trial.files)
    initialise(made, "xavier_uniform", 0)
    return made


def test_parameters_that_both_have_at_one_shape_start_equal():
    plain = dict(network("torchvision:resnet18").named_parameters())
    pooled = dict(network("torchvision:resnet18", {"layer1": SPATIAL}).named_parameters())
    assert [*plain] == [*pooled]
    assert {n for n in plain if plain[n].shape != pooled[n].shape} == {
        "network.layer2.0.conv1.weight",
        "network.layer2.0.downsample.0.weight",
    }
    assert all(torch.equal(plain[n], pooled[n]) for n in plain if plain[n].shape == pooled[n].shape)


def test_a_grey_image_is_repeated_and_what_is_observed_has_its_shape():
    made = network("torchvision:squeezenet1_1", data="digits").eval()
    seen = made.features(torch.randn(2, 1, 28, 28))
    assert seen.maps.shape == (2, 256, 3, 3)  # what the last pooling reads: two branches of 128 side by side
    assert seen.hidden.shape == (2, 256)
    assert seen.logits.shape == (2, 10)


def test_what_is_hidden_is_what_the_last_linear_layer_reads():
    made = network("torchvision:resnet18", {"layer1": SPATIAL}).eval()
    seen = made.features(torch.randn(2, 3, 32, 32))
    torch.testing.assert_close(seen.logits, made.network.fc(seen.hidden))


@pytest.mark.parametrize("loses", ["slice", "fresh"])
def test_weights_of_a_file_are_not_initialised_again(tmp_path, loses):
    import_torchvision()
    torch.manual_seed(5)
    old = import_module("torchvision.models").resnet18(num_classes=7)
    torch.save(old.state_dict(), tmp_path / "w.pt")
    model = {"kind": "torchvision:resnet18", "weights": "w.pt", "loses": loses}
    trial = resolve(model, {"layer1": SPATIAL}, folders=(str(tmp_path),))
    assert len(trial.config["model"]["weights"]) == 64
    assert trial.files[trial.config["model"]["weights"]] == str(tmp_path / "w.pt")
    made = network(model, {"layer1": SPATIAL}, folders=(str(tmp_path),)).network
    assert torch.equal(made.layer3[0].conv1.weight, old.layer3[0].conv1.weight)
    sliced = torch.equal(made.layer2[0].conv1.weight, old.layer2[0].conv1.weight[:, ::2])
    assert sliced == (loses == "slice")
    assert made.fc.out_features == 10
    (tmp_path / "w.pt").write_bytes(b"another")
    with pytest.raises(HarnessError, match="has changed since this was planned"):
        build_model(trial.config, (), trial.files)


@pytest.mark.parametrize(
    ("model", "compressors", "message"),
    [
        ("torchvision:resnet1", None, "did you mean 'resnet18'"),
        ("torchvision:inception_v3", None, "it does not run on"),
        ({"kind": "torchvision:resnet18", "foo": 1}, None, "unexpected keyword argument 'foo'"),
        ({"kind": "torchvision:resnet18", "num_classes": 3}, None, "follows from the dataset"),
        ({"kind": "torchvision:resnet18", "weights": "no.pt"}, None, "there is no file 'no.pt'"),
        ({"kind": "torchvision:resnet18", "weights": "no.pt", "loses": ["slice"]}, None, "'loses' .* goes with"),
        ("torchvision:resnet18", {"layer1.0": SPATIAL}, "go at 'layer1.0' of 'torchvision:resnet18': 'add_' in"),
        ("torchvision:resnet18", {"conv1": SPATIAL}, "go at 'conv1' of 'torchvision:resnet18': "),
        ("torchvision:resnet18", {"layer9": SPATIAL}, "unknown site 'layer9'"),
    ],
)
def test_refused_in_one_line(model, compressors, message):
    with pytest.raises(FieldError, match=message) as caught:
        resolve(model, compressors)
    assert "\n" not in str(caught.value)


def test_compressors_that_cannot_stand_together_are_refused_before_anything_runs(monkeypatch):
    monkeypatch.setattr("harness.models.foreign.insert_after", _refusing)
    with pytest.raises(FieldError, match="'torchvision:squeezenet1_1': not beside another") as caught:
        resolve("torchvision:squeezenet1_1", {"features.3": SPATIAL})
    assert caught.value.path == ("compressors",)


def _refusing(*_, **__):
    raise HarnessError("not beside another")


PLUGIN = """
from torch import nn

def small(width=8, num_classes=3):
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.Conv2d(width, 4, 3), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), nn.Linear(4, num_classes))
"""


@pytest.mark.parametrize("kind", ["own_net_a:small", "own_net_a.py:small", "nets/own_net_a.py:small"])
def test_any_callable_that_returns_a_module_is_a_model(tmp_path, kind):
    file = tmp_path / ("nets" if "/" in kind else "") / "own_net_a.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text(PLUGIN, encoding="utf-8")
    folders = (str(tmp_path),)
    model = {"kind": kind, "width": 6}
    trial = resolve(model, {"1": SPATIAL}, folders=folders)
    assert trial.config["model"]["width"] == 6
    made = network(model, {"1": SPATIAL}, folders=folders)
    assert made.network[2].in_channels == 3
    assert made(torch.randn(2, 3, 32, 32)).shape == (2, 10)
    before = trial.key
    file.write_text(f"# a comment\n{PLUGIN}", encoding="utf-8")
    assert resolve(model, {"1": SPATIAL}, folders=folders).key == before
    file.write_text(PLUGIN.replace("4, 3)", "4, 5)"), encoding="utf-8")
    assert resolve(model, {"1": SPATIAL}, folders=folders).key != before
    sys.modules.pop("own_net_a", None)


@pytest.mark.parametrize("mistake", ["self.no", "{}['no']", "import_no()", "[][0]", "1 / 0", "raise_(SystemExit(0))"])
def test_a_constructor_that_fails_is_told_in_one_line(tmp_path, monkeypatch, mistake):
    code = f"""
from torch import nn

def import_no():
    import own_net_no

def raise_(error):
    raise error

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        {mistake}
"""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_net_f.py").write_text(code, encoding="utf-8")
    with pytest.raises(FieldError, match=r"'own_net_f\.py:Net': it cannot be made: \w+(Error|Exit): ") as caught:
        resolve("own_net_f.py:Net", folders=(str(tmp_path),))
    assert caught.value.path == ("model", "kind")
    done = CliRunner().invoke(main, ["model", "sites", "own_net_f.py:Net"])
    (line,) = done.stderr.splitlines()
    assert (done.exit_code, line.startswith("Error: 'own_net_f.py:Net' cannot be made: ")) == (2, True)


def test_sites_for_images_of_another_shape_say_which_and_how_to_say_others(tmp_path, monkeypatch):
    code = "from torch import nn\ndef grey(*, classes=10):\n    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())\n"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_net_h.py").write_text(code, encoding="utf-8")
    said = CliRunner().invoke(main, ["model", "sites", "own_net_h.py:grey"]).stderr
    assert "(images of 3×224×224; say others with --input-shape C,H,W)" in said


def test_a_compressor_whose_layer_cannot_be_made_is_told_in_one_line(tmp_path):
    (tmp_path / "own_net_g.py").write_text(
        f"{PLUGIN}\nclass Wrong:\n    stride, commutes_with = 2, frozenset()\n"
        "    def conv_channels(self, channels): return channels\n"
        "    def out_channels(self, channels): return channels // 2\n"
        "    def layer(self, channels): return {}['no']\n",
        encoding="utf-8",
    )
    with pytest.raises(FieldError, match=r"'own_net_g:small': it cannot be made with them: ") as caught:
        resolve("own_net_g:small", {"1": {"kind": "own_net_g:Wrong"}}, folders=(str(tmp_path),))
    assert caught.value.path == ("compressors",)


def test_a_grid_at_a_site_with_dots_in_its_name_is_blamed_by_its_item(tmp_path):
    (tmp_path / "s.yml").write_text(
        "study: s\ntask: classification\ndataset: cifar10\nmodel: torchvision:resnet18\nprotocol: cifar-fast\n"
        "seeds: [0]\ntrials:\n  - name: '{compressors.layer1.0.conv1.stride}'\n"
        "    compressors: {layer1.0.conv1: spatial}\n    grid:\n      compressors.layer1.0.conv1.stride:\n"
        "        - 2\n        - 4\n        - 7\n",
        encoding="utf-8",
    )
    with pytest.raises(
        HarnessError, match=r"s\.yml:14: stride 7 does not divide the 64 channels at 'layer1\.0\.conv1'"
    ):
        load_study(tmp_path / "s.yml")
    text = (tmp_path / "s.yml").read_text(encoding="utf-8")
    (tmp_path / "s.yml").write_text(text.replace("        - 7\n", ""), encoding="utf-8")
    assert [item.name for item in load_study(tmp_path / "s.yml").trials] == ["2", "4"]


def test_model_sites_of_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_net_c.py").write_text(PLUGIN, encoding="utf-8")
    command = [
        "model",
        "sites",
        "own_net_c.py:small",
        "--input-shape",
        "3,32,32",
        "--classes",
        "10",
        "--format",
        "json",
    ]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    saved = 4 * 9 * 4  # of 4 filters of 3 × 3, half of 8 channels
    assert {row["path"]: row["parameters_saved"] for row in json.loads(done.stdout)["rows"]}["1"] == saved


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FieldError, match=r"there is no file own_net_b\.py for 'own_net_b\.py:small' in "):
        resolve("own_net_b.py:small", folders=(str(tmp_path),))


def test_what_was_found_is_kept(own_cache, monkeypatch):
    resolve("torchvision:squeezenet1_1")
    assert list((own_cache / "harness" / "networks").glob("*.json"))
    monkeypatch.setattr("harness.plugins.cache._known", {})
    monkeypatch.setattr("harness.models.foreign.describe", lambda *_: pytest.fail("looked again"))
    resolve("torchvision:squeezenet1_1")


def kept(own_cache):
    return len(list((own_cache / "harness" / "networks").glob("*.json")))


@pytest.mark.parametrize(
    ("line", "files"),
    [
        ("import math, torch, torchvision.ops, harness.layers", 2),
        ("from own_net_sizes import WIDTH", 2),
        ("import numpy", 0),
        ("from importlib import import_module", 0),
    ],
)
def test_what_is_known_of_a_plug_in_is_kept_where_its_key_holds_all_that_it_imports(tmp_path, own_cache, line, files):
    (tmp_path / "own_net_sizes.py").write_text("WIDTH = 8\n", encoding="utf-8")
    (tmp_path / "own_net_d.py").write_text(f"{line}\n{PLUGIN}", encoding="utf-8")
    resolve("own_net_d.py:small", {"1": SPATIAL}, folders=(str(tmp_path),))
    assert kept(own_cache) == files
    for name in ("own_net_d", "own_net_sizes"):
        sys.modules.pop(name, None)


def test_sites_follow_an_installed_package_that_a_plug_in_imports(tmp_path, monkeypatch):
    installed, beside = tmp_path / "installed", tmp_path / "study"
    installed.mkdir()
    beside.mkdir()
    monkeypatch.syspath_prepend(installed)
    (beside / "own_net_e.py").write_text(
        f"from own_widths import WIDTH\n{PLUGIN.replace('width=8', 'width=WIDTH')}", encoding="utf-8"
    )
    for width in (8, 12):
        (installed / "own_widths.py").write_text(f"WIDTH = {width}\n", encoding="utf-8")
        importlib.invalidate_caches()
        for name in ("own_net_e", "own_widths"):
            sys.modules.pop(name, None)
        monkeypatch.setattr("harness.plugins.cache._known", {})  # another process
        model = resolve("own_net_e.py:small", folders=(str(beside),)).config["model"]
        assert declared_model(model, (str(beside),)).sites["1"].channels == width


DECLARED = """
from harness.trial.models import ModelDeclaration, Site
from torch import nn

class Declared(nn.Module):
    declaration = ModelDeclaration("declared", (1, 28, 28), 10, {"conv": Site("conv", 12, True)}, "own_net_h:Declared")

    def __init__(self, compressors, options):
        super().__init__()
"""


def test_a_network_that_declares_itself_or_has_a_name_of_a_package(tmp_path, monkeypatch):
    given = {"theirs": "own_net_h:small", "declared": "own_net_h:Declared"}
    for module in ("harness.plugins.plugin", "harness.deploy.network"):
        monkeypatch.setattr(f"{module}.entry_points", lambda _: given)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_net_h.py").write_text(PLUGIN + DECLARED, encoding="utf-8")

    def call(*words):
        done = CliRunner().invoke(main, ["model", *words])
        return done.exit_code, done.output

    for name in ("own_net_h.py:Declared", "declared"):
        code, said = call("sites", name, "--format", "json")
        assert (code, json.loads(said)) == (0, [{"path": "conv", "channels": 12, "narrowable": True}])
    code, said = call("sites", "theirs", "--input-shape", "3,32,32", "--classes", "10", "--format", "json")
    assert (code, sorted(p for row in json.loads(said)["rows"] for p in (row["path"], *row["also"]))) == (
        0,
        ["0", "1", "2", "3"],
    )
    assert "did you mean 'declared'?" in call("sites", "declred")[1]
    assert "theirs: of another package, own_net_h:small\n" in call("list")[1]
    assert json.loads(call("list", "--format", "json")[1])[-1]["model"] == "declared"


def test_model_sites_prints_what_is_saved():
    command = ["model", "sites", "torchvision:squeezenet1_1", "--input-shape", "3,64,64", "--format", "json"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)["rows"]
    assert len(rows) > 4
    assert set(rows[0]) >= {"path", "also", "channels", "parameters_saved", "macs_saved"}
    fire = next(row for row in rows if "features.3" in {row["path"], *row["also"]})  # 128 channels, read by a 1×1 to 16
    assert (fire["channels"], fire["parameters_saved"]) == (128, 64 * 16)
