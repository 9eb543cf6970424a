"""`take` of a named set: its first images in canonical order, told apart by a name and a fingerprint of their own."""

import numpy as np
import pytest

from harness.base.checks import FieldError
from harness.base.errors import HarnessError
from harness.data.locations import data_root, is_present
from harness.data.photographs import load_images
from harness.trial.datasets import DATASETS
from harness.trial.own_data import resolve_dataset


def take(kind, count):
    return resolve_dataset({"kind": kind, "take": count}, ())


def test_it_is_declared_without_the_data():
    first, whole = take("bsd500", 20), DATASETS["bsd500"]
    assert (first.name, first.part_of, [*first.splits]) == ("bsd500[:20]", "bsd500", ["test"])
    split = first.splits["test"]
    assert (split.name, split.images, split.bytes) == ("bsd500[:20]", 20, 20 * 481 * 321 * 3)
    fingerprints = {whole.splits["test"].fingerprint, split.fingerprint, take("bsd500", 21).splits["test"].fingerprint}
    assert len(fingerprints) == 3
    assert split.fingerprint == take("bsd500", 20).splits["test"].fingerprint == "1e9a07d5d27c3826c79733a3653b2d0d"


@pytest.mark.parametrize(
    ("kind", "options", "path", "words"),
    [
        ("bsd500", {"take": 501}, ("take",), "'bsd500' has 500 images, not 501"),
        ("bsd500", {"take": 0}, ("take",), "greater than or equal to 1"),
        ("bsd500", {"tak": 3}, ("tak",), "did you mean 'take'"),
        ("bsd432", {"take": 3}, ("take",), "the dataset 'bsd432' has no options"),
        ("mnist", {"take": 3}, ("take",), "the dataset 'mnist' has no options"),
    ],
)
def test_what_cannot_be_taken_is_refused(kind, options, path, words):
    with pytest.raises(FieldError) as raised:
        resolve_dataset({"kind": kind, **options}, ())
    assert (raised.value.path, words in raised.value.message) == (path, True), raised.value


def test_its_images_are_the_first_of_the_whole():
    root = data_root()
    if not is_present("kodak24", root):
        pytest.skip("Kodak's photographs are not here")
    some, all_of_them = load_images(take("kodak24", 2), root)["test"], load_images(DATASETS["kodak24"], root)["test"]
    assert len(some) == 2
    assert all(np.array_equal(one, other) for one, other in zip(some, all_of_them, strict=False))


def test_data_that_are_not_there_are_named_by_their_folder(tmp_path):
    with pytest.raises(HarnessError, match=f"the dataset 'kodak24' is not under {tmp_path}"):
        load_images(take("kodak24", 2), tmp_path)
