"""What compiled kernels and their callers agree on: sizes of scratch memory, and the words of a call.

A call is an array of 64-bit integers: where its marks are (bytes from its start), the number of parts and of threads,
the address of a C function that tells a thread its number, the kernel's own words, and the marks: a byte for each part
that a thread has taken.
"""

from llvmlite import binding

LANES64 = 8 if binding.get_host_cpu_features().get("avx512f") else 4
"""Values of 64 bits that the sorting networks move at once."""

HEADER = 4  # words of a call before the kernel's own
BLOCK = 16  # channels that are sorted at once
TILE = 16  # pixels: a line of memory of fp32
STAGE_BYTES = 1280  # for a block of values of one vector of pixels, and a word for each vector of a tile


def key_bytes(channels: int) -> int:
    """Return the room for the keys of one vector of pixels: channels up to the next power of two, at least 16."""
    return max(BLOCK, 1 << (channels - 1).bit_length()) * 8 * LANES64


def scratch_bytes(channels: int, parts: int) -> int:
    """Return the scratch memory of a top-k forward call."""
    return parts * (TILE // LANES64 * key_bytes(channels) + STAGE_BYTES) + 64
