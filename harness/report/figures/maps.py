"""Fig. 5: the maps before the first fully connected layer, of ten fixed images, beside the images.

The paper does not say how it makes one picture of many maps. Here it is their mean, drawn from its own least to its own
largest value; a second figure shows every map of one image.
"""

from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes

from harness.report.figures.groups import Group, table_groups
from harness.report.figures.results import Array, Maps, Results
from harness.report.figures.style import Drawn, NotDrawn, new_figure

_FIG_5 = ("fig5", "Fig. 5. Maps before the fully connected layers (MNIST)")
_EACH = ("fig5-maps", "Fig. 5, map by map: one image through each network (MNIST)")
_IMAGE = 3  # of the ten, whose maps are shown one by one
_GAP = 2  # pixels between pictures


def stored_maps(results: Results) -> list[tuple[Group, int, Maps]]:
    """Return the maps of each network of Table 1, of the smallest seed that has them."""
    found = []
    for group in table_groups(results.snapshot):
        for seed, run in group.runs.items():
            maps = results.maps(run)
            if maps is not None:
                found.append((group, seed, maps))
                break
    return found


def fig_5(results: Results) -> Drawn | NotDrawn:
    """Draw the ten images, and below them the mean map of each network."""
    found = stored_maps(results)
    if not found:
        return NotDrawn(*_FIG_5, "no maps of Table 1's networks are stored beside the results")
    images = found[0][2].images
    rows = [("Original", _strip([plain(image) for image in images]))]
    rows += [(group.label, _strip([mean_map(maps) for maps in m.maps])) for group, _, m in found]
    figure = new_figure(7.2, 0.62 * len(rows) + 0.1)
    for axes, (label, picture) in zip(figure.subplots(len(rows), 1), rows, strict=True):
        _show(axes, label, picture)
    seeds = ", ".join(sorted({str(seed) for _, seed, _ in found}))
    caption = f"Each picture: the mean over the channels, from its least to its largest value. Seed {seeds}."
    return Drawn(*_FIG_5, caption, figure)


def fig_5_each(results: Results) -> Drawn | NotDrawn:
    """Draw every map of one image, a row of 16 at most, network by network."""
    found = stored_maps(results)
    if not found:
        return NotDrawn(*_EACH, "no maps of Table 1's networks are stored beside the results")
    rows = [(group.label, _grid([scaled(channel) for channel in m.maps[_IMAGE]])) for group, _, m in found]
    heights = [picture.shape[0] for _, picture in rows]
    figure = new_figure(7.2, 0.0125 * sum(heights) + 0.05 * len(rows))
    for axes, (label, picture) in zip(figure.subplots(len(rows), 1, height_ratios=heights), rows, strict=True):
        _show(axes, label, picture)
    digit = int(found[0][2].labels[_IMAGE])
    caption = f"The digit {digit}; each map from its least to its largest value, maps that are constant in grey."
    return Drawn(*_EACH, caption, figure)


def mean_map(maps: Array) -> Array:
    """Return one picture (H, W), 0 to 1, of an image's maps (C, H, W): their mean."""
    return scaled(maps.mean(axis=0))


def plain(image: Array) -> Array:
    """Return an image (C, H, W) of uint8 as grey, 0 to 1: the mean of its channels."""
    grey: Array = image.mean(axis=0) / 255
    return grey


def scaled(picture: Array) -> Array:
    """Return a picture from its least to its largest value, 0 to 1; a constant one is 0.5 throughout."""
    low, high = picture.min(), picture.max()
    spread: Array = (picture - low) / (high - low) if high > low else np.full(picture.shape, 0.5)
    return spread


def _strip(pictures: list[Array]) -> Array:
    """Put pictures side by side, with white between them."""
    gap = np.ones((pictures[0].shape[0], _GAP))
    return np.concatenate([part for picture in pictures for part in (picture, gap)][:-1], axis=1)


def _grid(pictures: list[Array], across: int = 16) -> Array:
    empty = np.ones(pictures[0].shape)
    padded = pictures + [empty] * (-len(pictures) % across)
    strips = [_strip(padded[i : i + across]) for i in range(0, len(padded), across)]
    gap = np.ones((_GAP, strips[0].shape[1]))
    return np.concatenate([part for strip in strips for part in (strip, gap)][:-1], axis=0)


def _show(axes: Axes, label: str, picture: Array) -> None:
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="none", aspect="equal")
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_ylabel("\n".join(wrap(label, 22)), rotation=0, ha="right", va="center", fontsize=7.5)
