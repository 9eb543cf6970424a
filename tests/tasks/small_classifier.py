"""A small network on scikit-learn's digits, trained in a second, and what tests of attacks share with ART's vectors."""

import torch
from torch import nn
from torch.nn import functional as F

from harness.data.digits import load


class Small(nn.Module):
    """Pixels (N, 1, 28, 28) on 0…255 → logits (N, 10)."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(49, 32), nn.Tanh(), nn.Linear(32, 10))

    def forward(self, pixels):
        return self.layers(pixels / 255)


def digits():
    """Return training and test images, float32 on 0…255, with labels."""
    splits = load(None)
    return [
        (torch.from_numpy(splits[name].images).float(), torch.from_numpy(splits[name].labels).long())
        for name in ("train", "test")
    ]


def trained(images, labels, steps=150):
    """Return a network that has learnt the images by whole batches."""
    torch.manual_seed(0)
    network = Small()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()
    return network.eval().requires_grad_(False)


def golden_network():
    """Return a network whose weights are small whole numbers over 64, the same on every machine, and its images."""
    network = Small()
    with torch.no_grad():
        for number, parameter in enumerate(network.parameters()):
            count = torch.arange(parameter.numel(), dtype=torch.int64)
            parameter.copy_((((count * 7919 + 104_729 * number) % 65 - 32) / 64).view(parameter.shape))
    images = ((torch.arange(6 * 784) * 2_654_435_761 >> 8) % 256).view(6, 1, 28, 28).float()
    return network.eval().requires_grad_(False), images, torch.tensor([0, 3, 9, 1, 4, 7])
