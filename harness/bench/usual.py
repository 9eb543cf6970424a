"""The loop that people usually write: torchvision's dataset and transforms, a DataLoader, loss.item() each step.

What `harness bench epoch` holds our epoch against. Written as its examples are, with worker processes and without any
slowness of our own making: the dataset objects are torchvision's, only filled from arrays that are there already.
"""

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset

from harness.data.dataset import Arrays
from harness.torchvision_compat import import_torchvision


def usual_dataset(arrays: Arrays, mean: list[float], deviation: list[float], crop_padding: int | None) -> Any:
    """Return images as torchvision's MNIST (grey) or CIFAR10 (colour), with the usual transforms."""
    import_torchvision()
    from torchvision import datasets, transforms

    size = arrays.images.shape[-1]
    augment = [transforms.RandomCrop(size, crop_padding), transforms.RandomHorizontalFlip()] if crop_padding else []
    transform = transforms.Compose([*augment, transforms.ToTensor(), transforms.Normalize(mean, deviation)])
    grey = arrays.images.shape[1] == 1
    kind = datasets.MNIST if grey else datasets.CIFAR10
    dataset = kind.__new__(kind)  # filled below instead of from files: __getitem__ is torchvision's
    dataset.transform, dataset.target_transform = transform, None
    if grey:
        dataset.data, dataset.targets = torch.from_numpy(arrays.images[:, 0]), torch.from_numpy(arrays.labels)
    else:
        dataset.data = np.ascontiguousarray(arrays.images.transpose(0, 2, 3, 1))  # (N, H, W, C), as torchvision has it
        dataset.targets = arrays.labels.tolist()
    return dataset


def usual_epoch(
    model: nn.Module,
    dataset: Any,
    *,
    optimizer: torch.optim.Optimizer,
    images: int,
    batch_size: int,
    workers: int,
    device: torch.device,
) -> float:
    """Train one epoch on the first `images` of a dataset; return the mean loss."""
    loader = DataLoader(
        Subset(dataset, range(images)),
        batch_size=batch_size,
        shuffle=True,
        num_workers=workers,
        pin_memory=device.type == "cuda",
    )
    criterion = nn.CrossEntropyLoss()
    model.train()
    running = 0.0
    for x, y in loader:
        inputs, labels = x.to(device, non_blocking=True), y.to(device, non_blocking=True)
        optimizer.zero_grad()
        loss = criterion(model(inputs), labels)
        loss.backward()
        optimizer.step()
        running += loss.item()
    return running / max(1, len(loader))
