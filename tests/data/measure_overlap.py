"""Recall and false alarms of the search for overlap, on a folder of photographs.

    OMP_NUM_THREADS=1 python tests/data/measure_overlap.py FOLDER --first 50

For each change, the first photographs by name are the training images and their changed copies the test images. A copy
counts as found if it is paired with its own photograph; every other pair is a false alarm. `--against OTHER` instead
lists what one folder has in common with another, the photographs as they are.
"""

import argparse
import io
import time
from pathlib import Path

import numpy as np
from PIL import Image

from harness.data.overlap import find_overlaps


def read(path):
    """Return an image file as uint8 (3, H, W)."""
    with Image.open(path) as picture:
        return np.array(picture.convert("RGB")).transpose(2, 0, 1)


def crop(share):
    """Return a change that cuts a random part with `share` of the area and the sides' proportion."""

    def change(image, random):
        height, width = (round(length * share**0.5) for length in image.shape[1:])
        top, left = random.integers(image.shape[1] - height + 1), random.integers(image.shape[2] - width + 1)
        return image[:, top : top + height, left : left + width]

    return change


def scale(factor):
    """Return a change of size by a factor, bicubic."""

    def change(image, random):
        height, width = (round(length * factor) for length in image.shape[1:])
        picture = Image.fromarray(image.transpose(1, 2, 0)).resize((width, height), Image.Resampling.BICUBIC)
        return np.array(picture).transpose(2, 0, 1)

    return change


def jpeg(image, random):
    """Compress and decompress an image at quality 50."""
    buffer = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(buffer, "JPEG", quality=50)
    return read(buffer)


def grey(image, random):
    """Return the grey version (1, H, W)."""
    return np.array(Image.fromarray(image.transpose(1, 2, 0)).convert("L"))[None]


def turn(quarters):
    """Return a change that turns an image counter-clockwise."""
    return lambda image, _: np.rot90(image, quarters, (1, 2))


def flip(axis):
    """Return a change that flips an image along an axis of (C, H, W)."""
    return lambda image, _: np.flip(image, axis)


def chain(*changes):
    """Return a change that makes several, in their order."""

    def change(image, random):
        for each in changes:
            image = np.ascontiguousarray(each(image, random))
        return image

    return change


CHANGES = {
    "none": chain(),
    "crop to 50 %": crop(0.5),
    "crop to 25 %": crop(0.25),
    "scale 0.5": scale(0.5),
    "scale 0.7": scale(0.7),
    "scale 1.4": scale(1.4),
    "scale 2": scale(2),
    "JPEG, quality 50": jpeg,
    "flip left-right": flip(2),
    "flip up-down": flip(1),
    "turn 90°": turn(1),
    "turn 180°": turn(2),
    "turn 270°": turn(3),
    "grey": grey,
    "scale 0.5, JPEG": chain(scale(0.5), jpeg),
    "crop to 25 %, JPEG": chain(crop(0.25), jpeg),
    "crop to 25 %, scale 0.5": chain(crop(0.25), scale(0.5)),
    "crop to 25 %, scale 2": chain(crop(0.25), scale(2)),
    "crop to 25 %, turn 90°, flip left-right, JPEG, grey": chain(crop(0.25), turn(1), flip(2), jpeg, grey),
}


def changed(images, change, seed=0):
    """Return changed copies of images, each with random numbers of its own."""
    return [np.ascontiguousarray(change(image, np.random.default_rng([seed, i]))) for i, image in enumerate(images)]


def main():
    parser = argparse.ArgumentParser(description="Recall and false alarms of the search for overlap.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, help="only so many images, by name")
    parser.add_argument("--against", type=Path, help="list what is in both folders, without a change")
    options = parser.parse_args()
    paths = sorted(path for path in options.folder.rglob("*") if path.suffix in {".jpg", ".png"})[: options.first]
    train = [read(path) for path in paths]
    if options.against:
        others = sorted(path for path in options.against.rglob("*") if path.suffix in {".jpg", ".png"})
        start = time.process_time()
        overlaps = find_overlaps(train, [read(path) for path in others])
        for pair in overlaps:
            print(paths[pair.train_index].name, others[pair.test_index].name, pair.kind, pair.score)
        print(f"{len(overlaps)} pairs of {len(train)}×{len(others)}, {time.process_time() - start:.0f} s")
        return
    print(f"{len(train)} photographs")
    for name, change in CHANGES.items():
        start = time.process_time()
        overlaps = find_overlaps(train, changed(train, change))
        found = sum(pair.train_index == pair.test_index for pair in overlaps)
        alarms = [
            f"{paths[pair.train_index].name} {paths[pair.test_index].name} {pair.score}"
            for pair in overlaps
            if pair.train_index != pair.test_index
        ]
        least = min((pair.score for pair in overlaps if pair.train_index == pair.test_index), default=0)
        seconds = time.process_time() - start
        print(f"| {name} | {found} of {len(train)} | {least:.2f} | {seconds:.1f} s | {alarms}", flush=True)


if __name__ == "__main__":
    main()
