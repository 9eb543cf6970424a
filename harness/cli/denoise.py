"""`harness denoise`: take the noise out of pictures."""

import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.base.errors import HarnessError, printable_line
from harness.base.extras import needs
from harness.base.files import is_there
from harness.cli.common import FiniteRange, format_option, print_json, sources_option

if TYPE_CHECKING:
    from harness.denoiser.apply import Outcome, Values
    from harness.denoiser.denoisers import Denoiser
    from harness.denoiser.pictures import Picture

_SUFFIX = "-denoised"
_SOME_FAILED = 1  # the exit code if some of several pictures could not be read


@click.command()
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--sigma", type=FiniteRange(0, 255, min_open=True),
              help="Standard deviation of the noise on the scale 0 to 255.  [default: estimated]")  # fmt: skip
@click.option("--model", "name", metavar="NAME",
              help="bm3d, nl_bayes, k_svd, s_ple; a file of `harness model save`; or a stored run, STUDY:TRIAL:SEED or "
              "the first digits of its uid.  [default: the harness's own network; bm3d if grey]")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path),
              help="The PNG to write; for several pictures a folder.  [default: NAME-denoised.png here]")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace files that this command did not write. Never the input.")
@click.option("--add-noise", is_flag=True,
              help="IMAGE is clean: add noise of --sigma as evaluations do; print PSNR and SSIM.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the noise that is added.")
@click.option("--side-by-side", "sheet", type=click.Path(path_type=Path), metavar="PNG",
              help="Also write a picture of before, after and their difference.")  # fmt: skip
@click.option("--tile", type=click.IntRange(min=16), help="Side of the tiles of a large picture, in pixels; less needs "
              "less memory.  [default: 512 for networks]")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@format_option("text", "json")
@sources_option
def denoise(  # noqa: PLR0913, PLR0917 - one per option
    images: tuple[Path, ...],
    sigma: float | None,
    name: str | None,
    out: Path | None,
    overwrite: bool,
    add_noise: bool,
    seed: int,
    sheet: Path | None,
    tile: int | None,
    device: str,
    fmt: str,
    sources: tuple[Path, ...],
) -> None:
    """Take the noise out of pictures: IMAGE is noisy, and a PNG with the estimate is written.

    The noise level is estimated if --sigma is not given. With --add-noise IMAGE is taken as clean instead, and what is
    gained can be measured. A folder stands for all pictures in it.

    \b
    harness denoise photo.jpg
    harness denoise photo.jpg --model bm3d --sigma 20 --side-by-side compared.png
    harness denoise clean.png --add-noise --sigma 25
    harness denoise holiday/ --out cleaned/
    """
    needs("torch", "PIL")
    if add_noise and sigma is None:
        raise click.UsageError("--add-noise needs --sigma: the level of the noise to add")
    found, in_folders = _pictures(images)
    many = in_folders or len(found) > 1
    targets = _targets(found, out, many=many)
    if many and sheet is not None:
        raise click.UsageError("--side-by-side takes one picture")
    from harness.denoiser.denoisers import find_denoiser
    from harness.denoiser.pictures import check_target
    from harness.execution.device import choose_device

    for target in (*targets, *([] if sheet is None else [sheet])):
        check_target(target, found, overwrite=overwrite)
    if sheet is not None and sheet.absolute() == targets[0].absolute():
        raise HarnessError(f"--out and --side-by-side are both {sheet}; name two files")
    denoiser = find_denoiser(name, choose_device(device), sources)
    rows, failed = [], 0
    for path, target in zip(found, targets, strict=True):
        try:
            row = _one(denoiser, path, target, sheet, sigma, seed if add_noise else None, tile)
        except HarnessError as error:
            if not many:
                raise
            click.echo(f"Error: {printable_line(str(error))}", err=True)
            failed += 1
            continue
        rows.append(row)
        if fmt == "text":
            click.echo("\n".join(printable_line(line) for line in _in_words(row)))
    if fmt == "json":
        print_json(rows)
    if failed:
        click.echo(f"{failed} of {len(found)} pictures could not be denoised", err=True)
        click.get_current_context().exit(_SOME_FAILED)


def _pictures(images: Sequence[Path]) -> tuple[list[Path], bool]:
    """Return the files that are meant, folders replaced by the pictures in them, and whether there was a folder."""
    from harness.data.own.images import SUFFIXES

    found, folders = [], False
    for path in images:
        if not is_there(path):
            raise HarnessError(f"{path}: there is no such file")
        if not path.is_dir():
            found.append(path)
            continue
        folders = True
        inside = [file for file in sorted(path.iterdir()) if file.suffix.lower() in SUFFIXES and file.is_file()]
        inside = [file for file in inside if not file.name.endswith(f"{_SUFFIX}.png")]  # what an earlier call wrote
        if not inside:
            raise HarnessError(f"{path}: no picture lies in this folder ({', '.join(SUFFIXES)})")
        found += inside
    return found, folders


