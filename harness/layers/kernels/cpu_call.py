"""What compiled kernels read of a call (`cpu_layout`): its words, and which part of the work to do next."""

from numba import njit

from harness.layers.kernels.cpu_layout import HEADER
from harness.layers.kernels.cpu_vectors import OPTIONS, byte_at, called, mark, word_at


@njit(**OPTIONS)
def argument(call, number):
    """Return one of the kernel's own words."""
    return word_at(call + 8 * (HEADER + number))


@njit(**OPTIONS)
def parts_of(call):
    """Return in how many parts the work is done."""
    return word_at(call + 8)


@njit(**OPTIONS)
def next_part(call):
    """Return a part that no thread has taken, or the number of parts when there is none.

    A thread takes its own parts first, the same in every call, so that what it wrote before is in its own cache; then
    what a thread that was held up has left.
    """
    marks, parts, threads = call + word_at(call), word_at(call + 8), word_at(call + 16)
    own = called(word_at(call + 24)) % threads * parts // threads if threads > 1 else 0
    for turn in range(parts):
        part = (own + turn) % parts
        if not byte_at(marks + part) and not mark(marks + part):
            return part
    return parts
