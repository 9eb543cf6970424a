"""Fingerprints and the canonical order: of contents alone, whatever order they came in."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.fingerprint import canonical, fingerprint, image_hashes


@st.composite
def data_sets(draw):
    """Draw a few small images with labels, some of them twice."""
    n, channels, size = draw(st.integers(1, 6)), draw(st.integers(1, 2)), draw(st.integers(1, 3))
    pixels = draw(st.binary(min_size=n * channels * size * size, max_size=n * channels * size * size))
    labels = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    return np.frombuffer(pixels, np.uint8).reshape(n, channels, size, size), np.array(labels, np.int64)


def of(images, labels):
    return fingerprint(image_hashes(images, labels))


@given(data_sets(), st.randoms(use_true_random=False))
def test_the_order_given_does_not_count(data, random):
    images, labels = data
    order = list(range(len(labels)))
    random.shuffle(order)
    one, other = canonical(images, labels), canonical(images[order], labels[order])
    assert one[2] == other[2] == sorted(one[2])
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])
    assert of(images, labels) == of(images[order], labels[order])


@given(data_sets(), st.data())
def test_a_changed_pixel_or_label_or_image_changes_it(data, draw):
    images, labels = data
    before = of(images, labels)
    i = draw.draw(st.integers(0, len(labels) - 1))
    brighter, relabelled = images.copy(), labels.copy()
    brighter[i, 0, 0, 0] ^= 1
    relabelled[i] += 1
    assert of(brighter, labels) != before
    assert of(images, relabelled) != before
    assert of(images[:-1], labels[:-1]) != before
    assert of(np.concatenate([images, images[:1]]), np.append(labels, labels[:1])) != before


def test_an_image_s_hash_by_hand():
    images = np.arange(8, dtype=np.uint8).reshape(2, 1, 2, 2)
    expected = [hashlib.sha256(b"1,2,2 7\n" + bytes(range(4))), hashlib.sha256(b"1,2,2 0\n" + bytes(range(4, 8)))]
    hashes = image_hashes(images, np.array([7, 0]))
    assert hashes == [one.digest() for one in expected]
    assert fingerprint(hashes) == hashlib.sha256(b"".join(sorted(hashes))).hexdigest()[:32]


def test_the_shape_counts_and_the_layout_in_memory_does_not():
    images = np.arange(16, dtype=np.uint8).reshape(1, 1, 4, 4)
    labels = np.array([0])
    assert of(images, labels) != of(images.reshape(1, 1, 2, 8), labels)
    assert of(images, labels) == of(np.asfortranarray(images), labels)
    assert of(images[..., ::2], labels) == of(images[..., ::2].copy(), labels)


def test_every_image_needs_a_label():
    with pytest.raises(ValueError, match="zip"):
        image_hashes(np.zeros((2, 1, 1, 1), np.uint8), np.array([0]))
