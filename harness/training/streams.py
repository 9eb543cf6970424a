"""Streams of random numbers: one per purpose, each from the run's seed alone, never from the trial's key.

Two trials at one seed so see the same batches, and parameters that both have, at one shape, start equal: only then may
a difference between them be called paired. A stream has no state to save: it is made again from its name, so that an
attempt that is resumed in the middle of an epoch draws the same order as one that was not disturbed.
"""

import hashlib

import torch
from torch import Tensor


def stream(seed: int, *purpose: str | int) -> torch.Generator:
    """Return a CPU generator for a purpose, e.g. `stream(0, "order", epoch)`."""
    return torch.Generator().manual_seed(stream_seed(seed, *purpose))


def stream_seed(seed: int, *purpose: str | int) -> int:
    """Return the 63-bit seed of a purpose's stream."""
    name = "/".join([str(seed), *map(str, purpose)])
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1


def epoch_order(seed: int, epoch: int, images: int) -> Tensor:
    """Return the order in which an epoch (from 0) visits its images: int64 (images,), on the CPU for every device."""
    return torch.randperm(images, generator=stream(seed, "order", epoch))


def seed_libraries(seed: int) -> None:
    """Seed torch's own generators, which libraries draw from."""
    torch.manual_seed(stream_seed(seed, "torch"))
