"""`harness denoise` as a person types it: what is written and printed, folders, wrong use in one line, stored runs."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from sklearn.datasets import load_sample_image

from harness.cli import main
from harness.data.photographs import load_images
from harness.denoiser.apply import add_noise, as_pixels
from harness.models.build import build_model
from harness.models.model_file import About, save_model
from harness.tasks.denoising import Denoising
from harness.tasks.quality import psnr_db
from harness.trial.datasets import DATASETS

STUDY = """\
study: small
task: {kind: denoising, sigma: 25}
dataset: sample-photos
model: {kind: dncnn, depth: 3, width: 4, zero_last: true}
protocol: {kind: dncnn, epochs: 1, batch_size: 8, augmentation: {per_image: 8}}
seeds: [0]
execution: {threads: 1}
trials:
  - name: tiny
"""
CONFIG = {
    "model": {"kind": "dncnn", "depth": 3, "width": 4},
    "compressors": {},
    "task": {"kind": "denoising", "sigma": {"from": 0, "to": 60}},
}


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_DB", raising=False)
    torch.manual_seed(0)
    save_model(tmp_path / "small.npz", About(CONFIG, origin="a small one"), build_model(CONFIG).state_dict())
    monkeypatch.setattr("harness.denoiser.denoisers.SHIPPED", tmp_path / "small.npz")

    def invoke(*arguments):
        return CliRunner().invoke(main, ["denoise", *map(str, arguments), "--device", "cpu"])

    return invoke


@pytest.fixture
def clean(tmp_path):
    """A part of a photograph, also as the file clean.png."""
    values = np.ascontiguousarray(load_sample_image("china.jpg")[100:148, 200:264])
    Image.fromarray(values).save(tmp_path / "clean.png")
    return values


def _rows(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def _pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_a_noisy_picture_is_denoised_with_what_comes_with_the_harness(call, clean, tmp_path):
    Image.fromarray(as_pixels(add_noise(clean, 20, 0))).save(tmp_path / "photo.png")
    result = call("photo.png")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "photo.png: 64×48, colour"
    assert lines[1].startswith("  noise    σ ")
    assert lines[1].endswith(", estimated; this model does not need it")
    assert lines[2].startswith("  model    a small one, ")
    assert lines[-1] == "  written  photo-denoised.png"
    assert "PSNR" not in result.stdout  # there is nothing to compare with
    assert _pixels(tmp_path / "photo-denoised.png").shape == clean.shape


def test_the_estimated_level_is_used_where_it_is_needed(call, clean, tmp_path):
    Image.fromarray(as_pixels(add_noise(clean, 20, 0))).save(tmp_path / "photo.png")
    (row,) = _rows(call("photo.png", "--model", "nl-bayes", "--format", "json"))
    assert (row["needs_sigma"], row["sigma_is_estimated"]) == (True, True)
    assert row["sigma"] == pytest.approx(20, rel=0.2)
    (given,) = _rows(call("photo.png", "--model", "nl-bayes", "--sigma", 20, "--format", "json"))
    assert (given["sigma"], given["sigma_is_estimated"]) == (20, False)
    assert not {"psnr_db_noisy", "psnr_db_denoised"} & row.keys()


def test_with_added_noise_the_gain_is_that_of_an_evaluation(call, clean, tmp_path):
    (row,) = _rows(call("clean.png", "--add-noise", "--sigma", 25, "--seed", 3, "--model", "bm3d", "--format", "json"))
    image = torch.from_numpy(clean).permute(2, 0, 1)[None]
    noisy = torch.from_numpy(add_noise(clean, 25, 3)).permute(2, 0, 1)[None]
    written = torch.from_numpy(_pixels(tmp_path / "clean-denoised.png").copy()).permute(2, 0, 1)[None]
    assert row["psnr_db_noisy"] == float(psnr_db(noisy, image))
    assert row["psnr_db_denoised"] == float(psnr_db(written, image)) > row["psnr_db_noisy"] + 4
    assert 0 < row["ssim_noisy"] < row["ssim_denoised"] < 1
    assert (row["noise_seed"], row["sigma"]) == (3, 25)


def test_a_clean_picture_is_measured_as_the_task_measures_it(call, clean, tmp_path, load):
    """The same network on the same image: the command's PSNR is the evaluation's."""
    config = load(STUDY.replace("sigma: 25", "sigma: {from: 0, to: 60}")).trials[0].trial.config
    (image,) = load_images(DATASETS["sample-photos"], tmp_path)["test"]  # (C, H, W)
    Image.fromarray(image.transpose(1, 2, 0)).save(tmp_path / "test.png")
    task = Denoising(config, [DATASETS["sample-photos"]], tmp_path, torch.device("cpu"), channels_last=False)
    network = build_model(CONFIG).eval()
    state = network.state_dict()
    save_model(tmp_path / "small.npz", About(CONFIG), state)
    network.load_state_dict({name: v.half().float() if v.ndim > 1 else v for name, v in state.items()})
    expected = task.evaluate(network, task.observed).metrics
    (row,) = _rows(call("test.png", "--add-noise", "--sigma", 25, "--format", "json"))
    assert row["psnr_db_denoised"] == pytest.approx(expected["psnr_db"], abs=1e-3)
    assert row["ssim_denoised"] == pytest.approx(expected["ssim"], abs=1e-4)


def test_a_folder_and_several_pictures_go_into_a_folder(call, clean, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.bmp", "c-denoised.png"):  # the last one is what an earlier call would have written
        Image.fromarray(clean).save(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").touch()
    rows = _rows(call("in", "clean.png", "--out", "out", "--format", "json"))
    assert [row["out"] for row in rows] == ["out/a-denoised.png", "out/b-denoised.png", "out/clean-denoised.png"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a-denoised.png",
        "b-denoised.png",
        "clean-denoised.png",
    ]
    assert call("in", "--out", "out").exit_code == 0  # what it wrote itself it replaces


def test_of_several_pictures_one_that_cannot_be_read_does_not_stop_the_others(call, clean, tmp_path):
    (tmp_path / "broken.png").write_bytes((tmp_path / "clean.png").read_bytes()[:2000])
    result = call("broken.png", "clean.png", "--out", "out")
    assert result.exit_code == 1
    first, last = result.stderr.splitlines()
    assert first.startswith("Error: broken.png: ")
    assert last == "1 of 2 pictures could not be denoised"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["clean-denoised.png"]


def test_side_by_side(call, clean, tmp_path):
    result = call("clean.png", "--add-noise", "--sigma", 25, "--side-by-side", "both.png")
    assert result.exit_code == 0, result.output
    assert "both.png (difference ×" in result.stdout
    sheet = _pixels(tmp_path / "both.png")
    assert sheet.shape == (48 + 16, 4 * 64 + 3 * 4, 3)  # clean, before, after, difference
    np.testing.assert_array_equal(sheet[16:, :64], clean)
    np.testing.assert_array_equal(sheet[16:, 2 * 68 : 2 * 68 + 64], _pixels(tmp_path / "clean-denoised.png"))


def test_transparency_and_notes_are_said(call, clean, tmp_path):
    alpha = np.arange(48 * 64, dtype=np.uint8).reshape(48, 64, 1)
    Image.fromarray(np.dstack([clean, alpha])).save(tmp_path / "clear.png")
    result = call("clear.png")
    assert "clear.png: 64×48, colour, with transparency, which is kept" in result.stdout
    np.testing.assert_array_equal(_pixels(tmp_path / "clear-denoised.png")[..., 3:], alpha)
    Image.fromarray(clean[..., 0]).save(tmp_path / "grey.png")
    result = call("grey.png")
    assert "grey.png: 64×48, grey" in result.stdout
    assert "  model    bm3d, " in result.stdout
    assert "  note     a grey picture: the default network is for colour, so bm3d is used" in result.stdout
    assert _pixels(tmp_path / "grey-denoised.png").shape == (48, 64)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.png"], "none.png: there is no such file"),
        (["text.png"], "text.png: not a picture in a format that can be read"),
        (["empty"], "empty: no picture lies in this folder"),
        (["clean.png", "--out", "clean.png", "--overwrite"], "clean.png is an input, which is never overwritten"),
        (["clean.png", "--out", "o.jpg"], "o.jpg: only PNG is written"),
        (["clean.png", "--out", "text.png"], "text.png exists and was not written by this command; add --overwrite"),
        (["clean.png", "clean.png"], "would both be written to clean-denoised.png"),
        (["clean.png", "text.png", "--out", "o.png"], "--out o.png: several pictures need a folder"),
        (["clean.png", "--out", "o.png", "--side-by-side", "o.png"], "--out and --side-by-side are both o.png"),
        (["clean.png", "--model", "bm5d"], "'bm5d' is not a method; did you mean 'bm3d'"),
        (["clean.png", "--model", "none.npz"], "none.npz: No such file or directory"),
        (["clean.png", "--model", "text.npz"], "text.npz is not a denoiser that 'harness model save' wrote"),
        (["tiny.png", "--model", "bm3d"], "tiny.png: too small to estimate the noise (less than 16×16); give sigma"),
        (["broken.png"], "broken.png: the picture cannot be read"),
    ],
)
def test_wrong_use_is_one_line_and_writes_nothing(call, clean, tmp_path, arguments, words):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("text")
    (tmp_path / "text.npz").write_text("text")
    (tmp_path / "broken.png").write_bytes((tmp_path / "clean.png").read_bytes()[:2000])
    Image.fromarray(clean[:4, :4]).save(tmp_path / "tiny.png")
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    result = call(*arguments)
    assert result.exit_code == 2
    (line,) = result.stderr.strip().splitlines()
    assert words in line
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_added_noise_needs_its_level(call, clean):
    result = call("clean.png", "--add-noise")
    assert result.exit_code == 2
    assert "--add-noise needs --sigma" in result.stderr


def test_a_stored_run_denoises_and_is_saved_to_a_file(call, clean, tmp_path):
    (tmp_path / "small.yml").write_text(STUDY)
    ran = CliRunner().invoke(main, ["run", "grid", "small.yml", "--device", "cpu", "--executor", "in-process"])
    assert ran.exit_code == 0, ran.output
    options = ("--add-noise", "--sigma", 25, "--format", "json")
    (of_run,) = _rows(call("clean.png", "--model", "small:tiny:0", *options))
    assert of_run["model"] == "small: tiny, seed 0"
    saved = CliRunner().invoke(main, ["model", "save", "small:tiny:0", "mine.npz"])
    assert saved.exit_code == 0, saved.output
    assert saved.stdout.startswith("mine.npz: small: tiny, seed 0, ")
    (of_file,) = _rows(call("clean.png", "--model", "mine.npz", *options))
    assert of_file["model"] == of_run["model"]
    assert of_file["psnr_db_denoised"] == pytest.approx(of_run["psnr_db_denoised"], abs=0.01)
    for path in (tmp_path / "results" / "artifacts").rglob("weights.pt"):
        path.unlink()
    gone = call("clean.png", "--model", "small:tiny:0")
    assert (gone.exit_code, "the weights of this attempt are not here" in gone.stderr) == (2, True)
    unknown = call("clean.png", "--model", "small:tinny:0")
    assert "study 'small' has no trial 'tinny'" in unknown.stderr
