"""`harness model sites`: one row per place, sorted, with percent, what MODULE reads, and milliseconds."""

import json

import pytest
from click.testing import CliRunner

from harness.base.extras import is_installed
from harness.bench.clock import Timed
from harness.cli import main
from harness.deploy.latency import saved

UNET = """
import torch
from torch import nn
from torch.nn import functional as F


def block(inputs, outputs):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1, self.down2, self.bottom = block(1, 8), block(8, 16), block(16, 32)
        self.up2, self.up1, self.head = block(48, 16), block(24, 8), nn.Conv2d(8, 2, 1)

    def forward(self, x):
        one = self.down1(x)
        two = self.down2(F.max_pool2d(one, 2))
        x = self.bottom(F.max_pool2d(two, 2))
        x = self.up2(torch.cat([two, F.interpolate(x, scale_factor=2)], 1))
        return self.head(self.up1(torch.cat([one, F.interpolate(x, scale_factor=2)], 1)))
"""


def call(*arguments):
    return CliRunner().invoke(main, ["model", "sites", *arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unet")
    (folder / "unet.py").write_text(UNET)
    return folder


@pytest.fixture
def unet(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return "unet.py:UNet", "--input-shape", "1,32,32"


def rows_of(text):
    """Return the cells of the rows of a table, whose columns are apart by two blanks."""
    _, line, *lines = text.splitlines()
    assert set(line) == {"-", " "}
    return [row.split() for row in lines if row and "as it is, for" not in row and not row.startswith("…")]


@pytest.mark.parametrize("name", ["torchvision:resnet50", "torchvision:mobilenet_v3_large", "torchvision:convnext_tiny",
                                  "timm:efficientnet_b0", "unet"])  # fmt: skip
def test_at_most_40_rows_with_what_saves_most_first_and_its_part_of_all(name, unet):
    if name.startswith("timm:") and not is_installed("timm"):
        pytest.skip("timm is not installed")
    done = call(*unet) if name == "unet" else call(name)
    assert done.exit_code == 0, done.output
    rows = rows_of(done.stdout)
    assert 0 < len(rows) <= 40
    macs = [int(row[4].replace(",", "")) for row in rows]
    assert macs == sorted(macs, reverse=True)
    total = int(done.stdout.rpartition(" parameters, ")[2].partition(" MACs")[0].replace(",", ""))
    assert [row[5] for row in rows] == [f"{saved / total:.1%}" for saved in macs]
    assert ("more rows with less: --all" in done.stdout) == (len(rows) == 40)


def test_modules_between_the_same_layers_are_one_place_named_by_the_last(unet):
    found = json.loads(call(*unet, "--sort", "path", "--format", "json").stdout)
    also = {row["path"]: row["also"] for row in found["rows"]}
    assert also == {
        path: [f"{path}.2", f"{path}.1", f"{path}.0"] for path in ("down1", "down2", "bottom", "up2", "up1")
    }
    assert found["modules"] == 20
    each = json.loads(call(*unet, "--each", "--format", "json").stdout)["rows"]
    assert len(each) == 20
    assert all(row["also"] == [] for row in each)


def test_what_can_stand_before_a_module_of_resnet50():
    done = call("torchvision:resnet50", "--before", "layer2")
    (row,) = rows_of(done.stdout)
    assert row[:8] == ["layer1", "256", "81,920", "0.3%", "102,760,448", "2.5%", "layer1.2", "layer2.0.conv1"]


def test_what_a_skip_leads_to_is_read_there_too(unet):
    found = json.loads(call(*unet, "--before", "up1", "--format", "json").stdout)
    assert {row["path"]: row["readers"] for row in found["rows"]} == {"down1": ["down2.0", "up1.0"], "up2": ["up1.0"]}


def test_milliseconds_are_those_of_each_row_beside_the_plain_network(unet, monkeypatch):
    def milliseconds(networks, inputs, **options):
        (image,) = inputs
        assert image.shape == (3, 1, 32, 32)
        assert options == {"device": "cpu", "threads": 1}
        channels = {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()}
        for network in networks.values():
            network.eval()(image)
        return {name: Timed((count / 1e6, count / 1e6)) for name, count in channels.items()}

    monkeypatch.setattr("harness.deploy.sites.milliseconds", milliseconds)
    words = ["--latency", "--batch", "3", "--threads", "1"]
    found = json.loads(call(*unet, *words, "--sort", "ms", "--format", "json").stdout)
    saved = [row["saved"]["ms"] for row in found["rows"]]
    assert saved == pytest.approx([row["parameters_saved"] / 1e3 for row in found["rows"]])
    assert saved == sorted(saved, reverse=True)
    assert found["ms"] == pytest.approx(found["parameters"] / 1e3)


def test_a_pass_is_timed(unet):
    done = call(*unet, "--latency", "--before", "up1")
    assert done.exit_code == 0, done.output
    assert "ms saved" in done.stdout
    assert " ms; feature pooling" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--before", "up3"], "'unet.py:UNet' has no module 'up3'; did you mean 'up2'?"),
        (["--before", "down1"], "no compressor can go before 'down1'"),
        (["--sort", "ms"], "--sort ms needs --latency"),
        (["--latency", "--device", "gpu"], "--device takes auto, cpu, cuda or cuda:N, not 'gpu'"),
    ],
)
def test_what_cannot_be_says_so_in_a_line(unet, arguments, said):
    done = call(*unet, *arguments)
    assert done.exit_code == 2
    assert said in done.output.splitlines()[-1]


def test_the_interval_of_a_median_is_between_order_statistics():
    """Of ten calls the second and the ninth: the median is outside with a probability of 22/1024."""
    differences = [0.003, 0.001, 0.002, 0.009, 0.005, 0.004, 0.008, 0.006, 0.007, 0.010]
    ten = saved(Timed(tuple(differences)), Timed((0.0,) * 10))
    assert (ten.ms, ten.low, ten.high) == pytest.approx((5.5, 2.0, 9.0))
    five = saved(Timed((1.0, 2.0, 3.0, 4.0, 5.0)), Timed((3.0,) * 5))
    assert (five.ms, five.low, five.high) == (0.0, -2000.0, 2000.0)
    assert (ten.is_shown, five.is_shown) == (True, False)
