"""Published weights in every format: what is loaded computes what the file's network computes; what does not fit."""

import hashlib
from itertools import pairwise

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.io import savemat
from torch import nn
from torch.nn import functional as F

from harness.base.checks import FieldError
from harness.base.errors import HarnessError
from harness.base.extras import MissingPartError
from harness.models.build import build_model
from harness.models.denoising import weight_files
from harness.training.recipe import initialise
from harness.trial.plugin_models import declared_model, resolve_model

DNCNN = {"kind": "dncnn", "depth": 12, "width": 5}  # of two-digit numbers, so that their order matters
FFDNET = {"kind": "ffdnet", "depth": 4, "width": 6, "norm": "none"}


def load(file, colour, **model):
    """Return the network that a study's `model` with this file of weights means, and where the file's weights are."""
    found = resolve_model({**model, "weights": file.name}, colour, (str(file.parent),))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert found.config["weights"] == digest
    assert found.files == {digest: str(file)}
    assert declared_model(found.config, ()).name == model["kind"]
    return build_model({"model": found.config, "compressors": {}}, (), found.files).eval()


def layers(sizes, *, norm, bias=True, kind=nn.Conv2d):
    """Return convolutions and ReLUs, all but the first and the last normalised, with values that all matter."""
    torch.manual_seed(0)
    made = []
    for number, (a, b) in enumerate(pairwise(sizes)):
        made.append(kind(a, b, 3, padding=1, bias=bias))
        if norm and 0 < number < len(sizes) - 2:
            made.append(nn.BatchNorm2d(b))
            for name, values in made[-1].state_dict().items():
                if name in {"weight", "running_var"}:
                    values.uniform_(0.5, 2)
                elif name in {"bias", "running_mean"}:
                    values.uniform_(-1, 1)
        made.append(nn.ReLU())
    return nn.Sequential(*made[:-1]).eval()


def chain(**options):
    return layers([3, *[5] * 11, 3], **options)


def noisy(*size):
    return torch.randn(2, 3, *(size or (6, 7)), generator=torch.Generator().manual_seed(1)) * 50 + 100


def written(folder, state, name="weights.pth"):
    torch.save(state, folder / name)
    return folder / name


def check_dncnn(model, network):
    with torch.no_grad():
        expected = noisy() - 255 * network(noisy() / 255)
        assert torch.allclose(model(noisy()), expected, rtol=1e-4, atol=2e-3)
        initialise(model, "xavier_uniform", seed=0)
        assert torch.allclose(model(noisy()), expected, rtol=1e-4, atol=2e-3)


@pytest.mark.parametrize(
    ("norm", "in_file", "bias"),
    [
        ("batch", True, True),
        ("batch", True, False),
        ("none", True, True),
        ("none", True, False),
        ("none", False, True),
        ("none", False, False),
    ],
)
@pytest.mark.parametrize("prefix", ["model.", "module.dncnn.", ""])
def test_a_state_dict_of_any_names(tmp_path, colour, norm, in_file, bias, prefix):
    network = chain(norm=in_file, bias=bias)
    state = {f"{prefix}{name}": value for name, value in network.state_dict().items()}
    check_dncnn(load(written(tmp_path, state), colour, **DNCNN, norm=norm), network)


@pytest.mark.parametrize("wrapper", ["state_dict", "params"])
def test_a_state_dict_within_a_checkpoint(tmp_path, colour, wrapper):
    network = chain(norm=False)
    check_dncnn(
        load(written(tmp_path, {"epoch": 3, wrapper: network.state_dict()}), colour, **DNCNN, norm="none"), network
    )


def test_safetensors(tmp_path, colour):
    network = chain(norm=True)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    check_dncnn(load(tmp_path / "weights.safetensors", colour, **DNCNN), network)


@pytest.mark.parametrize(
    "model",
    [DNCNN, FFDNET, {"kind": "vdsr", "depth": 4, "width": 5}, {"kind": "red_net", "depth": 6, "width": 5}],
    ids=lambda model: model["kind"],
)
def test_weights_that_the_harness_kept(tmp_path, colour, model):
    torch.manual_seed(0)
    trained = build_model({"model": model, "compressors": {}})
    trained.train()(noisy())
    again = load(written(tmp_path, trained.state_dict()), colour, **model)
    assert torch.equal(again(noisy()), trained.eval()(noisy()))
    initialise(again, "xavier_uniform", seed=0)
    assert torch.equal(again(noisy()), trained(noisy()))


def test_red_net_with_other_names(tmp_path, colour):
    torch.manual_seed(0)
    model = {"kind": "red_net", "depth": 6, "width": 5}
    trained = build_model({"model": model, "compressors": {}})
    state = {
        f"{'de' * ('de' in name)}conv_layers.{name.split('.')[1]}.0.{name.split('.')[2]}": value
        for name, value in trained.state_dict().items()
    }
    assert len(state) == 12
    assert torch.equal(load(written(tmp_path, state), colour, **model)(noisy()), trained(noisy()))


