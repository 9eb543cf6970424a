"""Denoising networks, one per file: noisy images on the scale 0 to 255 → estimates of the same shape."""
