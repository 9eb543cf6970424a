"""`harness bench denoise` on the smallest piece of the photograph; how fast anything is decides nothing here."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from harness.bench import denoise
from harness.cli import main


@pytest.fixture
def call():
    threads = torch.get_num_threads()

    def invoke(*arguments):
        return CliRunner().invoke(main, ["bench", "denoise", "--threads", "1", *map(str, arguments)])

    yield invoke
    torch.set_num_threads(threads)


def test_it_prints_psnr_and_seconds_of_each_method(call):
    done = call("--size", 32, "--method", "blur", "--method", "nl_bayes", "--format", "json")
    assert done.exit_code == 0, done.output
    blur, nl_bayes = json.loads(done.stdout)
    assert (blur["method"], nl_bayes["method"], blur["images"], blur["sigma"]) == ("blur", "nl_bayes", 1, 25.0)
    assert nl_bayes["psnr_db"] > blur["psnr_db"] > 15
    assert blur["seconds"] > 0
    assert blur["device"] == "cpu"
    assert nl_bayes["peak_memory_bytes"] > 10**7


def test_images_of_a_folder_are_averaged_over_noise_seeds(call, tmp_path):
    for name, size in (("b", 64), ("a", 48)):
        Image.fromarray(denoise.middle_of_photograph(size).transpose(1, 2, 0)).save(tmp_path / f"{name}.png")
    assert [image.shape for image in denoise.first_pictures(tmp_path, 2)] == [(3, 48, 48), (3, 64, 64)]
    folder = ("--images", tmp_path, "--take", 2, "--method", "blur", "--format", "json", "--sigma", 25)
    one, other = (json.loads(call(*folder, *more).stdout) for more in ((), ("--sigma", 50, "--noise-seeds", 2)))
    assert [(row["sigma"], row["noise_seeds"]) for row in other] == [(25.0, 2), (50.0, 2)]
    assert one[0]["psnr_db"] != other[0]["psnr_db"] == pytest.approx(one[0]["psnr_db"], abs=0.2)
    assert other[1]["psnr_db"] < other[0]["psnr_db"] - 2


def test_an_image_larger_than_the_photograph_is_mirrored():
    small, large = denoise.middle_of_photograph(500), denoise.middle_of_photograph(1300)
    assert large.shape == (3, 1300, 1300)
    assert np.array_equal(large[:, 400:900, 400:900], small)
    assert np.array_equal(large[..., 393], large[..., 394])  # 512 columns in the middle


def test_the_package_is_left_out_unless_it_is_installed(call, monkeypatch):
    monkeypatch.setattr(denoise, "find_spec", lambda _: None)
    done = call("--size", 32, "--method", denoise.PACKAGE, "--method", "blur")
    assert "bm3d (the package) is not installed" in done.stderr
    assert "blur" in done.stdout
    seen = []
    package = SimpleNamespace(bm3d_rgb=lambda image, sigma: (seen.append((image.shape, sigma)), image)[1])
    monkeypatch.setattr(denoise, "find_spec", lambda _: package)
    monkeypatch.setitem(sys.modules, "bm3d", package)
    done = call("--size", 40, "--method", denoise.PACKAGE, "--sigma", 51)
    assert denoise.PACKAGE in done.stdout
    assert seen[-1] == ((40, 40, 3), 0.2)


def test_the_package_has_another_function_for_grey(call, monkeypatch, tmp_path):
    Image.fromarray(denoise.middle_of_photograph(40)[0]).save(tmp_path / "grey.png")
    seen = []
    package = SimpleNamespace(bm3d=lambda image, sigma: (seen.append((image.shape, sigma)), image[..., None])[1])
    monkeypatch.setattr(denoise, "find_spec", lambda _: package)
    monkeypatch.setitem(sys.modules, "bm3d", package)
    done = call("--images", tmp_path, "--take", 1, "--method", denoise.PACKAGE, "--sigma", 51)
    assert denoise.PACKAGE in done.stdout, done.output
    assert seen[-1] == ((40, 40), 0.2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--method", "bm4d"), "unknown method 'bm4d'; did you mean 'bm3d'?"),
        (("--size", 16), "16 is not in the range"),
        (("--sigma", 0), "0.0 is not in the range"),
        (("--images", "nowhere"), "Directory 'nowhere' does not exist"),
        (("--images", ".", "--take", 2), ". has 0 images, not 2"),
    ],
)
def test_what_makes_no_sense_is_refused(call, arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = call(*arguments)
    assert done.exit_code == 2
    assert words in done.stderr


def test_an_image_that_the_methods_refuse_is_one_line_before_any_work(call, tmp_path):
    for name, size in (("a", 48), ("b", 15)):
        Image.fromarray(denoise.middle_of_photograph(size).transpose(1, 2, 0)).save(tmp_path / f"{name}.png")
    done = call("--images", tmp_path, "--take", 2, "--method", "blur")
    assert done.exit_code == 2
    assert done.stderr == f"Error: {tmp_path / 'b.png'} is 15×15; the smallest that can be timed is 16×16\n"
