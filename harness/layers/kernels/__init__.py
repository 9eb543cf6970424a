"""Fast versions of feature pooling and top-k, and the choice between them and plain torch.

`feature_pool` and `topk_pool` use them by themselves for what they can do: fp32 and bf16 on the CPU,
fp16 too on CUDA. Anything else (fp64, other devices, no compiler) is plain torch's.
`use_kernels("torch")` keeps to plain torch altogether; values are the same to the bit, and so are gradients.
Training also lets large fully connected layers compute by oneDNN (`linear`), where values differ by rounding.
"""

from harness.layers.kernels.choice import KERNELS, selected_kernels, use_kernels

__all__ = ["KERNELS", "selected_kernels", "use_kernels"]
