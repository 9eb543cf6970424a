"""An attack that is asked for again is not made again, gives the same bits, and nobody gets what another one found."""

import pytest
import torch

from harness.tasks import attacked
from harness.tasks.attack_memo import Memo
from harness.tasks.attacked import Attacked
from harness.trial.conditions import ATTACKS

CPU = torch.device("cpu")
IMAGES = torch.randint(0, 256, (4, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
LABELS = torch.tensor([0, 1, 2, 0])
BLUR = {"kind": "blur", "sigma": 1.0}


class Counting:
    """A linear classifier that counts how often an attack asked it for a gradient."""

    def __init__(self, seed=0):
        self.weights = torch.randn(3 * 8 * 8, 3, generator=torch.Generator().manual_seed(seed))
        self.gradients = 0

    def __call__(self, pixels):
        self.gradients += pixels.requires_grad
        return (pixels.flatten(1) / 255) ** 2 @ self.weights


@pytest.fixture(autouse=True)
def memo(monkeypatch):
    monkeypatch.setattr(attacked, "_MADE", Memo())


def made(classifier, kind, images=IMAGES, **options):
    condition = ATTACKS[kind].model_validate(options).canonical()
    with torch.no_grad():
        return Attacked(condition, classifier, None, {}, CPU)(images, LABELS[: len(images)])


def alone(monkeypatch, kind, **options):
    monkeypatch.setattr(attacked, "_MADE", Memo(most_bytes=0))
    return made(Counting(), kind, **options)


CONDITIONS = [
    ("fgsm", {"epsilon": 2}),
    ("fgsm", {"epsilon": 8}),
    ("fgsm", {"epsilon": 8, "denoiser": BLUR}),
    ("fgsm", {"epsilon": 4, "denoiser": BLUR, "knowledge": "aware"}),
    ("fgsm", {"epsilon": 8, "denoiser": BLUR, "knowledge": "aware"}),
    ("fgsm", {"epsilon": 8, "denoiser": BLUR, "knowledge": "aware", "gradient": "identity"}),
    ("bim", {"epsilon": 4, "steps": 3}),
    ("bim", {"epsilon": 4, "steps": 3, "denoiser": BLUR}),
    ("pgd", {"epsilon": 4.5, "steps": 2, "restarts": 2, "round": False}),
    ("pgd", {"epsilon": 4.5, "steps": 2, "restarts": 2, "round": False, "denoiser": BLUR}),
    ("uniform_noise", {"epsilon": 4}),
    ("uniform_noise", {"epsilon": 4, "denoiser": BLUR}),
]


def test_one_after_the_other_they_find_what_each_finds_alone(monkeypatch):
    classifier = Counting()
    together = [made(classifier, kind, **options) for kind, options in CONDITIONS]
    for (kind, options), found in zip(CONDITIONS, together, strict=True):
        assert torch.equal(found, alone(monkeypatch, kind, **options)), (kind, options)


def test_what_knows_no_denoiser_is_made_once_and_fgsm_of_any_strength_too():
    classifier = Counting()
    for kind, options in CONDITIONS:
        made(classifier, kind, **options)
    by_fgsm = 1 + 1 + 1  # unaware; aware by the blur's own gradient, and by the identity's
    assert classifier.gradients == by_fgsm + 3 + 2 * 2


def test_another_network_and_other_images_are_attacked_themselves(monkeypatch):
    made(Counting(0), "fgsm", epsilon=8)
    other = made(Counting(1), "fgsm", epsilon=8)
    monkeypatch.setattr(attacked, "_MADE", Memo())
    assert torch.equal(other, made(Counting(1), "fgsm", epsilon=8))
    assert not torch.equal(other, made(Counting(0), "fgsm", epsilon=8))
    turned = IMAGES.flip(3)
    assert float((made(Counting(0), "fgsm", turned, epsilon=8) - turned).abs().max()) == 8


def test_no_more_is_kept_than_fits():
    memo = Memo(most_bytes=100)
    asked = []

    def get(name, size):
        return memo.get(name, (), lambda: asked.append(name) or torch.full((size,), 7.0))

    for name in ("a", "b", "a", "c", "a", "b"):  # whole numbers: a byte each
        assert torch.equal(get(name, 40), torch.full((40,), 7.0))
    assert asked == ["a", "b", "c", "b"]  # "b" had to go for "c", as "a" was used last
    get("too large", 101)
    get("too large", 101)
    assert asked[-2:] == ["too large", "too large"]
