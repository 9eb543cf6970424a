"""Nothing of a folder is left out without a word: dead links, folders inside classes, splits by other names, junk."""

import logging
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from harness.data.dataset import load_dataset

FOLDER = ("kind: folder", "path: photos")


def small(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (28, 28), (len(path.name), 7, 9)).save(path)


@pytest.fixture
def told(declare, caplog):
    """Return a function that declares the photos and gives their images by split and the lines that are said."""

    def _told(**options):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            found = declare(path="photos", **options)
        images = {split: found.splits[split].images for split in ("train", "test")}
        return images, [record.getMessage().removeprefix("photos: ") for record in caplog.records]

    return _told


@pytest.mark.parametrize("options", [(), ("size: 16",)])
def test_a_link_to_nothing_is_an_image_that_cannot_be_read(photos, refusal, told, options):
    path = photos({"train": 6, "test": 2})
    (path / "train/cat/not-pulled.PNG").symlink_to("/nowhere/annex.png")
    assert refusal(*FOLDER, *options) == (
        "s.yml:8: 1 image of 17 cannot be read, the first photos/train/cat/not-pulled.PNG (a link to "
        "/nowhere/annex.png, which is not there): fix or remove them, or say 'corrupt: skip'"
    )
    images, lines = told(corrupt="skip")
    assert images == {"train": 12, "test": 4}
    assert "1 image is corrupt and left out, the first" in lines[0]


def test_an_image_that_is_pulled_later_is_read(photos, told, tmp_path):
    path = photos({"train": 6, "test": 2})
    (path / "train/cat/later.png").symlink_to(tmp_path / "pulled.png")
    assert told(corrupt="skip")[0]["train"] == 12
    small(tmp_path / "pulled.png")
    assert told(corrupt="skip") == ({"train": 13, "test": 4}, [])


def test_what_is_no_regular_file_is_not_opened(photos, refusal):
    path = photos({"train": 6, "test": 2})
    os.mkfifo(path / "train/cat/pipe.png")  # whoever reads it waits for ever
    assert "the first photos/train/cat/pipe.png (no regular file)" in refusal(*FOLDER)


def test_a_file_too_large_for_any_image_is_not_read(photos, refusal):
    path = photos({"train": 6, "test": 2})
    with (path / "train/cat/huge.png").open("wb") as file:
        file.truncate(931 * 2**30)  # sparse
    message = refusal(*FOLDER)
    assert "the first photos/train/cat/huge.png (it has 931 GiB, more than any image that can be read)" in message


def test_an_image_that_claims_a_huge_size_is_not_decoded(photos, refusal):
    path = photos({"train": 6, "test": 2})
    small(path / "train/cat/bomb.bmp")
    data = bytearray((path / "train/cat/bomb.bmp").read_bytes())
    data[18:26] = (100_000).to_bytes(4, "little") * 2
    (path / "train/cat/bomb.bmp").write_bytes(data)
    assert "1 image of 17 cannot be read, the first photos/train/cat/bomb.bmp (Image size (10000000000 pixels)" in (
        refusal(*FOLDER)
    )


@pytest.mark.parametrize("name", ["cat", "dog"])
def test_a_class_folder_that_is_a_link_to_nothing_is_refused(photos, refusal, name):
    path = photos({"train": 6, "test": 2}, classes=("cat", "cow", "dog"))
    for split in ("train", "test"):
        shutil.rmtree(path / split / name)
        (path / split / name).symlink_to("/nowhere/mounted")
    assert refusal(*FOLDER) == (
        f"s.yml:8: photos/train/{name} is a link to /nowhere/mounted, which is not there: fix or remove it"
    )


@pytest.fixture
def nested(photos):
    """Write photos of which three lie in folders inside class folders, one of them two levels down."""
    path = photos({"train": 6, "test": 2})
    for name in ("cat/more/x.png", "cat/more/deep/yy.png", "dog/more/zzz.png"):
        small(path / "train" / name)
    (path / "train/dog/more/again").symlink_to(path / "train/dog")  # a link back is not followed for ever
    return path


def test_images_in_folders_inside_a_class_are_refused_with_their_number(nested, refusal):
    assert refusal(*FOLDER) == (
        "s.yml:8: 3 images in 3 folders inside class folders, the first photos/train/cat/more (1 image): move them "
        "into their class folder, or say 'nested: take' (as torchvision's ImageFolder does) or 'nested: skip'"
    )
    shutil.rmtree(nested / "train/dog/more")
    shutil.rmtree(nested / "train/cat/more/deep")
    assert "1 image in photos/train/cat/more, a folder inside a class folder: move" in refusal(*FOLDER)


def test_they_are_taken_as_those_of_the_class(nested, declare, data, told):
    assert told(nested="take") == ({"train": 15, "test": 4}, [])
    labels = load_dataset(declare(path="photos", nested="take"), data)["train"].labels
    assert sorted(labels.tolist()) == [0] * 8 + [1] * 7


