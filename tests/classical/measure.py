"""Mean PSNR and seconds per image of the classical methods on a folder of photographs.

    OMP_NUM_THREADS=1 python tests/classical/measure.py FOLDER --first 5 --sigma 25 50

White Gaussian noise of seed 0, neither clipped nor rounded; the estimate is clipped and rounded before PSNR, which is
over all pixels and channels of an image, then averaged over images. Seconds are the process's own, the median.
"""

import argparse
import math
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from harness.classical import Bm3dOptions, bm3d, k_svd, nl_bayes, s_ple

METHODS = {
    "BM3D": bm3d,
    "BM3D, threshold=3.0, wiener=0.5": lambda image, sigma: bm3d(image, sigma, Bm3dOptions(threshold=3.0, wiener=0.5)),
    "NL-Bayes": nl_bayes,
    "S-PLE": s_ple,
    "K-SVD": k_svd,
}


def measured(method, path, sigma):
    """Return (PSNR in dB, seconds) of one image."""
    with Image.open(path) as picture:
        clean = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).float()
    noisy = clean + sigma * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    start = time.process_time()
    estimate = method(noisy, sigma).clamp(0, 255).round()
    seconds = time.process_time() - start
    return 10 * math.log10(255**2 / (estimate - clean).square().mean().item()), seconds


def main():
    parser = argparse.ArgumentParser(description="PSNR and seconds of the classical denoisers on photographs.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, help="only so many images, by name")
    parser.add_argument("--sigma", type=float, nargs="+", default=[25.0, 50.0])
    parser.add_argument("--method", nargs="+", choices=METHODS, default=list(METHODS))
    options = parser.parse_args()
    paths = sorted(path for path in options.folder.iterdir() if path.suffix in {".jpg", ".png"})[: options.first]
    print(f"{len(paths)} images, torch {torch.__version__}, {torch.get_num_threads()} thread(s)")
    for name in options.method:
        for sigma in options.sigma:
            psnr_db, seconds = zip(*(measured(METHODS[name], path, sigma) for path in paths), strict=True)
            mean, median = statistics.mean(psnr_db), statistics.median(seconds)
            print(f"{name:34}σ={sigma:g}  {mean:.3f} dB  {median:.1f} s", flush=True)


if __name__ == "__main__":
    main()
