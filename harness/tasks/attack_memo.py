"""What attacks found on images, kept for the evaluations that ask for the same again.

An evaluation looks at all images under one condition, then the next one begins. Yet an attack that knows no denoiser
gives the same images before each of them, and FGSM takes the same gradient at every ε.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable

import torch
from torch import Tensor

from harness.tasks.attacks import LARGEST

MOST_BYTES = 2**30
"""Of what is kept in a process: all that 500 images of 224×224 need under a dozen attacks."""


class Memo:
    """Tensors by what was asked for, on which images, of which network; those that were used last are kept.

    A network is known by its logits of the images, which are computed for it: what another one finds is not taken.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most, self._bytes = most_bytes, 0
        self._kept: OrderedDict[Hashable, Tensor] = OrderedDict()

    def get(self, what: Hashable, known: tuple[Tensor, ...], find: Callable[[], Tensor]) -> Tensor:
        """Return what `find` gives, in float32, or gave before if all of `known` had the same bits."""
        place = (what, *map(_digest, known))
        if place in self._kept:
            self._kept.move_to_end(place)
            return self._kept[place].to(torch.float32)
        found = find()
        self._keep(place, _small(found))
        return found

    def _keep(self, place: Hashable, tensor: Tensor) -> None:
        if tensor.nbytes > self._most:
            return
        self._kept[place] = tensor
        self._bytes += tensor.nbytes
        while self._bytes > self._most:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.nbytes


def _small(found: Tensor) -> Tensor:
    """Return whole numbers in a byte each (signs, and pixels of 0…255); other numbers as they are."""
    least, most = float(found.min()), float(found.max())
    whole = bool((found == found.round()).all())
    if whole and least >= -1 and most <= 1:
        return found.to(torch.int8)
    return found.to(torch.uint8) if whole and least >= 0 and most <= LARGEST else found


def _digest(tensor: Tensor) -> bytes:
    found = hashlib.blake2b(repr((tuple(tensor.shape), tensor.dtype)).encode(), digest_size=16)
    found.update(tensor.detach().cpu().contiguous().numpy().data)
    return found.digest()
