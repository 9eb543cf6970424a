"""Fingerprints and the canonical order of images: by contents, whatever order and files they came in.

An image's hash is the SHA-256 of its shape, label and pixels. Sorting by it gives one order wherever the data came
from; the SHA-256 over the sorted hashes is the fingerprint of the set. Decoders of lossy files differ in a pixel here
and there: such an image is known by the bytes of its file in place of its pixels.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]  # (N, C, H, W)
Labels = NDArray[np.int64]  # (N,)

_DIGITS = 32


def image_hashes(images: Images, labels: Labels) -> list[bytes]:
    """Return the hash of each image with its label, in the order given."""
    contiguous = np.ascontiguousarray(images)
    return [image_hash(image, label) for image, label in zip(contiguous, labels.tolist(), strict=True)]


def image_hash(image: NDArray[np.uint8], label: int) -> bytes:
    """Return the hash of an image uint8 (C, H, W) with its label."""
    return hashlib.sha256(f"{_words(image.shape)} {label}\n".encode() + image.tobytes()).digest()


def file_hash(shape: tuple[int, ...], label: int, data: bytes) -> bytes:
    """Return the hash of a lossy image by the bytes of its file, with its label and the shape (C, H, W) it gets.

    The number stands for how that is done (`harness.data.own.images`): raise it if that changes.
    """
    return hashlib.sha256(f"{_words(shape)} {label} file/1\n".encode() + data).digest()


def _words(shape: tuple[int, ...]) -> str:
    return ",".join(str(n) for n in shape)


def canonical(images: Images, labels: Labels) -> tuple[Images, Labels, list[bytes]]:
    """Return images, labels and hashes in canonical order."""
    hashes = image_hashes(images, labels)
    order = sorted(range(len(hashes)), key=hashes.__getitem__)
    return images[order], labels[order], [hashes[i] for i in order]


def fingerprint(hashes: list[bytes]) -> str:
    """Return the fingerprint of a set of images from their hashes: 32 hexadecimal digits, free of order."""
    return hashlib.sha256(b"".join(sorted(hashes))).hexdigest()[:_DIGITS]
