"""Photographs of any size: named sets, a person's folder, a fixed choice, what cannot be read."""

import numpy as np
import pytest
from PIL import Image

from harness.base.checks import FieldError
from harness.base.errors import HarnessError
from harness.data.locations import data_root, is_present
from harness.data.photographs import load_images
from harness.trial.datasets import DATASETS
from harness.trial.own_data import resolve_dataset

NAMED = [name for name, declared in DATASETS.items() if not declared.has_labels]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Twelve images of three sizes, some in a folder below; what is kept of them goes to a folder of its own."""
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "root"))
    rng = np.random.default_rng(0)
    for number in range(12):
        place = tmp_path / "shots" / ("more" if number % 2 else "")
        place.mkdir(parents=True, exist_ok=True)
        shape = (20 + 4 * (number % 3), 24, 3)
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(place / f"{number}.png")
    return tmp_path


def declared(folder, test_only=False, **options):
    return resolve_dataset({"kind": "photographs", "path": "shots", **options}, [str(folder)], test_only=test_only)


@pytest.mark.parametrize("name", NAMED)
def test_a_named_set_is_what_was_declared(name):
    if not is_present(name, data_root()):
        pytest.skip(f"the images of {name} are not here")
    splits = load_images(DATASETS[name], data_root())  # compares fingerprints
    channels, height, width = DATASETS[name].input_shape
    for split, images in splits.items():
        assert {image.shape[0] for image in images} <= {channels}
        if height:
            assert {image.shape[1:] for image in images} == {(height, width)}
        if split in DATASETS[name].splits:
            assert len(images) == DATASETS[name].splits[split].images


def test_a_set_that_is_not_here_says_where_it_belongs(tmp_path):
    with pytest.raises(HarnessError, match=r"put its images into .*BSDS500 and .*CBSD68"):
        load_images(DATASETS["bsd432"], tmp_path)


def test_trained_on_they_have_validation_and_no_test_split(folder):
    data = declared(folder)
    assert {split: one.images for split, one in data.splits.items()} == {"train": 12, "validation": 1}
    assert (data.input_shape, data.classes) == ((3, 0, 0), 0)
    splits = load_images(data, folder)
    assert [len(splits[name]) for name in ("train", "validation", "rest")] == [12, 1, 11]
    np.testing.assert_array_equal(splits["train"][0], splits["validation"][0])
    assert {image.shape for image in splits["train"]} == {(3, 20, 24), (3, 24, 24), (3, 28, 24)}


def test_tested_on_they_are_all_the_test_split(folder):
    data = declared(folder, test_only=True)
    assert list(data.splits) == ["test"]
    assert data.splits["test"].fingerprint == declared(folder).splits["train"].fingerprint


def test_a_part_of_them_may_be_the_test_split(folder):
    splits = declared(folder, test=0.25).splits
    assert {split: one.images for split, one in splits.items()} == {"train": 9, "test": 3}


def test_the_choice_is_fixed_by_its_seed_and_free_of_where_the_folder_lies(folder):
    first = declared(folder, take=5).splits["train"].fingerprint
    (folder / "shots").rename(folder / "moved")
    moved = declared(folder, path="moved", take=5).splits["train"]
    assert (moved.images, moved.fingerprint) == (5, first)
    assert declared(folder, path="moved", take=5, choose_seed=1).splits["train"].fingerprint != first
    with pytest.raises(FieldError, match="has 12 images, not 13"):
        declared(folder, path="moved", take=13)


def test_a_size_makes_them_all_alike_and_grey_has_one_channel(folder):
    data = declared(folder, size=16, grey=True)
    assert data.input_shape == (1, 16, 16)
    assert {image.shape for image in load_images(data, folder)["train"]} == {(1, 16, 16)}


def test_what_cannot_be_read_is_named_and_counted_or_left_out(folder):
    (folder / "shots" / "0.png").write_bytes(b"no image")
    with pytest.raises(FieldError, match=r"1 image of 12 cannot be read, the first .*0\.png"):
        declared(folder)
    assert declared(folder, corrupt="skip").splits["train"].images == 11


def test_if_none_can_be_read_nothing_is_left_to_skip(folder):
    for file in (folder / "shots").rglob("*.png"):
        file.write_bytes(b"no image")
    with pytest.raises(FieldError, match="none of the 12 images can be read"):
        declared(folder, corrupt="skip")


def test_images_that_change_after_planning_are_refused(folder):
    data = declared(folder)
    Image.new("RGB", (24, 24)).save(folder / "shots" / "0.png")
    with pytest.raises(HarnessError, match="changed since this was planned"):
        load_images(data, folder)


def test_no_folder_and_no_images_are_refused(folder):
    with pytest.raises(FieldError, match="is not there"):
        declared(folder, path="nowhere")
    (folder / "empty").mkdir()
    with pytest.raises(FieldError, match="there are no images"):
        declared(folder, path="empty")


def test_labelled_data_give_their_images():
    splits = load_images(DATASETS["digits"], data_root())
    assert (len(splits["train"]), splits["train"][0].shape) == (1442, (1, 28, 28))
