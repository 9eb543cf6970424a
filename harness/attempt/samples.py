"""What an attempt found item by item, image by image as a rule, out of the bytes that the store keeps."""

from collections.abc import Sequence

from harness.attempt.messages import Sample


def unpacked(sample: Sample) -> Sequence[float]:
    """Return a value per item, in canonical order: 0 or 1 of bits, numbers of float32."""
    import numpy as np

    if sample.encoding == "bits":
        bits = np.unpackbits(np.frombuffer(sample.packed, dtype=np.uint8))[: sample.count]
        return [float(bit) for bit in bits]
    return [float(value) for value in np.frombuffer(sample.packed, dtype="<f4")]
