"""What a condition makes of images before a classifier sees them: an attack, then a denoiser.

An unaware attack knows the classifier alone; an aware one knows the denoiser before it, too.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from harness.base.errors import HarnessError
from harness.base.keys import canonical_json
from harness.tasks.attack_memo import Memo
from harness.tasks.attacks import Logits, perturbed, sign, universal_perturbation, with_universal
from harness.tasks.defences import Defence, build_defence, through
from harness.trial.conditions import ATTACKS, Attack, Defended, Fgsm, Perturbed, Universal

Batches = Callable[[int, int], Iterator[tuple[Tensor, Tensor]]]
"""How many images, how many at a time → batches of the first training images as pixels, with their labels."""


_MADE = Memo()


@dataclass(frozen=True)
class _Way:
    """A way to the logits. `name`: through which denoiser, by which gradient."""

    logits: Logits
    name: str

    def __call__(self, pixels: Tensor) -> Tensor:
        return self.logits(pixels)


def _kept_sign(way: Logits, images: Tensor, labels: Tensor) -> Tensor:
    assert isinstance(way, _Way)  # noqa: S101 - as all are that are known here
    with torch.no_grad():
        known = (images, labels, way(images))
    return _MADE.get(("sign", way.name), known, lambda: sign(way, images, labels))


class Attacked:
    """Images uint8 (B, C, H, W) and labels (B,) → pixels, float32 on 0…255, as a classifier gets them.

    Args:
        condition: canonical, of classification.
        classifier: pixels → logits.
        training: what universal perturbations are crafted on; None if nothing was trained.
        files: where weights of denoisers lie, by their digest.
        device: if images are.

    Raises:
        HarnessError: the weights are not at hand, or there are no training images.
    """

    def __init__(
        self,
        condition: Mapping[str, object],
        classifier: Logits,
        training: Batches | None,
        files: Mapping[str, str],
        device: torch.device,
    ) -> None:
        options = {name: value for name, value in condition.items() if name != "kind"}
        found = ATTACKS[str(condition["kind"])].model_validate(options)
        assert isinstance(found, Defended)  # noqa: S101 - as all of them are
        self._condition, self._classifier, self._training = found, classifier, training
        self._defence = None if found.denoiser is None else build_defence(found.denoiser, files, device)

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        pixels = self._attacked(images.to(torch.float32), labels)
        return pixels if self._defence is None else self._defence(pixels)

    def _attacked(self, pixels: Tensor, labels: Tensor) -> Tensor:
        if isinstance(self._condition, Universal):
            return with_universal(pixels, self._universal, self._condition)
        if not isinstance(self._condition, Perturbed):
            return pixels
        craft = partial(perturbed, pixels, labels, self._condition, self._known, _kept_sign)
        if self._is_aware or isinstance(self._condition, Fgsm):  # of which the sign is kept
            return craft()
        known = (pixels, labels, self._classifier(pixels))
        return _MADE.get(canonical_json(self._condition.without_defence().canonical()), known, craft)

    @cached_property
    def _is_aware(self) -> bool:
        attack = self._condition
        return self._defence is not None and isinstance(attack, Attack) and attack.knowledge == "aware"

    @cached_property
    def _known(self) -> "list[_Way]":
        """What the attack knows: the classifier, or with the denoiser before it, by each gradient that it may take."""
        attack, defence = self._condition, self._defence
        if defence is None or not isinstance(attack, Attack) or not self._is_aware:
            return [_Way(self._classifier, "")]
        ways: dict[str, Defence] = {"own": defence, "identity": partial(through, defence)}
        chosen = ways if attack.gradient == "worse" else [attack.gradient]
        denoiser = canonical_json(attack.canonical()["denoiser"])
        return [_Way(partial(self._behind, ways[name]), f"{name} {denoiser}") for name in chosen]

    def _behind(self, defence: Defence, pixels: Tensor) -> Tensor:
        return self._classifier(defence(pixels))

    @cached_property
    def _universal(self) -> Tensor:
        attack = self._condition
        assert isinstance(attack, Universal)  # noqa: S101 - asked for by nothing else
        if self._training is None:
            raise HarnessError("a universal perturbation is crafted on training images, and this model is not trained")
        known = [
            universal_perturbation(partial(self._training, attack.images, attack.batch), attack, logits)
            for logits in self._known
        ]
        if len(known) > 1:
            raise HarnessError("a universal perturbation takes one gradient: write 'gradient: own' or 'identity'")
        return known[0]
