"""Attacks on a classifier by the sign of its loss's gradient: FGSM, BIM, PGD and one universal perturbation.

Images are pixels, float32 (B, C, H, W) on 0…255, and stay there; every change is at most ε a pixel and channel. What a
classifier or a denoiser before it does with them lies behind `Logits`. An image's result depends on no other image of
its batch: losses are summed, and random starts follow from an image's content.

- FGSM: I. Goodfellow, J. Shlens, C. Szegedy, "Explaining and harnessing adversarial examples", ICLR 2015, section 4.
- BIM: A. Kurakin, I. Goodfellow, S. Bengio, "Adversarial examples in the physical world", ICLR workshop 2017.
- PGD: A. Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR 2018, Eq. (2).
- Universal: the question of S. Moosavi-Dezfooli et al., CVPR 2017; by sign steps as A. Shafahi et al., "Universal
  adversarial training", AAAI 2020, in place of DeepFool.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from harness.tasks.base import content_stream
from harness.trial.conditions import Bim, Fgsm, Perturbed, Pgd, UniformNoise, Universal

Logits = Callable[[Tensor], Tensor]
"""Pixels (B, C, H, W) → logits (B, classes), differentiable by the pixels if it belongs to an attack."""

LARGEST = 255.0


def sign(logits: Logits, images: Tensor, labels: Tensor) -> Tensor:
    """Return the sign of the gradient of each image's cross-entropy by its pixels, (B, C, H, W): -1, 0 or 1."""
    return _gradient(logits, images, labels).sign()


Sign = Callable[[Logits, Tensor, Tensor], Tensor]


def perturbed(
    images: Tensor, labels: Tensor, attack: Perturbed, known: Sequence[Logits], first_sign: Sign = sign
) -> Tensor:
    """Return images as an attack, or noise, leaves them.

    Args:
        images: whole numbers 0…255 as float32 (B, C, H, W).
        labels: int64 (B,), the classes that the attack leads away from.
        attack: its options; not a universal one, which needs no gradient of these images.
        known: what the attack knows: ways to the logits, equal but for their gradients. Image by image the result of
            the one counts that is worst for the classifier.
        first_sign: `sign`, or who knows what it gave; FGSM asks for it, whatever its ε.
    """
    with torch.enable_grad():
        candidates = (one for logits in known for one in _candidates(images, labels, attack, logits, first_sign))
        finished = (_finished(candidate, images, attack) for candidate in candidates)
        if isinstance(attack, UniformNoise):
            return next(finished)
        return _worst(finished, labels, known[0])


def with_universal(images: Tensor, perturbation: Tensor, attack: Universal) -> Tensor:
    """Return images (B, C, H, W) with one perturbation (C, H, W) added."""
    return _finished((images + perturbation).clamp(0, LARGEST), images, attack)


def universal_perturbation(
    batches: Callable[[], Iterator[tuple[Tensor, Tensor]]], attack: Universal, logits: Logits
) -> Tensor:
    """Return one perturbation (C, H, W) within ±ε, crafted on the batches (images, labels) of each epoch."""
    images, _ = next(batches())
    found = torch.zeros_like(images[:1])
    for _ in range(attack.epochs):
        for images, labels in batches():
            moved = (images + found).clamp(0, LARGEST)
            step = attack.step_size * _gradient(logits, moved, labels).sum(0, keepdim=True).sign()
            found = (found + step).clamp(-attack.epsilon, attack.epsilon)
    return found[0]


def _candidates(
    images: Tensor, labels: Tensor, attack: Perturbed, logits: Logits, first_sign: Sign
) -> Iterator[Tensor]:
    """Yield what an attack, or noise, makes of images: of PGD a candidate for each restart."""
    epsilon = attack.epsilon
    if isinstance(attack, UniformNoise):
        yield _near(images + epsilon * _uniform(images, attack.seed, 0), images, epsilon)
    elif isinstance(attack, Fgsm):
        yield _near(images + epsilon * first_sign(logits, images, labels), images, epsilon)
    elif isinstance(attack, Pgd):
        for restart in range(attack.restarts):
            start = images
            if attack.random_start:
                start = _near(images + epsilon * _uniform(images, attack.seed, restart), images, epsilon)
            yield _iterated(start, images, labels, attack, logits)
    elif isinstance(attack, Bim):
        yield _iterated(images, images, labels, attack, logits)
    else:
        raise TypeError(f"{type(attack).__name__} is not an attack on single images")


def _iterated(start: Tensor, images: Tensor, labels: Tensor, attack: Bim, logits: Logits) -> Tensor:
    moved = start
    for _ in range(attack.steps):
        moved = _near(moved + attack.step_size * sign(logits, moved, labels), images, attack.epsilon)
    return moved


def _gradient(logits: Logits, pixels: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of each image's cross-entropy by its pixels, (B, C, H, W)."""
    with torch.enable_grad():
        pixels = pixels.detach().requires_grad_()
        loss = F.cross_entropy(logits(pixels), labels, reduction="sum")
        return torch.autograd.grad(loss, pixels)[0]


def _near(moved: Tensor, images: Tensor, epsilon: float) -> Tensor:
    """Return the nearest pixels within ε of images and within 0…255."""
    return torch.clamp(moved, images - epsilon, images + epsilon).clamp(0, LARGEST)


def _finished(moved: Tensor, images: Tensor, attack: Perturbed) -> Tensor:
    """Return pixels as they are handed on: rounded, if asked for, without leaving ε."""
    return _near(moved.round(), images, math.floor(attack.epsilon)) if attack.round else moved


def _uniform(images: Tensor, seed: int, restart: int) -> Tensor:
    """Return numbers drawn uniformly from -1…1 for each image, from its content, a seed and the restart."""
    arrays = images.detach().cpu().to(torch.uint8).numpy()
    drawn = [content_stream(each, seed, restart).uniform(-1, 1, each.shape).astype(np.float32) for each in arrays]
    return torch.from_numpy(np.stack(drawn)).to(images.device)


@torch.no_grad()
def _worst(candidates: Iterator[Tensor], labels: Tensor, logits: Logits) -> Tensor:
    """Return of each image the candidate on which a wrong class is furthest ahead of the right one."""
    worst = next(candidates)
    score = None
    for candidate in candidates:
        if score is None:
            score = _score(logits(worst), labels)
        other = _score(logits(candidate), labels)
        worse = other > score
        worst = torch.where(worse.view(-1, 1, 1, 1), candidate, worst)
        score = torch.where(worse, other, score)
    return worst


def _score(logits: Tensor, labels: Tensor) -> Tensor:
    """Return by how much a wrong class is ahead of the right one, (B,): above 0 for a misclassified image."""
    right = logits.gather(1, labels[:, None])[:, 0]
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return others.max(1).values - right
