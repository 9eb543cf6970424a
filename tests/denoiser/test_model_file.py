"""A saved denoiser says what it is, loses nothing that can be seen, and is small; what is no such file is one line."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_denoisers import about, network

from harness.base.errors import HarnessError
from harness.denoiser.denoisers import CLASSICAL, SHIPPED, find_denoiser
from harness.models.model_file import load_model, save_model


def test_what_is_saved_comes_back(saved):
    path, made = saved()
    said, state = load_model(path)
    assert said == about()
    for name, values in made.state_dict().items():
        if values.ndim < 2:  # biases, normalisation, counts
            assert torch.equal(state[name], values)
        else:
            assert state[name].dtype == torch.float32
            assert torch.equal(state[name], values.half().float())


def test_the_same_network_gives_the_same_bytes(saved):
    (one, _), (other, made) = saved(name="a.npz"), saved(name="b.npz")
    save_model(one, about(), made.state_dict())
    assert one.read_bytes() == other.read_bytes()


def test_half_precision_changes_no_estimate_by_more_than_a_hundredth(saved):
    path, made = saved(depth=10)
    noisy = 255 * torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        exact = made(noisy)
    halved = find_denoiser(str(path), "cpu", []).estimate(noisy, None, None, None)
    assert 0 < (halved - exact).abs().max() < 0.3
    assert (halved - exact).square().mean().sqrt() < 0.05


def test_the_network_that_is_to_be_shipped_is_under_a_megabyte(tmp_path):
    said = about(depth=10, width=48, zero_last=True)
    made = network(said).state_dict()
    state = {name: torch.randn_like(values) if values.ndim else values for name, values in made.items()}
    assert save_model(tmp_path / "a.npz", said, state) < 2**20


def test_large_weights_stay_in_full_precision(tmp_path):
    state = {"w": torch.full((2, 2), 1e5)}
    save_model(tmp_path / "a.npz", about(), state)
    assert torch.equal(load_model(tmp_path / "a.npz")[1]["w"], state["w"])


def test_a_network_that_has_diverged_is_not_saved(tmp_path):
    with pytest.raises(HarnessError, match="'w' holds NaN or infinity"):
        save_model(tmp_path / "a.npz", about(), {"w": torch.full((2, 2), torch.nan)})
    assert list(tmp_path.iterdir()) == []


def _damaged(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"something else"),
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        _damaged,
        lambda path: np.savez(path, a=np.zeros(3)),
        lambda path: np.savez(path, about=np.frombuffer(b"[]", dtype=np.uint8)),
        lambda path: np.savez(path, about=np.array([{}], dtype=object)),
    ],
    ids=["empty", "text", "cut", "a bit", "no about", "a list", "a pickle"],
)
def test_what_is_no_denoiser_is_one_line_that_names_the_file(saved, harm):
    path, _ = saved()
    harm(path)
    with pytest.raises(HarnessError, match=r"small\.npz is not a denoiser that .* or it is damaged"):
        load_model(path)


def test_a_later_format_is_not_guessed_at(tmp_path):
    np.savez(tmp_path / "a.npz", about=np.frombuffer(b'{"format": 2, "config": {}}', dtype=np.uint8))
    with pytest.raises(HarnessError, match=r"a\.npz has format 2, which a later version"):
        load_model(tmp_path / "a.npz")


@pytest.mark.parametrize("part", [{"model": {"kind": "os:system"}}, {"compressors": {"fp1": {"kind": "os:system"}}}])
def test_a_file_imports_no_code_of_its_own(tmp_path, part):
    save_model(tmp_path / "a.npz", replace(about(), config={**about().config, **part}), {})
    with pytest.raises(HarnessError, match="needs 'os:system', which does not come with the harness"):
        find_denoiser(str(tmp_path / "a.npz"), "cpu", [])


@pytest.mark.parametrize("config", [[], {}, {"model": {}, "compressors": {}, "task": {}}, {"model": 1}])
def test_a_file_without_a_whole_configuration_is_damaged(tmp_path, config):
    save_model(tmp_path / "a.npz", replace(about(), config=config), {})
    with pytest.raises(HarnessError, match=r"a\.npz is not a denoiser that .* or it is damaged"):
        load_model(tmp_path / "a.npz")


def test_weights_that_do_not_fit_are_one_line(saved):
    path, made = saved()
    save_model(path, about(depth=5), made.state_dict())
    with pytest.raises(HarnessError, match="the weights do not fit the network") as caught:
        find_denoiser(str(path), "cpu", [])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("weights.pth", "weights alone do not say which network they belong to"),
        ("bm4d", "'bm4d' is not a method; did you mean 'bm3d'"),
        ("study:trial:0", "'study:trial:0' is not a method"),
    ],
)
def test_a_name_that_means_nothing_is_one_line(tmp_path, name, words):
    with pytest.raises(HarnessError) as caught:
        find_denoiser(name, "cpu", [tmp_path / "none.db"])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_the_shipped_network_it_is_said_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr("harness.denoiser.denoisers.SHIPPED", tmp_path / "none.npz")
    with pytest.raises(HarnessError, match=r"the default network is missing .* --model bm3d"):
        find_denoiser(None, "cpu", [])


@pytest.mark.skipif(not SHIPPED.is_file(), reason="the network is not shipped yet")
def test_the_shipped_network_is_small_colour_and_blind():
    denoiser = find_denoiser(None, "cpu", [])
    assert SHIPPED.stat().st_size < 2**20
    assert (denoiser.channels, denoiser.needs_sigma, denoiser.levels) == ({3}, False, (0.0, 60.0))


def test_the_classical_methods_need_sigma_and_take_grey_and_colour():
    for name in CLASSICAL:
        denoiser = find_denoiser(name, "cpu", [])
        assert (denoiser.needs_sigma, denoiser.channels) == (True, {1, 3})
