"""Sizes of images as they are typed."""

from harness.base.errors import HarnessError


def parse_shape(text: str) -> tuple[int, int, int]:
    """Return (C, H, W) of "C,H,W". Raises HarnessError for anything else."""
    try:
        channels, height, width = (int(part) for part in text.split(","))
    except ValueError:
        raise HarnessError(f"--input-shape is written C,H,W, as 3,224,224, not '{text}'") from None
    if min(channels, height, width) < 1:
        raise HarnessError(f"--input-shape: sizes are at least 1, not '{text}'")
    return channels, height, width
