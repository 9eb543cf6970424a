"""What denoisers make of the same crops, side by side, and what they get wrong: two figures of a study.

Any task can have them: one whose attempts keep the arrays `clean`, `noisy` and `estimate`, uint8 (n, C, h, w) with one
channel or three, as the built-in denoising task does. Trials share a figure only if they were given the same images
with the same noise.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.report.figures.groups import Group, study_groups
from harness.report.figures.results import Array, Results
from harness.report.figures.style import Drawn, NotDrawn, new_figure
from harness.trial.tasks import DENOISING

_ROWS, _TRIALS = 4, 6  # at most, of one figure
_EDGE = 1.2  # width of a picture, in inches
_GREY, _GAIN = 128, 4  # of residuals


@dataclass(frozen=True)
class Crops:
    """Crops of some images as a network was given them, and its estimates of the clean ones."""

    clean: Array  # (n, C, h, w), uint8
    noisy: Array
    estimate: Array


@dataclass(frozen=True)
class _Column:
    label: str
    seed: int
    estimate: Array  # (n, C, h, w), uint8


@dataclass(frozen=True)
class _Part:
    """What one figure shows: trials that were given the same crops."""

    clean: Array
    noisy: Array
    columns: Sequence[_Column]


def crops_and_residuals(results: Results, study: str) -> list[Drawn | NotDrawn]:
    """Draw the crops and their residuals; nothing for a study of a task without such pictures.

    A study with more than six trials, or with trials that were given different pictures, has several parts.
    """
    groups = study_groups(results.snapshot, study)
    parts = list(_parts(results, groups))
    heads = [
        ("crops", f"The same crops through all denoisers, study {study}"),
        ("residuals", f"Residuals of the same crops, study {study}"),
    ]
    if not parts:
        expected = any(group.trial.config["task"]["kind"] == DENOISING.name for group in groups)
        why = "no finished run has its crops stored next to the results"
        return [NotDrawn(f"{name}-{study}", title, why) for name, title in heads if expected]
    made: list[Drawn | NotDrawn] = []
    for number, part in enumerate(parts, start=1):
        name_end = f"-part{number}" if number > 1 else ""
        title_end = f", part {number} of {len(parts)}" if len(parts) > 1 else ""
        seeds = ", ".join(map(str, sorted({column.seed for column in part.columns})))
        below = f"Each crop was denoised by itself. Below each picture: its PSNR. Seed {seeds}."
        captions = (
            f"{below} Noisy crops are shown, and measured, clipped to 0…255.",
            f"Estimate − clean, amplified ×{_GAIN} around mid-grey, so that an exact estimate is plain grey. {below}",
        )
        for (name, title), caption, figure in zip(heads, captions, (_crops(part), _residuals(part)), strict=True):
            made.append(Drawn(f"{name}-{study}{name_end}", f"{title}{title_end}", caption, figure))
    return made


def crops_of(results: Results, group: Group) -> tuple[int, Crops] | None:
    """Return the crops of a trial with the seed of their run: the lowest that ended well and has them; else None."""
    for seed, run in sorted(group.runs.items()):
        kept = results.kept(run) if run.state == "done" else {}  # a diverged network has no picture
        if kept.keys() >= {"clean", "noisy", "estimate"}:
            crops = Crops(kept["clean"], kept["noisy"], kept["estimate"])
            if _can_be_shown(crops):
                return seed, crops
    return None


def psnr_of(estimate: Array, clean: Array) -> float:
    """Return the PSNR [dB] of pixels 0…255 over all their values; infinite if there is no error."""
    error = float(np.mean(np.square(estimate.astype(np.float64) - clean)))
    return 10 * math.log10(255**2 / error) if error else math.inf


def residual(estimate: Array, clean: Array) -> Array:
    """Return estimate − clean, four times as large, around mid-grey: uint8 of the same shape."""
    wrong = estimate.astype(np.int16) - clean
    return np.clip(_GREY + _GAIN * wrong, 0, 255).astype(np.uint8)


def _can_be_shown(crops: Crops) -> bool:
    arrays = (crops.clean, crops.noisy, crops.estimate)
    shape = crops.clean.shape
    if len(shape) != 4 or shape[1] not in {1, 3} or not crops.clean.size:
        return False
    return all(array.dtype == np.uint8 and array.shape == shape for array in arrays)


def _parts(results: Results, groups: Sequence[Group]) -> Iterator[_Part]:
    given: dict[tuple[object, ...], list[tuple[_Column, Crops]]] = {}
    for group in groups:
        found = crops_of(results, group)
        if found is not None:
            seed, crops = found
            same = (crops.clean.shape, crops.clean.tobytes(), crops.noisy.tobytes())
            given.setdefault(same, []).append((_Column(group.label, seed, crops.estimate), crops))
    for shown in given.values():
        crops = shown[0][1]
        for start in range(0, len(shown), _TRIALS):
            yield _Part(crops.clean, crops.noisy, [column for column, _ in shown[start : start + _TRIALS]])


def _crops(part: _Part) -> Figure:
    pictures = [("clean", part.clean), ("noisy", part.noisy), *((each.label, each.estimate) for each in part.columns)]
    return _grid(part, pictures)


def _residuals(part: _Part) -> Figure:
    wrong = [("noisy − clean", part.noisy), *((each.label, each.estimate) for each in part.columns)]
    return _grid(part, [("clean", part.clean), *((label, residual(array, part.clean)) for label, array in wrong)])


def _grid(part: _Part, pictures: Sequence[tuple[str, Array]]) -> Figure:
    """Draw a column for each of (label, uint8 (n, C, h, w)): clean, noisy, then the part's trials."""
    measured = [part.clean, part.noisy, *(each.estimate for each in part.columns)]
    rows = min(_ROWS, len(part.clean))
    height, width = part.clean.shape[2:]
    heads = [wrap(label, 18) or [""] for label, _ in pictures]
    tall = rows * (_EDGE * height / width + 0.2) + 0.13 * max(map(len, heads)) + 0.1
    figure = new_figure(_EDGE * len(pictures), tall)
    grid = figure.subplots(rows, len(pictures), squeeze=False)
    for row in range(rows):
        for column, (_, shown) in enumerate(pictures):
            axes = grid[row, column]
            _show(axes, shown[row])
            if column:
                axes.set_xlabel(_decibels(psnr_of(measured[column][row], part.clean[row])), fontsize=7, labelpad=2)
            if row == 0:
                axes.set_title("\n".join(heads[column]), fontsize=7, loc="center", parse_math=False)
    return figure


def _decibels(value: float) -> str:
    return f"{value:.2f} dB" if math.isfinite(value) else "no error"


def _show(axes: Axes, picture: Array) -> None:
    """Show uint8 (C, h, w) pixel by pixel, without axes."""
    shown = picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)  # (h, w) or (h, w, 3)
    axes.imshow(shown, cmap="gray", vmin=0, vmax=255, interpolation="none", aspect="equal")
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