@pytest.mark.parametrize("options", [{"nested": "skip"}, {"corrupt": "skip"}])
def test_or_left_out_as_they_always_were(nested, declare, prints, told, options):
    images, lines = told(**options)
    assert images == {"train": 12, "test": 4}
    assert lines[0].startswith("left out: 3 images in 3 folders inside class folders, the first ")
    found = prints(declare(path="photos", **options))
    for name in ("cat", "dog"):
        shutil.rmtree(nested / "train" / name / "more")
    assert prints(declare(path="photos")) == found, "the data are the same"


def test_a_class_whose_images_all_lie_in_folders(photos, refusal, told):
    path = photos({"train": 6, "test": 2})
    (path / "train/cat").rename(path / "train/patient-1")
    (path / "train/patient-1").rename(path / "moved")
    (path / "train/cat").mkdir()
    (path / "moved").rename(path / "train/cat/patient-1")
    assert "6 images in photos/train/cat/patient-1, a folder inside" in refusal(*FOLDER)
    assert told(nested="take")[0] == {"train": 12, "test": 4}
    assert "the class folder photos/train/cat has no images" in refusal(*FOLDER, "nested: skip")


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "valid"), ("Train", "Test"), ("training", "testing"), ("TRAIN", "VAL"), ("Training", "Validation"),
        ("train", "Valid"),
    ],
)  # fmt: skip
def test_splits_are_known_by_their_usual_names(photos, declare, prints, told, train, test):
    photos({"train": 6, "test": 4}, name="plain")
    path = photos({train: 6, test: 4})
    for split, name in (("train", train), ("test", test)):  # the same pixels
        shutil.rmtree(path / name)
        shutil.copytree(path.parent / "plain" / split, path / name)
    assert told() == ({"train": 12, "test": 8}, [])
    assert prints(declare(path="photos")) == prints(declare(path="plain"))


def test_a_split_by_another_name_is_not_left_out_by_the_way(photos, refusal):
    photos({"train": 6, "valid": 4})
    assert "photos has a split 'valid', which is the test split: leave 'test' out" in refusal(*FOLDER, "test: 0.2")


def test_two_folders_for_one_split_are_refused(photos, refusal):
    path = photos({"train": 6, "valid": 4, "validation": 4})
    message = refusal(*FOLDER)
    assert message.endswith("photos has both 'valid' and 'validation', and no 'test': rename one of them")
    (path / "valid").rename(path / "test")
    (path / "validation").rename(path / "training")
    assert refusal(*FOLDER).endswith("photos has both 'train' and 'training': rename one of them")


def test_other_folders_with_images_are_named(photos, refusal, told):
    path = photos({"train": 6, "held_out": 4})
    (path / "notes").mkdir()
    (path / "notes/read.txt").write_text("no image")
    assert refusal(*FOLDER) == (
        "s.yml:6: photos has no split 'test' or 'val' (the folder 'held_out' with 8 images is left out): say which "
        "part of 'train' is the test split, e.g. test: 0.2, or rename a folder to 'test'"
    )
    assert told(test=0.2) == ({"train": 10, "test": 2}, ["the folder 'held_out' with 8 images is left out"])


def test_images_in_no_class_folder_are_named(photos, told):
    path = photos({"train": 6, "test": 2})
    small(path / "train/lost.png")
    images, (line,) = told()
    assert images == {"train": 12, "test": 4}
    assert line == f"left out: 1 image in no class folder, e.g. {path / 'train/lost.png'}"


def test_a_class_may_be_called_as_a_split_is(photos, told):
    photos({"": 10}, classes=("bus", "train", "Val"))
    assert told(test=0.2) == ({"train": 24, "test": 6}, [])


@pytest.mark.parametrize("junk", ["__MACOSX", "@eaDir", ".ipynb_checkpoints", "lost+found", "$RECYCLE.BIN"])
def test_what_other_programs_leave_behind_is_ignored_by_name(photos, declare, prints, told, junk):
    path = photos({"train": 6, "test": 2})
    before = prints(declare(path="photos"))
    for place in (path, path / "train", path / "train/cat"):
        small(place / junk / "thumbnail.png")
    for name in ("Thumbs.db", ".DS_Store", "desktop.ini", "._0.png"):
        (path / "train/cat" / name).write_bytes(b"no image")
    assert told() == ({"train": 12, "test": 4}, [])
    assert prints(declare(path="photos")) == before


def test_a_folder_that_cannot_be_read_is_one_line(photos, refusal, monkeypatch):
    photos({"train": 6, "test": 2})
    scan = os.scandir

    def denied(path):
        if Path(path).name == "cat":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", denied)
    assert refusal(*FOLDER) == "s.yml:8: photos/train/cat cannot be read: Permission denied"
