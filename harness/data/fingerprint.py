"""Fingerprints and the canonical order of lossless images: by contents, whatever order and files they came in.

An image's hash is the SHA-256 of its shape, label and pixels. Sorting by it gives one order wherever the data came
from; the SHA-256 over the sorted hashes is the fingerprint of the set.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]  # (N, C, H, W)
Labels = NDArray[np.int64]  # (N,)

_DIGITS = 32


def image_hashes(images: Images, labels: Labels) -> list[bytes]:
    """Return the hash of each image with its label, in the order given."""
    shape = ",".join(str(n) for n in images.shape[1:])
    contiguous = np.ascontiguousarray(images)
    return [
        hashlib.sha256(f"{shape} {label}\n".encode() + image.tobytes()).digest()
        for image, label in zip(contiguous, labels.tolist(), strict=True)
    ]


def canonical(images: Images, labels: Labels) -> tuple[Images, Labels, list[bytes]]:
    """Return images, labels and hashes in canonical order."""
    hashes = image_hashes(images, labels)
    order = sorted(range(len(hashes)), key=hashes.__getitem__)
    return images[order], labels[order], [hashes[i] for i in order]


def fingerprint(hashes: list[bytes]) -> str:
    """Return the fingerprint of a set of images from their hashes: 32 hexadecimal digits, free of order."""
    return hashlib.sha256(b"".join(sorted(hashes))).hexdigest()[:_DIGITS]
