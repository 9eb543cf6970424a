"""Files of networks: what ONNX Runtime, and torch where the harness cannot be imported, make of them."""

import json
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from harness.base.errors import HarnessError
from harness.deploy.export import export
from harness.deploy.network import Deployable
from harness.layers import ChannelAverage, ChannelPool, ChannelPool2d, ChannelTopK, Conv1x1, Maxout, insert_after
from harness.torchvision_compat import import_torchvision

ALONE = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "harness":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocked())
import torch

images = torch.load(sys.argv[1])
found = {}
for file in sys.argv[3:]:
    try:
        found[file] = torch.export.load(file).module()(images)
    except Exception as error:
        found[file] = str(error)
assert "harness" not in sys.modules
torch.save(found, sys.argv[2])
"""
SHAPE = (3, 32, 32)
IMAGES = torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(1))


class UNet(nn.Module):
    """Two levels down and up again, the maps of the way down concatenated to those of the way up."""

    def __init__(self):
        super().__init__()
        self.down1, self.down2 = self.block(3, 8), self.block(8, 16)
        self.bottom = self.block(16, 32)
        self.up2, self.up1 = self.block(48, 16), self.block(24, 8)
        self.head = nn.Conv2d(8, 2, 1)

    @staticmethod
    def block(inputs, outputs):
        return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())

    def forward(self, x):
        one = self.down1(x)
        two = self.down2(F.max_pool2d(one, 2))
        x = self.bottom(F.max_pool2d(two, 2))
        x = self.up2(torch.cat([two, F.interpolate(x, scale_factor=2)], 1))
        return self.head(self.up1(torch.cat([one, F.interpolate(x, scale_factor=2)], 1)))


def plain_net():
    layers = []
    for inputs, outputs in ((3, 16), (16, 16), (16, 16), (16, 16), (16, 16)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(16, 4, 3))


def resnet18():
    import_torchvision()
    from torchvision.models import resnet18

    return resnet18(num_classes=10)


NETWORKS = {
    "plain": (
        plain_net,
        {"1": ChannelPool(2), "3": ChannelTopK(2), "5": Maxout(2), "7": ChannelAverage(2), "9": Conv1x1(2)},
    ),
    "resnet18": (  # no activation of it is a module of its own, which maxout needs
        resnet18,
        {
            "layer1": ChannelPool(2),
            "layer2": ChannelTopK(2),
            "layer3.1.bn1": ChannelPool(2, "min"),
            "layer3": ChannelAverage(2),
            "layer4": Conv1x1(2),
        },
    ),
    "unet": (
        UNet,
        {
            "down1": ChannelPool(2),
            "down2": ChannelTopK(2),
            "bottom": Maxout(2),
            "up2": ChannelAverage(2),
            "up1": Conv1x1(2),
        },
    ),
}


def compressed(name):
    torch.manual_seed(0)
    make, compressors = NETWORKS[name]
    network = make().eval()
    for path, compressor in compressors.items():
        network = insert_after(network, path, compressor, input_shape=SHAPE)
    return network.eval()


def subject(network, name="net"):
    return Deployable(name, network, {"input": torch.rand(2, *SHAPE)}, {"input": (0,)}, "output", {"note": "“a”"})


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Return the folder of all files, the networks, and what was said of each file."""
    folder = tmp_path_factory.mktemp("exported")
    networks = {name: compressed(name) for name in NETWORKS}
    said = {
        name: export(subject(network), [folder / f"{name}.onnx", folder / f"{name}.pt2"])
        for name, network in networks.items()
    }
    return folder, networks, said


def outputs(network):
    with torch.no_grad():
        return network(IMAGES)


def assert_same(found, wanted):
    assert float((found - wanted).abs().max()) <= 1e-5 * float(wanted.abs().max())


@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_runtime_computes_the_same(exported, name):
    onnxruntime = pytest.importorskip("onnxruntime")
    folder, networks, said = exported
    session = onnxruntime.InferenceSession(folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"input": IMAGES.numpy()})
    assert_same(torch.from_numpy(found), outputs(networks[name]))
    assert said[name][0].checked_by.startswith("ONNX Runtime")
    assert said[name][0].difference <= 1e-5
    assert json.loads(session.get_modelmeta().custom_metadata_map["harness"]) == {"note": "“a”"}


def test_programs_load_where_the_harness_cannot_be_imported(exported, tmp_path):
    """All but one of a network that calls our operators: what `to_plain` is for."""
    folder, networks, _ = exported
    network = nn.Sequential(nn.Conv2d(3, 4, 1), ChannelPool2d(2)).eval()
    torch.export.save(torch.export.export(network, (IMAGES,)), folder / "ours.pt2")
    torch.save(IMAGES, tmp_path / "images.pt")
    files = {name: folder / f"{name}.pt2" for name in (*networks, "ours")}
    command = [sys.executable, "-c", ALONE, tmp_path / "images.pt", tmp_path / "found.pt", *files.values()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = torch.load(tmp_path / "found.pt")
    assert "error" in found[str(files["ours"])]  # it was not understood
    for name, network in networks.items():
        assert_same(found[str(files[name])], outputs(network))


def test_a_file_that_computes_something_else_is_not_written(monkeypatch, tmp_path):
    monkeypatch.setattr("harness.deploy.export.to_plain", lambda _: nn.Conv2d(3, 2, 1))
    with pytest.raises(HarnessError, match=r"differs from 'net' by .* nothing was written"):
        export(subject(nn.Conv2d(3, 2, 1)), [tmp_path / "net.pt2"])
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("network", "file", "said"),
    [
        (nn.Conv2d(3, 2, 1), "net.pt", "exported as .onnx or .pt2"),
        (nn.Conv2d(4, 2, 1), "net.pt2", "'net' cannot be exported: "),
    ],
)
def test_what_cannot_be_exported_says_so_in_a_line(network, file, said, tmp_path):
    with pytest.raises(HarnessError, match=said) as raised:
        export(subject(network), [tmp_path / file])
    assert "\n" not in str(raised.value)
    assert [*tmp_path.iterdir()] == []