def _targets(found: Sequence[Path], out: Path | None, *, many: bool) -> list[Path]:
    """Return where each estimate is written. Raises HarnessError if two pictures would have one name."""
    if not many and out is not None and not out.is_dir():
        return [out]
    if many and out is not None and (out.is_file() or out.suffix.lower() == ".png"):
        raise HarnessError(f"--out {out}: several pictures need a folder")
    targets = [(out or Path()) / f"{path.stem}{_SUFFIX}.png" for path in found]
    for number, target in enumerate(targets):
        if target in targets[:number]:
            first = found[targets.index(target)]
            raise HarnessError(f"{first} and {found[number]} would both be written to {target}; denoise them apart")
    return targets


def _one(
    denoiser: "Denoiser",
    path: Path,
    target: Path,
    sheet: Path | None,
    sigma: float | None,
    seed: int | None,
    tile: int | None,
) -> dict[str, Any]:
    """Denoise one picture, write what was asked for, and return all that is printed of it."""
    from dataclasses import replace

    import numpy as np

    from harness.denoiser.apply import add_noise, as_pixels, denoise_values, quality
    from harness.denoiser.pictures import read_picture, write_picture, write_side_by_side

    picture = read_picture(path)
    clean = None if seed is None else picture.pixels
    noisy: Values = picture.pixels.astype(np.float32)
    if seed is not None and sigma is not None:
        noisy = add_noise(picture.pixels, sigma, seed)
    started = time.perf_counter()
    try:
        outcome = denoise_values(denoiser, noisy, sigma, tile=tile, progress=_progress(path))
    except HarnessError as error:
        raise HarnessError(f"{path}: {error}") from error
    seconds = time.perf_counter() - started
    estimate = outcome.pixels()
    write_picture(target, replace(picture, pixels=estimate))
    row = _row(path, target, picture, outcome, seconds)
    if clean is not None:
        row["noise_seed"] = seed
        for word, values in (("noisy", noisy), ("denoised", estimate.astype(np.float32))):
            found = quality(values, clean)
            row |= {f"psnr_db_{word}": found.psnr_db, f"ssim_{word}": found.ssim}
    if sheet is not None:
        row["amplified"] = write_side_by_side(sheet, as_pixels(noisy), estimate, clean)
        row["side_by_side"] = str(sheet)
    return row


def _row(path: Path, target: Path, picture: "Picture", outcome: "Outcome", seconds: float) -> dict[str, Any]:
    denoiser = outcome.denoiser
    height, width, channels = picture.pixels.shape
    return {
        "image": str(path),
        "width": width,
        "height": height,
        "channels": channels,
        "alpha": picture.alpha is not None,
        "model": denoiser.name,
        "needs_sigma": denoiser.needs_sigma,
        "sigma": outcome.sigma,
        "sigma_is_estimated": outcome.estimated,
        "device": str(denoiser.device),
        "seconds": seconds,
        "out": str(target),
        "notes": [*picture.notes, *outcome.notes],
    }


def _in_words(row: dict[str, Any]) -> Iterable[str]:
    colours = "grey" if row["channels"] == 1 else "colour"
    alpha = ", with transparency, which is kept" if row["alpha"] else ""
    yield f"{row['image']}: {row['width']}×{row['height']}, {colours}{alpha}"
    yield f"  noise    {_noise_in_words(row)}"
    yield f"  model    {row['model']}, {row['seconds']:.1f} s on {row['device']}"
    for note in row["notes"]:
        yield f"  note     {note}"
    if "psnr_db_noisy" in row:
        yield f"  PSNR     {row['psnr_db_noisy']:.2f} dB → {row['psnr_db_denoised']:.2f} dB"
        if not math.isnan(row["ssim_noisy"]):
            yield f"  SSIM     {row['ssim_noisy']:.4f} → {row['ssim_denoised']:.4f}"
    yield f"  written  {row['out']}"
    if "side_by_side" in row:
        yield f"           {row['side_by_side']} (difference ×{row['amplified']})"


def _noise_in_words(row: dict[str, Any]) -> str:
    if "noise_seed" in row:
        return f"σ {row['sigma']:g} was added (seed {row['noise_seed']})"
    if row["sigma"] is None:
        return "σ unknown (the picture is too small to estimate it); this model does not need it"
    said = f"σ {row['sigma']:.1f}, estimated" if row["sigma_is_estimated"] else f"σ {row['sigma']:g}, as given"
    return said if row["needs_sigma"] else f"{said}; this model does not need it"


def _progress(path: Path) -> Callable[[int, int], None]:
    """Return a function that says on stderr how far a slow method is: on a terminal in one line, else every 10 s."""
    started = said = time.monotonic()
    terminal = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def step(done: int, total: int) -> None:
        nonlocal said
        now = time.monotonic()
        wait = 0.2 if terminal else 10
        if now - said < wait and not (terminal and done == total and said > started):
            return
        said = now
        text = printable_line(f"{path.name}: {100 * done / total:.0f}%")
        if not terminal:
            click.echo(text, err=True)
        else:
            click.echo(f"\r{text}" if done < total else f"\r{' ' * len(text)}\r", nl=False, err=True)

    return step