# MatConvNet's networks in MATLAB's files


def matconvnet(network):
    """Yield (type, arrays) of the layers as MATLAB holds them: filters (H, W, in, out), columns, [mean, deviation]."""
    for layer in network:
        if isinstance(layer, nn.Conv2d):
            filters = layer.weight.detach().numpy().transpose(2, 3, 1, 0)
            yield (
                "conv",
                [
                    filters,
                    layer.bias.detach().numpy()[:, None] if layer.bias is not None else np.zeros((0, 0), np.float32),
                ],
            )
        elif isinstance(layer, nn.BatchNorm2d):
            deviation = (layer.running_var + layer.eps).sqrt()
            columns = [layer.weight.detach().numpy()[:, None], layer.bias.detach().numpy()[:, None]]
            yield "bnorm", [*columns, torch.stack((layer.running_mean, deviation), 1).numpy()]
        else:
            yield "relu", None


def without_last_ones(array):
    """Return an array as MATLAB has it: at least two axes, none of length 1 at the end beyond these."""
    while array.ndim > 2 and array.shape[-1] == 1:
        array = array[..., 0]
    return array


def write_73(file, network):
    """Write MATLAB 7.3's layout: 512 bytes of a header, axes in reverse, cells as references into `#refs#`."""
    with h5py.File(file, "w", userblock_size=512) as out:
        number = iter(range(1000))

        def cell(values):
            return np.array([[value] for value in values], dtype=h5py.ref_dtype)  # (n, 1): a 1×n cell array

        def keep(array):
            name = f"#refs#/{next(number)}"
            if array.size == 0:
                kept = out.create_dataset(name, data=np.array(array.shape, np.uint64))
                kept.attrs["MATLAB_empty"] = np.uint8(1)
                return kept.ref
            return out.create_dataset(name, data=without_last_ones(array).T).ref

        made = []
        for kind, arrays in matconvnet(network):
            group = out.create_group(f"#refs#/{next(number)}")
            group.create_dataset("type", data=np.array([[ord(c)] for c in kind], np.uint16))
            if arrays is not None:
                group.create_dataset("weights", data=cell([keep(array) for array in arrays]))
            made.append(group.ref)
        out.create_group("net").create_dataset("layers", data=cell(made))
    with file.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 .".ljust(124) + b"\x00\x02IM")


def write_5(file, network):
    made = np.empty((1, len(network)), object)
    for number, (kind, arrays) in enumerate(matconvnet(network)):
        made[0, number] = {"type": kind}
        if arrays is not None:
            made[0, number]["weights"] = np.empty((1, len(arrays)), object)
            for n, array in enumerate(arrays):
                made[0, number]["weights"][0, n] = without_last_ones(array)
    savemat(file, {"net": {"layers": made}})


@pytest.mark.parametrize("write", [write_73, write_5])
@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize("bias", [True, False])
def test_matconvnet(tmp_path, colour, write, norm, bias):
    network = chain(norm=True, bias=bias)
    write(tmp_path / "net.mat", network)
    check_dncnn(load(tmp_path / "net.mat", colour, **DNCNN, norm=norm), network)


@pytest.mark.parametrize("write", [write_73, write_5])
def test_matconvnet_grey(tmp_path, grey, write):
    network = layers([1, 4, 4, 1], norm=True)
    write(tmp_path / "net.mat", network)
    model = load(tmp_path / "net.mat", grey, kind="dncnn", channels=1, depth=3, width=4)
    one = noisy()[:, :1]
    assert torch.allclose(model(one), one - 255 * network(one / 255), rtol=1e-4, atol=2e-3)


def test_a_mat_file_of_something_else(tmp_path, colour):
    savemat(tmp_path / "other.mat", {"x": np.zeros((2, 2))})
    with h5py.File(tmp_path / "other.h5", "w") as out:
        out["x"] = np.zeros(3)
    for name in ("other.mat", "other.h5"):
        with pytest.raises(HarnessError, match=r"does not hold a network of MatConvNet \('net.layers'\)"):
            load(tmp_path / name, colour, **DNCNN)


# FFDNet


def apply_ffdnet(network, images, sigma, levels, *, first):
    """Return what a port of FFDNet makes: with `levels` channels of the noise level, first or last."""
    x = F.pixel_unshuffle(images / 255, 2)
    level = (sigma / 255).view(-1, 1, 1, 1).expand(-1, levels, *x.shape[-2:])
    return 255 * F.pixel_shuffle(network(torch.cat((level, x) if first else (x, level), 1)), 2)


def test_ffdnet_with_the_level_last(tmp_path, colour):
    network = layers([13, 6, 6, 6, 12], norm=False)
    file = written(tmp_path, {f"model.{name}": value for name, value in network.state_dict().items()})
    sigma = torch.tensor([25.0, 50.0])
    expected = apply_ffdnet(network, noisy(6, 8), sigma, 1, first=False)
    assert torch.allclose(load(file, colour, **FFDNET)(noisy(6, 8), sigma), expected, rtol=1e-4, atol=2e-3)


