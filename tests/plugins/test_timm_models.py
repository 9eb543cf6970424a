"""`timm:NAME`: found without importing timm, a network of a trial, and what is refused."""

import re
import subprocess
import sys

import pytest
import torch

from harness.base.checks import FieldError
from harness.base.extras import is_installed
from harness.deploy.network import named_model
from harness.models.build import build_model
from harness.plugins.timm_models import load_timm, timm_models
from harness.trial.resolve import resolve_trial

pytestmark = pytest.mark.skipif(not is_installed("timm"), reason="timm is not installed")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def resolve(model):
    compressors = {"layer1": {"kind": "spatial", "stride": 2}}
    return resolve_trial(
        task="classification", dataset="digits", model=model, compressors=compressors, protocol="digits-quick"
    )


def test_names_and_digests_are_read_without_importing_timm():
    code = "import sys\nfrom harness.plugins.timm_models import load_timm, timm_models\n"
    code += "print(timm_models()['resnet18'], load_timm('timm:resnet18')[1], {'timm', 'torch'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"timm\.models\.resnet [0-9a-f]{16} set\(\)\n", done.stdout)


def test_names_are_those_that_timm_has():
    from harness.torchvision_compat import import_torchvision

    import_torchvision()
    import timm

    assert {*timm_models()} <= {*timm.list_models(include_tags=False)}
    assert len(timm_models()) > 1000


def test_a_network_of_a_trial_takes_the_channels_of_its_data():
    trial = resolve("timm:resnet18")
    model = trial.config["model"]
    assert (model["classes"], model["in_chans"], model["code"]) == (10, 1, load_timm("timm:resnet18")[1])
    network = build_model(trial.config)
    assert network(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert type(network.network.layer1.inserted).__name__ == "ChannelPool2d"
    assert named_model("timm:resnet18", (1, 28, 28), 10)[0] == {**model, "input_shape": (1, 28, 28)}


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("timm:resnet1", "timm has no model 'resnet1'; did you mean 'resnet1"),
        ("timm:xyz", "timm has no model 'xyz'"),
        ("timm:resnet18.a1_in1k", "names weights on a server, which are not fetched: write timm:resnet18"),
        ({"kind": "timm:resnet18", "pretrained": True}, "'pretrained' fetches weights"),
        ({"kind": "timm:resnet18", "in_chan": 1}, "in_chan"),
    ],
)
def test_what_is_refused(model, said):
    with pytest.raises(FieldError, match=re.escape(said)) as raised:
        resolve(model)
    assert "\n" not in str(raised.value)
