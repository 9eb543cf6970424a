"""Make the vectors that tests compare attacks with, by adversarial-robustness-toolbox (ART).

    pip install adversarial-robustness-toolbox==1.20.1
    python tests/tasks/make_attack_vectors.py

What ART adds to each pixel is kept in eighths of a grey level, which holds it exactly.
"""

from pathlib import Path

import numpy as np
from small_classifier import golden_network

CASES = {
    "fgsm 8": ("fgsm", {"epsilon": 8}),
    "fgsm 0.5": ("fgsm", {"epsilon": 0.5}),
    "bim 4": ("bim", {"epsilon": 4, "steps": 5, "step": 1}),
    "bim 6": ("bim", {"epsilon": 6, "steps": 10, "step": 1.5}),
}


def by_art(name):
    """Return what ART makes of the images of `golden_network`, float32."""
    from art.attacks.evasion import BasicIterativeMethod, FastGradientMethod
    from art.estimators.classification import PyTorchClassifier
    from torch import nn

    network, images, labels = golden_network()
    classifier = PyTorchClassifier(
        network, nn.CrossEntropyLoss(), input_shape=(1, 28, 28), nb_classes=10, clip_values=(0, 255), device_type="cpu"
    )
    kind, options = CASES[name]
    if kind == "fgsm":
        attack = FastGradientMethod(classifier, eps=options["epsilon"])
    else:
        attack = BasicIterativeMethod(
            classifier, eps=options["epsilon"], eps_step=options["step"], max_iter=options["steps"], verbose=False
        )
    return attack.generate(images.numpy(), y=labels.numpy())


if __name__ == "__main__":
    _, pixels, _ = golden_network()
    eighths = {name: 8 * (by_art(name) - pixels.numpy()) for name in CASES}
    kept = {name: values.astype(np.int8) for name, values in eighths.items()}
    for name, values in kept.items():
        if not np.array_equal(values, eighths[name]):
            raise SystemExit(f"{name}: not whole eighths")
    np.savez_compressed(Path(__file__).parent / "attack_vectors.npz", **kept)
