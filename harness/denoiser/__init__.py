"""A denoiser applied to a person's own pictures: `harness denoise IMAGE`, and `harness.denoise` from Python.

The network that is used by default lies in this folder: `dncnn-colour.npz`, as `harness model save` wrote it.
"""

PUBLIC = ("apply", "denoisers", "pictures")
"""The modules that other folders may import (`tests/test_imports.py`)."""
