"""Fig. 5 on the page: each network's mean maps as one small picture inside the file."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from harness.report.figures.maps import mean_map, plain, stored_maps
from harness.report.figures.results import Array, Results


@dataclass(frozen=True)
class Strip:
    """A row of the figure: ten pictures side by side as one, as a data URI; its size in pixels."""

    label: str
    source: str
    width: int
    height: int


def map_strips(results: Results) -> list[Strip]:
    """Return the originals and each network's mean maps; nothing where no maps are stored."""
    found = stored_maps(results)
    if not found:
        return []
    originals = _strip("Original", [plain(image) for image in found[0][2].images])
    return [originals, *(_strip(g.label, [mean_map(each) for each in m.maps]) for g, _, m in found)]


def _strip(label: str, pictures: list[Array]) -> Strip:
    whole = np.concatenate(pictures, axis=1)  # (H, 10 W), 0 to 1
    image = Image.fromarray((255 * whole).round().astype(np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    source = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Strip(label, source, image.width, image.height)
