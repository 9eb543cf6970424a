"""Small networks that tests save and use in place of the one that is shipped."""

import torch

from harness.models.build import build_model
from harness.models.model_file import About


def about(channels=3, sigma=None, depth=4, **model):
    """Return what a small DnCNN says of itself."""
    config = {
        "model": {"kind": "dncnn", "depth": depth, "width": 8, "channels": channels, **model},
        "compressors": {},
        "task": {"kind": "denoising", "sigma": sigma or {"from": 0, "to": 60}},
    }
    return About(config, trained_on="sample-photos", origin=f"stand-in of {channels} channel(s)")


def network(said):
    """Return its network, whose batch normalisation has seen something, untrained."""
    made = build_model(said.config)
    with torch.no_grad():
        for name, values in made.named_buffers():
            if values.is_floating_point():
                values.uniform_(0.5, 1.5) if name.endswith("var") else values.uniform_(-0.1, 0.1)
    return made.eval()
