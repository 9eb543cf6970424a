"""Overlap of training and test images, found by content.

A test photograph that is also a training image, as a whole or in part, makes a denoiser's result look better than it
would be on new photographs. Three searches, the cheapest first:

- equal pixels, by hash;
- the whole image, scaled, compressed again, turned, flipped or grey: images are compared by their whitened spectra
  (`harness.data.keypoints`), all pairs by matrix products;
- a part of the image: pairs of keypoints with similar spectra vote for one scale and shift.

What the last two propose is verified: the regions that would show the same are sampled on one grid, and count as the
same if their spectra agree up to a higher frequency. Results depend neither on the order of the images nor on threads,
but for pairs within a rounding error (1e-6) of a threshold.

Limits: parts are searched only in images of at least `SMALLEST_PART_SIDE` pixels in height and width; turns by other
angles than quarter turns and other changes of perspective are not looked for; images without structure (nearly
constant ones) are found only by equal pixels. Drawings, digits and pictures in a frame resemble each other more than
photographs do, so what is found among them need not be a copy.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.base.errors import HarnessError
from harness.data.keypoints import (
    SYMMETRIES,
    Grey,
    Keypoints,
    Spectra,
    Symmetry,
    inverse,
    keypoints,
    turned_image,
    turned_spectra,
    whitened,
)

Image = NDArray[np.uint8]  # (C, H, W), one or three channels
Indices = NDArray[np.intp]
Kind = Literal["exact", "whole", "part"]

SMALLEST_PART_SIDE = 64
_LARGEST_SIDE = 480
"""Larger images are reduced by a whole factor until their shorter side is below twice this."""
_LUMA = 0.299, 0.587, 0.114

_WHOLE_SAMPLES, _WHOLE_KEPT, _WHOLE_PROPOSED = 16, 8, 0.8
_KEYPOINT_PROPOSED = 0.94
_FEWEST_VOTES, _MOST_VOTES = 2, 400
"""Unrelated patches reach this similarity three times in 100,000, patches and their copies 19 times in 20."""
_SMALLEST_SHARE = 0.2
"""Parts common to two images are reported if they are at least this share of the smaller one's area."""
_FINE_SAMPLES, _FINE_KEPT, _SAME = 48, 20, 0.9
_FEWEST_PIXELS = 8
_BLOCK = 1 << 23
"""Numbers in a matrix product, and in the images read at once."""


@dataclass(frozen=True, order=True)
class Overlap:
    """A training image and a test image that show the same; `score` is how far they agree, at most 1."""

    train_index: int
    test_index: int
    kind: Kind
    score: float


@dataclass(frozen=True)
class _Mapping:
    """Where a pixel of the turned test image is in the training image: `scale` · (row, column) + `shift`."""

    scale: float
    shift: tuple[float, float]


_Candidate = tuple[int, Symmetry, _Mapping | None]
"""A test image, its symmetry, and where the image so turned is found in the training image (None: all of it)."""


