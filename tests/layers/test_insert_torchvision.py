"""torchvision's networks: where compressors can stand in them, and that they can."""

import copy
import random
import re
from importlib import import_module
from pathlib import Path

import pytest
import torch

from harness.base.errors import HarnessError
from harness.layers import ChannelPool, Maxout, Width, insert_after, list_sites, refused_sites
from harness.torchvision_compat import import_torchvision


def sample(name, items, count):
    """Return some of the items, the same ones for a name."""
    return random.Random(name).sample(items, min(count, len(items)))  # noqa: S311


def build(name, device="meta", **options):
    import_torchvision()
    with torch.device(device):
        return getattr(import_module("torchvision.models"), name)(**options)


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


# Model: sites that there must be, with their readers, and places that must be refused, with the reason's beginning.
EXPECTED = {
    "resnet18": (
        {"layer1": ("layer2.0.conv1", "layer2.0.downsample.0"), "layer4": ("fc",)},
        {"layer1.0": "'add_' in 'layer1.1' combines", "layer2.0.relu": "it is called 2 times in a pass"},
    ),
    "alexnet": (
        {"features.12": ("classifier.1",), "features.0": ("features.3",)},
        {"classifier.1": "it does not return"},
    ),
    "vgg11_bn": ({"features.28": ("classifier.0",), "features.0": ("features.1", "features.4")}, {}),
    "squeezenet1_0": (
        {"features.3.expand1x1": ("features.4.squeeze",), "features.12": ("classifier.1",)},
        {"classifier.1": "its channels reach the output"},
    ),
    "densenet121": (
        {"features.transition1": None, "features.denseblock4": ("features.norm5", "classifier")},
        {},
    ),
    "mobilenet_v2": (
        {"features.2.conv.0": ("features.2.conv.1.0", "features.2.conv.1.1", "features.2.conv.2"), "features.18": None},
        {"features.2": "'add' in 'features.3' combines"},
    ),
    "googlenet": (
        {
            "inception3a": tuple(f"inception3b.{b}.conv" for b in ("branch1", "branch2.0", "branch3.0", "branch4.1")),
            "inception4a.branch2": (
                *(f"inception4b.{b}.conv" for b in ("branch1", "branch2.0", "branch3.0", "branch4.1")),
                "aux1.conv.conv",
            ),
        },
        {"aux1": "it does not return maps"},
    ),
    "inception_v3": ({"Mixed_5b": None, "Mixed_6e.branch7x7_1": None}, {}),
    "efficientnet_b0": (
        {"features.2.0.block.1": (*(f"features.2.0.block.{layer}" for layer in ("2.fc1", "2.fc2", "3.0")),)},
        {
            "features.2.0": "'add_' in 'features.2.1' combines",
            "features.2.0.block.2.fc2": "'mul' in 'features.2.0.block.2'",
        },
    ),
    "regnet_y_400mf": (
        {"stem": None, "trunk_output.block1": None},
        {"trunk_output.block1.block1-0.f.a": "'trunk_output.block1.block1-0.f.b.0' reads its channels and is a"},
    ),
    "convnext_tiny": ({"features.2.0": ("features.2.1",)}, {"features.0.0": "'permute' in 'features.0.1' moves"}),
    "vit_b_16": ({}, {"conv_proj": "'permute' in the model's forward moves its channels"}),
    "shufflenet_v2_x1_0": (
        {"maxpool": None, "conv5": ("fc",)},
        {"stage2.0": "'chunk' in 'stage2.1' takes its channels apart"},
    ),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_sites_are_listed_and_can_be_used(name):
    built_on = "cpu" if name.startswith("regnet") else "meta"
    model = build(name, built_on, **({"init_weights": False} if name in {"googlenet", "inception_v3"} else {})).to(
        "meta"
    )
    shape = (3, 299, 299) if name == "inception_v3" else (3, 224, 224)
    sites = {site.path: site for site in list_sites(model, shape)}
    wanted, unwanted = EXPECTED[name]
    for path, readers in wanted.items():
        assert readers in (None, sites[path].readers)
    if unwanted:
        refused = refused_sites(model, shape)
        assert {*sites, *refused} == {path for path, _ in model.named_modules()} - {""}
        assert not {*sites} & {*refused}
        assert all(reason and "\n" not in reason for reason in refused.values())
        for path, reason in unwanted.items():
            assert refused[path].startswith(reason)
    for path in sample(name, sorted(sites), 1):
        changed = insert_after(model, path, ChannelPool(2), input_shape=shape)
        assert count(changed) < count(model)
        assert list(changed.state_dict()) == list(model.state_dict())


def test_resnet50_halves_what_its_second_stage_reads():
    model = build("resnet50")
    changed = insert_after(model, "layer1", ChannelPool(2), input_shape=(3, 224, 224))
    assert count(model) == 25_557_032
    assert count(changed) == 25_475_112
    assert changed.layer2[0].conv1.in_channels == 128
    assert tuple(changed.layer2[0].downsample[0].weight.shape) == (512, 128, 1, 1)
    assert changed.layer1.inserted.stride == 2
    with pytest.raises(HarnessError, match="no plain convolution makes its channels for it alone"):
        insert_after(model, "layer1", Width(2), input_shape=(3, 224, 224))
    with pytest.raises(HarnessError, match=r"'layer1': what the activation 'relu_?' in 'layer1\.2\.relu' reads is not"):
        insert_after(model, "layer1", Maxout(2), input_shape=(3, 224, 224))


@pytest.mark.parametrize(
    ("name", "samples"), [("squeezenet1_1", 1000), ("mobilenet_v2", 5), ("densenet121", 1), ("mobilenet_v3_small", 2)]
)
def test_a_compressed_network_is_the_old_one_without_the_other_channels(name, samples):
    """At each site (a sample of them) of networks in which zero stays zero up to the readers; and it trains."""
    shape = (3, 64, 64)
    torch.manual_seed(0)
    model = build(name, "cpu").eval()
    sites = list_sites(model, shape)
    x = torch.randn(2, *shape)
    for site in sample(name, sites, samples):

        def compressed(module, args, output):
            zeros = torch.zeros_like(output)
            zeros[:, ::2] = ChannelPool(2).layer(output.shape[1])(output)
            return zeros

        old = copy.deepcopy(model)
        old.get_submodule(site.path).register_forward_hook(compressed)
        new = insert_after(model, site.path, ChannelPool(2), input_shape=shape)
        result = new(x)
        torch.testing.assert_close(result, old(x), rtol=1e-3, atol=1e-5, msg=lambda m, path=site.path: f"{path}: {m}")
        result.square().sum().backward()
        assert all(parameter.grad is not None for parameter in new.parameters()), site.path


def test_the_documents_example_runs(capsys):
    text = (Path(__file__).resolve().parents[2] / "docs" / "insert.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    import_torchvision()
    exec(code, {})  # noqa: S102
    printed = capsys.readouterr().out.splitlines()
    promised = [comment.removesuffix(" …") for comment in re.findall(r"  # (.*)", code)]
    assert len(promised) == 3
    assert all(any(line.startswith(comment) for line in printed) for comment in promised)
