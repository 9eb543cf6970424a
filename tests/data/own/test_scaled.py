"""Folders of images that are kept whole: read once, held or decoded by processes with the same bits, faults named."""

import os
import signal
import time

import numpy as np
import pytest
import torch
from PIL import Image

from harness.base.checks import FieldError
from harness.base.errors import HarnessError
from harness.data.crops import ResizedCrops, WholeImages, centre_crops
from harness.data.own.decoder import Decoders
from harness.data.own.scaled import load_scaled
from harness.trial.own_data import first_of
from harness.trial.resolve import resolve_trial

CPU = torch.device("cpu")
OPTIONS = {"path": "photos", "size": 16, "short_side": 20}


@pytest.fixture
def wide(photos):
    """Write JPEGs of 30×47 and return their folder."""
    return photos({"train": 12, "val": 5}, size=(30, 47), suffix="jpg")


def test_what_is_declared_and_read(wide, declare, data):
    found = declare(**OPTIONS)
    assert (found.input_shape, found.classes, found.name) == ((3, 16, 16), 2, "photos 16×16 of 20")
    assert {name: split.images for name, split in found.splits.items()} == {"train": 24, "validation": 2, "test": 10}
    splits = load_scaled(found, data)
    assert {name: len(images) for name, images in splits.items()} == {
        "train": 24,
        "test": 10,
        "validation": 2,
        "rest": 22,
    }
    train = splits["train"]
    assert train.sizes.tolist() == [[20, 47 * 20 // 30]] * 24
    for place in (0, 7, 23):
        with Image.open(train.files[place]) as image:
            expected = np.asarray(image.resize((31, 20), Image.Resampling.BILINEAR))
        start = train.first[place]
        assert np.array_equal(train.pixels[start : start + 620].reshape(20, 31, 3), expected)
    mean = np.concatenate([train.pixels]).mean(0) / 255
    assert found.normalization[0] == pytest.approx(mean, abs=1e-4)
    centre = np.concatenate([crops for _, crops in centre_crops(splits["test"], 4)])
    one = splits["test"].pixels[splits["test"].first[3] :][:620].reshape(20, 31, 3)
    assert np.array_equal(centre[3], one[2:18, 7:23].transpose(2, 0, 1))


def test_the_first_images_and_the_last_are_those_of_the_whole(wide, declare, data):
    whole = declare(**OPTIONS)
    ((split, first),) = load_scaled(first_of(whole, "test", 3), data).items()
    test = load_scaled(whole, data)["test"]
    assert (split, first.labels.tolist(), len(first)) == ("test", test.labels[:3].tolist(), 3)
    images = WholeImages(test, CPU)
    assert images.pixels_each == 256
    ((last, labels),) = images.after(7).batches(100)
    assert torch.equal(last, images.at([7, 8, 9]))
    assert torch.equal(labels, images.labels[7:])


def test_names_and_places_of_files_do_not_matter_but_the_short_side_does(wide, declare, prints):
    before = prints(declare(**OPTIONS))
    other = wide.with_name("moved")
    wide.rename(other)
    (other / "train" / "cat" / "0.jpg").rename(other / "train" / "cat" / "zzz.jpg")
    assert prints(declare(**{**OPTIONS, "path": "moved"})) == before
    assert prints(declare(**{**OPTIONS, "path": "moved", "short_side": 21})) != before
    assert prints(declare(**{**OPTIONS, "path": "moved", "workers": 1, "decode": "each_time"})) == before


def test_decoded_on_the_way_gives_the_same_bits_whatever_the_number_of_processes(wide, declare, data):
    held = load_scaled(declare(**OPTIONS), data)
    crops = ResizedCrops(held["train"], {"kind": "resized_crop"}, CPU)
    batches = list(torch.randperm(24, generator=torch.Generator().manual_seed(4)).split(7))
    crops.begin_epoch(torch.Generator().manual_seed(9))
    expected = [crops(batch) for batch in batches]
    for workers in (1, 3):
        streamed = load_scaled(declare(**OPTIONS, decode="each_time", workers=workers), data)
        assert streamed["train"].pixels is None
        again = ResizedCrops(streamed["train"], {"kind": "resized_crop"}, CPU)
        again.begin_epoch(torch.Generator().manual_seed(9))
        for start in (0, 2):  # 2: as after a resume
            again.read_ahead(batches[start:])
            for batch, wanted in zip(batches[start:], expected[start:], strict=True):
                again.begin_step()
                assert torch.equal(again(batch), wanted)
            again.share(slice(1, 3))  # of several processes, one that has the second and third image of the last batch
            assert torch.equal(again(batch[1:3]), wanted[1:3])
            again.share(slice(None))
        tested = [WholeImages(one["test"], CPU) for one in (held, streamed)]
        (first, _), (second, labels) = (next(iter(one.batches(10))) for one in tested)
        assert torch.equal(first, second)
        assert labels.tolist() == held["test"].labels.tolist()


def test_what_cannot_be_read_is_named_counted_and_allowed_up_to_a_share(wide, declare, refusal):
    broken = wide / "train" / "dog" / "3.jpg"
    broken.write_bytes(broken.read_bytes()[:200])
    line = refusal("kind: folder", *(f"{key}: {value}" for key, value in OPTIONS.items()))
    assert "1 image of 34 cannot be read, the first photos/train/dog/3.jpg (" in line
    with pytest.raises(FieldError, match=r"a larger share than 0\.01, which 'corrupt' allows"):
        declare(**OPTIONS, corrupt=0.01)
    assert declare(**OPTIONS, corrupt=0.05).splits["train"].images == 23


def test_a_file_that_is_cut_off_later_is_named(wide, declare, data):
    train = load_scaled(declare(**OPTIONS, decode="each_time"), data)["train"]
    train.files[5].write_bytes(train.files[5].read_bytes()[:300])
    decoders = Decoders(train.files, train.form, 4, 2)
    decoders.ask([np.arange(4), np.arange(4, 8)])
    decoders.next()
    with pytest.raises(HarnessError, match=rf"{train.files[5].name} cannot be read any more .*: fix it"):
        decoders.next()
    decoders.close()


def test_a_killed_process_is_told_in_a_line(wide, declare, data):
    train = load_scaled(declare(**OPTIONS, decode="each_time"), data)["train"]
    decoders = Decoders(train.files, train.form, 6, 2)
    decoders.ask([np.arange(6)])
    decoders.next()
    victim = decoders._workers[1]._process.pid
    os.kill(victim, signal.SIGKILL)
    with pytest.raises(HarnessError, match=r"a process that decodes images was killed by signal 9 .* --retry failed"):
        decoders.next()
    decoders.close()


def test_no_process_is_left_when_the_decoders_are_forgotten(wide, declare, data):
    train = load_scaled(declare(**OPTIONS, decode="each_time"), data)["train"]
    decoders = Decoders(train.files, train.form, 6, 1)
    process = decoders._workers[0]._process
    del decoders
    until = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    assert process.poll() is not None


def test_images_of_another_folder_are_left_out_of_training_by_content(wide, photos, declare, data, prints):
    other = photos({"val": 1}, name="unseen", size=(30, 47), suffix="jpg")
    copied = (wide / "train" / "cat" / "4.jpg").read_bytes()
    (other / "val" / "cat" / "named-otherwise.jpg").write_bytes(copied)
    left = declare(**OPTIONS, without="unseen")
    assert left.splits["train"].images == 23
    assert left.name == "photos 16×16 of 20 without unseen"
    assert copied not in [file.read_bytes() for file in load_scaled(left, data)["train"].files]
    plain = {"path": "photos", "size": 16}
    assert declare(**plain, without=["unseen"]).splits["train"].images == 23
    assert declare(**plain).splits["train"].images == 24


def test_a_folder_that_is_only_tested_on_needs_no_training_images_and_shares_none(photos, data, tmp_path):
    ten = {"size": (40, 47), "suffix": "jpg", "classes": tuple("abcdefghij")}
    seen, unseen = photos({"train": 2, "val": 1}, **ten), photos({"val": 3}, name="unseen", **ten)

    def trial():
        folder = {"kind": "folder", "size": 32, "short_side": 34}
        return resolve_trial(
            task="classification",
            dataset={**folder, "path": str(seen)},
            model="vgg16",
            protocol={"kind": "cifar-fast", "augmentation": {"kind": "resized_crop"}},
            evaluate=[{"dataset": {**folder, "path": str(unseen)}}],
        )

    assert [(one.dataset, one.split, one.images) for one in trial().evaluations] == [("unseen 32×32 of 34", "test", 30)]
    assert trial().data[1].normalization is None
    (unseen / "val" / "b" / "copy.jpg").write_bytes((seen / "train" / "b" / "1.jpg").read_bytes())
    with pytest.raises(FieldError, match=r"1 of the 31 test images .* are also training images .*'without: .*unseen'"):
        trial()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"short_side": 12}, "crops of 16×16 do not fit into images of short side 12"),
        ({"size": None}, "with 'size', what a network gets"),
        ({"short_side": None, "workers": 2}, "with 'short_side' if it has 'decode' or 'workers'"),
    ],
)
def test_refused(wide, declare, options, message):
    kept = {key: value for key, value in {**OPTIONS, **options}.items() if value is not None}
    with pytest.raises(FieldError, match=message):
        declare(**kept)