def find_overlaps(train: Sequence[Image], test: Sequence[Image], *, parts: bool = True) -> tuple[Overlap, ...]:
    """Return the pairs of a training and a test image that show the same, in order of their indices.

    Images are uint8 (C, H, W) of one or three channels and of any sizes; the sequences may read them when asked. Each
    training image is read once, a test image again if it has to be verified. `kind` is "exact" for equal pixels,
    "whole" if both show the same view, "part" if one shows a part of the other or both show the same part. `parts`
    says whether to look for the last; the time this takes grows with the product of the numbers of images. Raises
    HarnessError for an image of another form.
    """
    if not len(test):
        return ()
    search, found = _Search(test, parts), list[Overlap]()
    for start, images in _blocks(train, max(1, min(256, _BLOCK // len(test)))):
        found.extend(search.among(start, images))
    return tuple(sorted(found))


def _blocks(images: Sequence[Image], size: int) -> Iterator[tuple[int, list[Image]]]:
    """Yield images with the index of the first: at most `size` of them, fewer if they are large."""
    block: list[Image] = []
    for index in range(len(images)):
        block.append(_checked(images[index], f"training image {index}"))
        if len(block) == size or sum(image.size for image in block) > _BLOCK or index == len(images) - 1:
            yield index + 1 - len(block), block
            block = []


def _checked(image: Image, what: str) -> Image:
    if image.ndim != 3 or image.shape[0] not in {1, 3} or image.dtype != np.uint8 or not image.size:
        raise HarnessError(f"{what} is {image.dtype} {image.shape}: overlap needs uint8 (C, H, W) with 1 or 3 channels")
    return image


def _hash(image: Image) -> bytes:
    return hashlib.sha256(f"{image.shape}\n".encode() + np.ascontiguousarray(image).tobytes()).digest()


def _grey(image: Image) -> Grey:
    """Return the luma of an image (C, H, W), reduced if it is large: (H, W)."""
    channels = image.astype(np.float32)
    grey: Grey = channels[0]
    if len(image) == 3:
        grey = channels[0] * _LUMA[0] + channels[1] * _LUMA[1] + channels[2] * _LUMA[2]
    factor = min(grey.shape) // _LARGEST_SIDE
    if factor < 2:
        return grey
    height, width = (length // factor for length in grey.shape)
    boxes = grey[: height * factor, : width * factor].reshape(height, factor, width, factor)
    reduced: Grey = boxes.mean((1, 3), dtype=np.float32)
    return reduced


class _Search:
    """The test images, prepared to be found among training images."""

    def __init__(self, test: Sequence[Image], parts: bool) -> None:
        self._smallest_side = SMALLEST_PART_SIDE if parts else math.inf
        self._hashes: dict[bytes, list[int]] = {}
        self._keypoints: list[Keypoints] = []
        whole = []
        for index in range(len(test)):
            image = _checked(test[index], f"test image {index}")
            self._hashes.setdefault(_hash(image), []).append(index)
            grey = _grey(image)
            whole.append(_whole(grey))
            self._keypoints.append(keypoints(grey, self._smallest_side))
        self._grey = lru_cache(maxsize=512)(lambda index: _grey(test[index]))
        self._whole = _flat(np.concatenate(whole))  # (test, 64)
        counts = [len(each.scales) for each in self._keypoints]
        self._owners = np.repeat(np.arange(len(test)), counts)  # of each keypoint, its test image
        self._first = np.cumsum([0, *counts[:-1]])
        self._spectra = _flat(np.concatenate([each.spectra for each in self._keypoints]))  # (keypoints, 64)

    def among(self, start: int, images: list[Image]) -> Iterator[Overlap]:
        """Yield the overlaps with training images of which the first has the index `start`."""
        greys = [_grey(image) for image in images]
        whole = self._whole_candidates(np.concatenate([_whole(grey) for grey in greys]))
        for train_index, (image, grey) in enumerate(zip(images, greys, strict=True), start):
            equal = self._hashes.get(_hash(image), [])
            yield from (Overlap(train_index, index, "exact", 1.0) for index in equal)
            seen = set(equal)
            searches: list[tuple[Kind, Iterable[_Candidate]]] = [
                ("whole", whole[train_index - start]),
                ("part", self._part_candidates(grey, seen)),
            ]
            for kind, candidates in searches:
                best: dict[int, float] = {}
                for index, symmetry, mapping in candidates:
                    if index not in seen:
                        score, share = _agreement(grey, turned_image(self._grey(index), symmetry), mapping)
                        if score >= _SAME and share >= _SMALLEST_SHARE:
                            best[index] = max(score, best.get(index, score))
                seen |= best.keys()
                yield from (Overlap(train_index, index, kind, round(score, 3)) for index, score in best.items())

    def _whole_candidates(self, spectra: Spectra) -> list[list[_Candidate]]:
        """Return, for the spectrum of each image as a whole, the test images and symmetries that resemble it."""
        candidates: list[list[_Candidate]] = [[] for _ in spectra]
        for symmetry in SYMMETRIES:
            # Turning the training image back compares as turning the test image does.
            similar = _flat(turned_spectra(spectra, inverse(symmetry))) @ self._whole.T  # (images, test)
            for image, index in zip(*(at.tolist() for at in np.nonzero(similar > _WHOLE_PROPOSED)), strict=True):
                candidates[image].append((index, symmetry, None))
        return candidates

    def _part_candidates(self, grey: Grey, seen: set[int]) -> Iterator[_Candidate]:
        """Yield test images and how they lie in an image, by the keypoints of both."""
        own = keypoints(grey, self._smallest_side)
        if not len(own.scales) or not len(self._owners):
            return
        at_once = max(1, _BLOCK // len(own.scales))
        for symmetry in SYMMETRIES:
            turned = _flat(turned_spectra(own.spectra, inverse(symmetry)))
            pairs = []
            for begin in range(0, len(self._spectra), at_once):
                similar = turned @ self._spectra[begin : begin + at_once].T  # (own, test's keypoints)
                mine, other = np.nonzero(similar > _KEYPOINT_PROPOSED)
                pairs.append((mine, other + begin, similar[mine, other]))
            mine, other, alike = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
            owners = self._owners[other]
            order = np.lexsort((mine, other, -alike, owners))  # by owner, the most similar first
            mine, other = mine[order], other[order]
            indices, first, counts = np.unique(owners[order], return_index=True, return_counts=True)
            for index, begin, count in zip(indices.tolist(), first, counts, strict=True):
                if count >= _FEWEST_VOTES and index not in seen:
                    matches, there = slice(begin, begin + min(count, _MOST_VOTES)), self._keypoints[index]
                    theirs = other[matches] - self._first[index]
                    places = there.turned_places(symmetry)[theirs]
                    mapping = _mapping(own, mine[matches], theirs, places, there.scales[theirs])
                    if mapping is not None:
                        yield index, symmetry, mapping


def _whole(grey: Grey) -> Spectra:
    """Return the spectrum of an image as a whole: (1, 8, 8)."""
    everything = _samples(grey, [(0, length) for length in grey.shape], _WHOLE_SAMPLES)
    return whitened(everything[None], _WHOLE_KEPT)


def _flat(spectra: Spectra) -> NDArray[np.float32]:
    """Return spectra (N, k, k) as rows (N, k²)."""
    return spectra.reshape(-1, spectra.shape[1] * spectra.shape[2])


def _mapping(
    own: Keypoints, mine: Indices, theirs: Indices, places: NDArray[np.float32], scales: NDArray[np.float32]
) -> _Mapping | None:
    """Return the scale and shift for which most matches of keypoints vote, None if fewer than two do.

    Match m is of keypoint `mine[m]` with the other image's `theirs[m]`, which lies at `places[m]` and has `scales[m]`.
    """
    p, q = own.places[mine].astype(float), places.astype(float)  # (M, 2)
    size = own.scales[mine].astype(float)
    ratio = size / scales
    predicted = p[:, None] + ratio[:, None, None] * (q - q[:, None])  # (M hypotheses, M matches, 2)
    tolerance = 2 * size + 0.15 * np.abs(p[:, None] - p).max(-1)
    votes = (np.abs(predicted - p).max(-1) < tolerance) & (np.abs(np.log(ratio[:, None] / ratio)) < 0.3)
    agreed = votes[np.argmax(votes.sum(1))]
    for _ in range(3):
        if len(np.unique(mine[agreed])) < _FEWEST_VOTES or len(np.unique(theirs[agreed])) < _FEWEST_VOTES:
            return None
        p_mean, q_mean = p[agreed].mean(0), q[agreed].mean(0)
        spread = np.square(q[agreed] - q_mean).sum()
        scale = ((p[agreed] - p_mean) * (q[agreed] - q_mean)).sum() / spread if spread else 0
        if scale <= 0.1:
            return None
        shift = p_mean - scale * q_mean
        agreed = np.abs(scale * q + shift - p).max(1) < np.minimum(size, 3) + 0.5
    return _Mapping(scale, (shift[0], shift[1]))


def _agreement(train: Grey, test: Grey, mapping: _Mapping | None) -> tuple[float, float]:
    """Return how far what both images show agrees, and which share of the smaller image that is.

    Without a mapping, all of one image is compared with all of the other.
    """
    in_train: list[tuple[float, float]] = []
    in_test: list[tuple[float, float]] = []
    share, pixels = 1.0, []
    for axis in (0, 1):
        if mapping is None:
            scale, begin, end = train.shape[axis] / test.shape[axis], 0.0, float(train.shape[axis])
        else:  # pixel 0 has its centre at 0 and its edge at -0.5
            scale = mapping.scale
            begin = mapping.shift[axis] + 0.5 - scale / 2
            end = begin + scale * test.shape[axis]
        low, high = max(0.0, begin), min(float(train.shape[axis]), end)
        if high - low < _FEWEST_PIXELS * max(1, scale) and mapping is not None:
            return 0.0, 0.0
        in_train.append((low, high))
        in_test.append(((low - begin) / scale, (high - begin) / scale))
        share *= (high - low) / min(end - begin, train.shape[axis])
        pixels.append((high - low) / max(1, scale))
    kept = max(2, min(_FINE_KEPT, int(min(pixels) / 2)))
    both = np.stack([_samples(train, in_train, _FINE_SAMPLES), _samples(test, in_test, _FINE_SAMPLES)])
    first, second = whitened(both, kept)
    return float((first * second).sum()), share


def _samples(grey: Grey, edges: Sequence[tuple[float, float]], samples: int) -> Grey:
    """Return a part of an image, between edges of rows and of columns, as means over samples × samples equal boxes."""
    rows, columns = (_boxes(length, *ends, samples) for length, ends in zip(grey.shape, edges, strict=True))
    return (rows @ grey @ columns.T).astype(np.float32, copy=False)


@lru_cache(maxsize=64)
def _boxes(length: int, low: float, high: float, samples: int) -> NDArray[np.float32]:
    """Return the matrix (samples, length) that takes the means of pixels over equal boxes between two edges."""
    edges = np.linspace(low, high, samples + 1)
    pixels = np.arange(length)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    covered = np.maximum(covered, 0)
    boxes: NDArray[np.float32] = (covered / covered.sum(1, keepdims=True)).astype(np.float32)
    return boxes
