"""A person's own code: found, digested and imported."""

PUBLIC = ("cache", "digests", "form", "origin", "plugin", "registry", "signature", "timm_models", "torchvision_models")
"""The modules that other folders may import (`tests/test_imports.py`)."""