@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_port_of_ffdnet_with_the_level_first(tmp_path, colour, grey, norm, channels):
    network = layers([5 * channels, 6, 6, 6, 4 * channels], norm=True, bias=False)
    prefix = "module.intermediate_dncnn.itermediate_dncnn"
    file = written(tmp_path, {f"{prefix}.{name}": value for name, value in network.state_dict().items()})
    data = grey if channels == 1 else colour
    options = {**FFDNET, "norm": norm, "channels": channels}
    images, sigma = noisy(6, 8)[:, :channels], torch.tensor([25.0, 50.0])
    expected = images - apply_ffdnet(network, images, sigma, channels, first=True)
    model = load(file, data, **options, residual=True)
    assert torch.allclose(model(images, sigma), expected, rtol=1e-4, atol=2e-3)
    with pytest.raises(HarnessError, match="makes the noise, not the clean image; write 'residual: true'"):
        load(file, data, **options)


# What does not fit


@pytest.mark.parametrize(
    ("options", "norm", "why"),
    [
        ({"depth": 11}, True, "it has 12 convolutions, not 11; see the option 'depth'"),
        ({"width": 6}, True, "convolution 1 has 5×3×3×3 weights, not 6×3×3×3; see the options 'channels' and 'width'"),
        ({}, False, "convolution 2 has no batch normalisation behind it; write 'norm: none'"),
    ],
)
def test_a_file_of_another_network(tmp_path, colour, options, norm, why):
    file = written(tmp_path, chain(norm=norm).state_dict())
    with pytest.raises(HarnessError) as raised:
        load(file, colour, **{**DNCNN, **options})
    assert str(raised.value) == f"'{file}' does not fit the network: {why}"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("text", "holds no weights that can be read: "),
        ([1, 2], "is not a state dict: save model.state_dict()"),
        ({"a": 1}, "is not a state dict: save model.state_dict()"),
        ({"a.weight": torch.zeros(3)}, "holds no convolution"),
        (
            {
                "a.weight": torch.zeros(3),
                "a.bias": torch.zeros(3),
                "a.running_mean": torch.zeros(3),
                "a.running_var": torch.zeros(3),
            },
            "does not fit: batch normalisation without a convolution before it",
        ),
    ],
)
def test_a_file_that_holds_no_network(tmp_path, colour, content, why):
    file = tmp_path / "weights.pth"
    if content == "text":
        file.write_text("hello")
    else:
        torch.save(content, file)
    with pytest.raises(HarnessError) as raised:
        load(file, colour, **DNCNN)
    assert str(raised.value).startswith(f"'{file}' {why}")


def test_a_damaged_safetensors_file(tmp_path, colour):
    file = tmp_path / "weights.safetensors"
    save_file(chain(norm=True).state_dict(), file)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(HarnessError, match=r"weights.safetensors' holds no weights that can be read: Safetensor"):
        load(file, colour, **DNCNN)


def test_own_names_with_other_shapes(tmp_path, colour):
    file = written(tmp_path, build_model({"model": DNCNN, "compressors": {}}).state_dict())
    with pytest.raises(HarnessError, match=r"does not fit the network: 'convs.0.bias' and \d+ other"):
        load(file, colour, **{**DNCNN, "width": 6})


def test_there_is_no_such_file(colour, tmp_path):
    with pytest.raises(FieldError, match=r"there is no file 'nowhere\.pth'") as raised:
        resolve_model({**DNCNN, "weights": "nowhere.pth"}, colour, (str(tmp_path),))
    assert raised.value.path == ("weights",)


def test_a_file_that_has_changed_or_is_gone(tmp_path, colour):
    file = written(tmp_path, chain(norm=True).state_dict())
    found = resolve_model({**DNCNN, "weights": str(file)}, colour, ())
    config = {"model": found.config, "compressors": {}}
    with pytest.raises(HarnessError, match=r"the weights \(\w{12}…\) are not at hand"):
        build_model(config, (), {})
    torch.save({}, file)
    with pytest.raises(HarnessError, match="has changed since this was planned; run the study again"):
        build_model(config, (), found.files)


def test_costs_are_counted_without_the_file(tmp_path, colour):
    file = written(tmp_path, chain(norm=True).state_dict())
    found = resolve_model({**DNCNN, "weights": str(file)}, colour, ())
    with torch.device("meta"):
        model = build_model({"model": found.config, "compressors": {}})
    assert model.keeps == frozenset()
    assert next(model.parameters()).is_meta


def test_the_extra_to_install_is_named(tmp_path, colour, monkeypatch):
    write_73(tmp_path / "net.mat", chain(norm=True))

    def missing(*modules):
        raise MissingPartError(f"this needs {modules[0]}")

    monkeypatch.setattr(weight_files, "needs", missing)
    with pytest.raises(HarnessError, match="this needs h5py"):
        load(tmp_path / "net.mat", colour, **DNCNN)
