"""Test images among training images: refused, by content, and looked for once."""

import numpy as np
import pytest
from PIL import Image

from harness.base.checks import FieldError
from harness.data import photographs
from harness.data.locations import data_root, is_present
from harness.data.overlap import find_overlaps
from harness.trial.datasets import DATASETS
from harness.trial.resolve import resolve_trial


@pytest.fixture
def sets(tmp_path, monkeypatch):
    """Two folders: photographs to train on, and crops of another, of which one may be of the first."""
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "root"))
    from sklearn.datasets import load_sample_images

    china, flower = load_sample_images().images
    for name, images in {
        "train": [china],
        "other": [flower[:200, :200]],
        "copies": [flower[:90], china[100:300, :300]],
    }.items():
        (tmp_path / name).mkdir()
        for number, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / name / f"{number}.png")
    return tmp_path


def trial(folder, tested, **data):
    return resolve_trial(
        task={"kind": "denoising", "sigma": 25},
        dataset={"kind": "photographs", "path": "train", **data},
        model="dncnn",
        protocol="dncnn",
        evaluate=[{"dataset": {"kind": "photographs", "path": tested}}],
        plugin_folders=[str(folder)],
    )


def test_a_crop_of_a_training_image_is_no_test_image(sets):
    with pytest.raises(FieldError, match="1 of the 2 test images of 'copies' are among the training images of 'train'"):
        trial(sets, "copies")
    assert trial(sets, "other").evaluations[0].images == 1


def test_what_was_found_is_kept(sets, monkeypatch):
    trial(sets, "other")
    monkeypatch.setattr(photographs, "find_overlaps", lambda *_: pytest.fail("searched again"))
    trial(sets, "other")
    Image.fromarray(np.zeros((70, 70, 3), np.uint8)).save(sets / "other" / "new.png")
    with pytest.raises(pytest.fail.Exception, match="searched again"):
        trial(sets, "other")


IN_COLOUR = sorted((train, tested) for train, tested in photographs._DISJOINT if train != "bsd432-grey")


def test_grey_sets_are_the_same_photographs():
    assert photographs._TRAINED_ON["bsd432-grey"] is photographs._TRAINED_ON["bsd432"]


@pytest.mark.slow
@pytest.mark.parametrize(("train", "tested"), IN_COLOUR)
def test_named_sets_that_go_together_share_nothing(train, tested):
    if not all(is_present(name, data_root()) for name in (train, tested)):
        pytest.skip(f"the images of {train} or {tested} are not here")
    trained_on = photographs.load_images(DATASETS[train], data_root())["train"]
    assert find_overlaps(trained_on, photographs.load_images(DATASETS[tested], data_root())["test"]) == ()


def test_a_set_and_its_own_part_are_refused_by_content():
    if not is_present("bsd432", data_root()):
        pytest.skip("the images of bsd432 are not here")
    tested = DATASETS["cbsd68"]
    assert photographs.shared(DATASETS["bsd432"], tested, data_root()) is None
