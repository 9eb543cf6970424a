"""torchvision's ResNet-18 with the insides of its residual blocks narrowed, for `ablations/imagenette-64.yml`.

It has as many parameters as one with feature pooling, and all its shortcuts.
"""
# ruff: noqa: INP001 - a plug-in beside the study

from torch import nn

from harness.torchvision_compat import import_torchvision


def narrow(num_classes: int, inside: float) -> nn.Module:
    """Return ResNet-18 whose blocks make `inside` of their usual channels between their two convolutions."""
    import_torchvision()
    from torchvision.models.resnet import BasicBlock, resnet18

    network = resnet18(num_classes=num_classes)
    for block in network.modules():
        if isinstance(block, BasicBlock):
            planes = round(inside * block.conv1.out_channels)
            first, second = block.conv1, block.conv2
            block.conv1 = nn.Conv2d(first.in_channels, planes, 3, first.stride, 1, bias=False)
            block.bn1 = nn.BatchNorm2d(planes)
            block.conv2 = nn.Conv2d(planes, second.out_channels, 3, 1, 1, bias=False)
    return network
