"""An evaluation that is stopped or killed between two images resumes there, and ends with the same bits."""

import json
import time
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from harness.attempt.checkpoints import check_checkpoint, has_checkpoint
from harness.attempt.items import ITEMS_FILE, read_items
from harness.attempt.messages import PROGRESS_FILE, REQUEST_FILE, WEIGHTS_FILE, AttemptRequest, Execution, read_result
from harness.base.errors import DamagedError, HarnessError
from harness.models.build import build_model
from harness.models.denoising.classical import KSvd, NlBayes
from harness.tasks import denoising
from harness.tasks.denoising import Denoising
from harness.tasks.quality import psnr_db
from harness.training import untrained
from harness.training.attempt import run_attempt
from harness.trial.resolve import resolve_trial

CPU = torch.device("cpu")
IMAGES = 3  # of two shapes, on two noise levels


class StopAt:
    """A stop that is asked for once so many images were done by this attempt."""

    def __init__(self, images):
        self.images, self.asked = images, 0

    def __bool__(self):
        self.asked += 1
        return self.asked > self.images


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    """A folder with small pieces of photographs that come with scikit-learn."""
    folder = tmp_path_factory.mktemp("crops")
    china, flower = load_sample_images().images
    for name, piece in {"a": china[100:124, 200:224], "b": flower[150:174, 300:324], "c": china[50:74, 90:118]}.items():
        Image.fromarray(piece).save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def ask(crops, tmp_path_factory):
    """Return a function that makes a request with its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_DATA", str(tmp_path_factory.mktemp("data")))

        def make(model="nl_bayes", *, kind="train", seed=0, resume=None, sigma=(25, 50), threads=1, folders=()):
            trial = resolve_trial(
                task="denoising",
                dataset={"kind": "photographs", "path": str(crops)},
                model=model,
                evaluate=[{"sigma": list(sigma)}],
                plugin_folders=[str(folder) for folder in folders],
            )
            folder = tmp_path_factory.mktemp("attempt")
            request = AttemptRequest(
                uid=uuid4().hex,
                kind=kind,
                trial_key=trial.key,
                config=trial.config,
                seed=seed,
                datasets=trial.data,
                evaluations=trial.evaluations,
                execution=Execution(threads=threads),
                folder=str(folder),
                data_root=str(folder / "no-data"),
                files=trial.files,
                resume_from=resume.uid if resume else None,
                resume_folder=resume.folder if resume else None,
            )
            (folder / REQUEST_FILE).write_text(request.to_json())
            return request

        yield make


def found(request, outcome):
    """Return all that an attempt found that may not depend on when it was stopped."""
    pictures = np.load(Path(request.folder) / untrained.MAPS_FILE)
    maps = {name: pictures[name].tobytes() for name in pictures}
    return outcome.state, outcome.results, outcome.samples, maps


@pytest.fixture(scope="module")
def undisturbed(ask):
    request = ask()
    return found(request, untrained.run(request, CPU, StopAt(1000)))


def test_it_pretends_no_training(ask):
    request = ask({"kind": "blur", "sigma": 1.0})
    assert run_attempt(Path(request.folder)) == "done"
    result = read_result(Path(request.folder))
    assert (result.curve, [artifact.kind for artifact in result.artifacts]) == ((), ["maps"])
    assert {measure.name for measure in result.measures} <= {"peak_memory_bytes"}
    assert sorted({value.name for value in result.results}) == ["psnr_db", "ssim"]
    assert [sample.count for sample in result.samples] == [IMAGES] * 4
    assert not (Path(request.folder) / ITEMS_FILE).exists()  # let go of once the result is there
    assert not (Path(request.folder) / WEIGHTS_FILE).exists()


def test_progress_names_the_kind_of_condition_and_its_options(ask):
    """As of attacks, which differ by it: "fgsm, epsilon 4.0" and "pgd, epsilon 4.0"."""
    request = ask({"kind": "blur", "sigma": 1.0}, sigma=(25,))
    untrained.run(request, CPU, StopAt(1000))
    (spec,) = request.evaluations
    told = json.loads((Path(request.folder) / PROGRESS_FILE).read_text(encoding="utf-8").splitlines()[-1])
    assert f"{spec.dataset}, gaussian, sigma 25.0" in str(told)


def test_it_finds_what_the_task_finds_of_any_model(ask):
    request = ask()
    outcome = untrained.run(request, CPU, StopAt(1000))
    task = Denoising(request.config, request.datasets, Path(request.data_root), CPU, False)
    for spec in request.evaluations:
        once = task.evaluate(NlBayes({}), spec)
        values = {v.name: v.value for v in outcome.results if v.evaluation == spec.key}
        assert values == once.metrics
        packed = {s.name: s.packed for s in outcome.samples if s.evaluation == spec.key}
        assert packed == {name: each.astype("<f4").tobytes() for name, each in once.by_item.items()}


@pytest.mark.parametrize("stops", [(0,), (1,), (3,), (5,), (1, 0, 2)], ids=str)
def test_a_stopped_attempt_ends_as_an_undisturbed_one(stops, ask, undisturbed):
    last, done = None, 0
    for images in stops:
        request = ask(resume=last)
        torch.manual_seed(99)  # a new process has drawn other numbers
        stopped = untrained.run(request, CPU, StopAt(images))
        done += images
        assert (stopped.state, stopped.results) == ("interrupted", ())
        assert stopped.resumed_from == (last.uid if last else None)
        assert read_items(Path(request.folder) / ITEMS_FILE).done == done
        assert has_checkpoint(Path(request.folder))
        last = request
    request = ask(resume=last)
    asked = StopAt(1000)
    ended = untrained.run(request, CPU, asked)
    assert (ended.resumed_from, asked.asked) == (last.uid, 2 * IMAGES - done)  # no image is denoised twice
    assert found(request, ended) == undisturbed


def test_a_killed_attempt_loses_the_image_that_it_was_at(ask, undisturbed):
    request = ask()
    untrained.run(request, CPU, StopAt(3))
    items = Path(request.folder) / ITEMS_FILE
    items.write_bytes(items.read_bytes()[:-7])  # as a crash cuts off what was being written
    again = ask(resume=request)
    asked = StopAt(1000)
    assert found(again, untrained.run(again, CPU, asked)) == undisturbed
    assert asked.asked == 2 * IMAGES - 2


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_flipped_bit_is_found_and_nothing_is_taken_over(place, ask, undisturbed):
    request = ask()
    untrained.run(request, CPU, StopAt(3))
    items = Path(request.folder) / ITEMS_FILE
    data = bytearray(items.read_bytes())
    data[int(place * len(data))] ^= 1
    items.write_bytes(bytes(data))
    with pytest.raises(DamagedError):
        check_checkpoint(Path(request.folder))
    again = ask(resume=request)
    ended = untrained.run(again, CPU, StopAt(1000))
    assert ended.resumed_from is None
    assert "it started afresh" in ended.notes[0]
    assert found(again, ended) == undisturbed


def test_nothing_is_taken_over_from_another_seed_or_other_threads(ask):
    request = ask()
    untrained.run(request, CPU, StopAt(2))
    assert untrained.run(ask(resume=request, seed=1), CPU, StopAt(0)).resumed_from is None
    assert untrained.run(ask(resume=request, threads=2), CPU, StopAt(0)).resumed_from is None
    assert untrained.run(ask(resume=request), CPU, StopAt(0)).resumed_from == request.uid


def test_k_svd_draws_by_the_runs_seed(ask, monkeypatch):
    seeds = []
    monkeypatch.setattr(KSvd, "denoised", lambda self, image, _sigma: (seeds.append(self.seed), image)[1])
    for seed in (0, 3):
        untrained.run(ask("k_svd", seed=seed, sigma=(25,)), CPU, StopAt(1000))
    assert set(seeds) == {0, 3}


def test_it_says_how_many_images_are_done(ask):
    request = ask({"kind": "blur", "sigma": 1.0})
    untrained.run(request, CPU, StopAt(1000))
    said = json.loads((Path(request.folder) / PROGRESS_FILE).read_text())
    assert (said["step"], said["steps"], said["metric_name"]) == (2 * IMAGES, 2 * IMAGES, "psnr_db")
    assert said["items"].endswith("sigma 50.0")


def test_a_method_that_makes_no_numbers_ends_as_nan(ask, monkeypatch):
    monkeypatch.setattr(NlBayes, "denoised", lambda _self, image, _sigma: image * torch.nan)
    assert untrained.run(ask(), CPU, StopAt(1000)).state == "nan"


def test_a_timing_gives_seconds_per_image_and_nothing_else(ask, monkeypatch):
    metric_s = 0.5
    monkeypatch.setattr(denoising, "psnr_db", lambda *given: (time.sleep(metric_s), psnr_db(*given))[1])
    outcome = untrained.run(ask({"kind": "blur", "sigma": 1.0}, kind="timing"), CPU, StopAt(1000))
    measures = {measure.name: measure.value for measure in outcome.measures}
    assert outcome.state == "done"
    assert {*measures} == {f"test_s_per_image{suffix}" for suffix in ("", "_min", "_max", "_count")}
    assert measures["test_s_per_image_count"] == IMAGES
    assert 0 < measures["test_s_per_image_min"] <= measures["test_s_per_image"] <= measures["test_s_per_image_max"]
    assert measures["test_s_per_image"] < metric_s  # which is not the model's
    assert untrained.run(ask({"kind": "blur", "sigma": 1.0}, kind="timing"), CPU, StopAt(0)).state == "interrupted"


@pytest.mark.parametrize("calls", [True, False])
def test_a_clean_evaluation_is_timed_if_there_is_one_and_something_must_call_the_model(ask, monkeypatch, calls):
    asked = []

    def parts(_self, model, on, _start=0):
        asked.append(on)
        while True:
            if calls:
                model(torch.zeros(1, 3, 8, 8), torch.tensor([25.0]))
            yield {"psnr_db": np.ones(1)}

    monkeypatch.setattr(Denoising, "parts", parts)
    request = ask({"kind": "blur", "sigma": 1.0}, kind="timing", sigma=(25,))
    (noisy,) = request.evaluations
    clean = replace(noisy, key="0" * 32, condition={"kind": "clean"})
    request = replace(request, evaluations=(noisy, clean))
    if calls:
        assert untrained.run(request, CPU, StopAt(1000)).state == "done"
        assert {on.key for on in asked} == {clean.key}
    else:
        with pytest.raises(HarnessError, match="nothing was timed"):
            untrained.run(request, CPU, StopAt(1000))


def test_published_weights_are_evaluated_as_they_are_a_few_images_at_a_time(ask, tmp_path):
    torch.manual_seed(3)
    options = {"kind": "ffdnet", "depth": 3, "width": 4, "norm": "none"}
    network = build_model({"model": options, "compressors": {}}).eval()
    torch.save(network.state_dict(), tmp_path / "w.pth")
    weighted = {**options, "weights": "w.pth"}
    request = ask(weighted, sigma=(25,), folders=[tmp_path])
    stopped = untrained.run(request, CPU, StopAt(1))
    assert stopped.state == "interrupted"
    assert read_items(Path(request.folder) / ITEMS_FILE).done in {1, 2}  # of three images two have one shape
    request = ask(weighted, sigma=(25,), folders=[tmp_path], resume=request)
    outcome = untrained.run(request, CPU, StopAt(1000))
    task = Denoising(request.config, request.datasets, Path(request.data_root), CPU, False)
    assert {v.name: v.value for v in outcome.results} == task.evaluate(network, request.evaluations[0]).metrics
