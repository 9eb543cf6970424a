"""`harness bench`: how fast operators, an epoch, the harness around it and its store are on this machine."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from harness.base.errors import HarnessError, did_you_mean
from harness.base.extras import needs
from harness.cli.common import FiniteRange, format_option, print_json, print_table

_FOLDER = Path("results/benchmarks")
out_option = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Store the figures in this folder, as NAME.json; a GPU's as NAME-gpu.json.",
)
threads_option = click.option("--threads", type=click.IntRange(min=1), help="Threads  [default: all cores]")
device_option = click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")
precision_option = click.option(
    "--precision", type=click.Choice(["fp32", "tf32", "bf16"]), default="fp32", show_default=True,
    help="Of the harness's epoch; the usual loop's is fp32.",
)  # fmt: skip


@click.group()
def bench() -> None:
    """Measure speed: operators, epochs, the harness around them.

    Ratios within one call are what counts; run on a machine that does nothing else.

    \b
    harness bench store
    """


@bench.command()
@click.option("--shape", "shapes", metavar="NxCxHxW", multiple=True,
              help="Tensors  [default: four of the networks'; on a GPU three of 512 MB too]")  # fmt: skip
@click.option("--stride", "strides", type=click.IntRange(min=1), multiple=True, help="Strides  [default: 2 and 4]")
@click.option("--layout", "layouts", type=click.Choice(["nchw", "nhwc"]), multiple=True, help="[default: both]")
@click.option("--dtype", "dtypes", type=click.Choice(["float32", "bfloat16", "float16"]), multiple=True,
              help="[default: float32]")  # fmt: skip
@device_option
@threads_option
@click.option("--quick", is_flag=True, help="A small tensor, three repetitions: whether it works, not how fast it is.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Write a plot there (SVG).")
@out_option
@format_option("text", "json")
def ops(  # noqa: PLR0913, PLR0917 - a command has as many parameters as options
    shapes: tuple[str, ...],
    strides: tuple[int, ...],
    layouts: tuple[str, ...],
    dtypes: tuple[str, ...],
    device: str,
    threads: int | None,
    quick: bool,
    plot: Path | None,
    out: Path | None,
    fmt: str,
) -> None:
    """Time pooling across channels in every form, each alternating with clone() of the tensor.

    \b
    harness bench ops --out results/benchmarks --plot reports/benchmarks-ops.svg
    harness bench ops --shape 100x32x28x28 --stride 2 --layout nchw --format json
    harness bench ops --device cuda --dtype float32 --dtype bfloat16
    """
    device = _device(device)
    _needs_kernels(device)
    if plot is not None:
        needs("matplotlib")
    from harness.bench import ops as bench_ops
    from harness.bench.ops_plot import write_plot

    threads = _use_threads(threads)
    effort = bench_ops.QUICK if quick else bench_ops.WHOLE
    cases = bench_ops.cases(
        [_shape(text) for text in shapes] or bench_ops.shapes_for(device, quick=quick),
        strides or bench_ops.STRIDES,
        layouts or bench_ops.LAYOUTS,
        dtypes or ("float32",),
        device,
    )
    rows = [row.as_dict() for row in bench_ops.bench_cases(list(cases), effort, threads, _say)]
    if not rows:
        raise HarnessError("no stride divides the channels of these shapes: there is nothing to time")
    if plot is not None:
        write_plot(rows, plot)
    _store("ops", rows, out, threads)
    if fmt == "json":
        print_json([{name: row[name] for name in bench_ops.JSON_FIELDS} for row in rows])
        return
    _print(rows, {
        "op": "op", "shape": "shape", "stride": "s", "layout": "layout", "dtype": "dtype", "pass": "pass",
        "impl": "impl", "seconds": "seconds", "ratio_to_clone": "/ clone", "ratio_to_best": "/ best other",
        "ratio_to_bytes": "/ bytes", "gb_per_s": "GB/s", "copy_gb_per_s": "GB/s, clone",
    })  # fmt: skip


@bench.command()
@click.option("--method", "methods", multiple=True, metavar="NAME", help="One of them  [default: all]")
@click.option("--images", "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="FOLDER",
              help="The first images of this folder by name, instead.")  # fmt: skip
@click.option("--take", type=click.IntRange(min=1), default=5, show_default=True, help="So many of the folder.")
@click.option("--size", type=click.IntRange(min=32), default=128, show_default=True,
              help="Side of the photograph's middle in pixels; 3464 for 12 megapixels.")  # fmt: skip
@click.option("--sigma", "sigmas", type=FiniteRange(min=0, min_open=True, max=255), default=(25,), multiple=True,
              show_default=True, help="Standard deviation of the noise, 0 to 255.")  # fmt: skip
@click.option("--noise-seeds", type=click.IntRange(min=1), default=1, show_default=True, help="Noise per image.")
@click.option(
    "--repeats", type=click.IntRange(min=1), default=1, show_default=True, help="Of which the shortest counts."
)
@device_option
@threads_option
@format_option("text", "json")
def denoise(  # noqa: PLR0913, PLR0917 - a command has as many parameters as options
    methods: tuple[str, ...],
    folder: Path | None,
    take: int,
    size: int,
    sigmas: tuple[float, ...],
    noise_seeds: int,
    repeats: int,
    device: str,
    threads: int | None,
    fmt: str,
) -> None:
    """Time the denoisers that are not trained on the middle of a photograph that comes with matplotlib, or on a folder.

    \b
    harness bench denoise --threads 1
    harness bench denoise --method bm3d --size 256 --sigma 50
    harness bench denoise --images data/CBSD68 --take 5 --sigma 25 --sigma 50
    """
    device = _device(device)
    needs("torch", "PIL", "matplotlib")
    from harness.bench.denoise import METHODS, bench_methods, first_pictures, middle_of_photograph

    for name in methods:
        if name not in METHODS:
            raise HarnessError(f"unknown method '{name}'{did_you_mean(name, METHODS)}")
    _use_threads(threads)
    images = first_pictures(folder, take) if folder else [middle_of_photograph(size)]
    found = bench_methods(
        methods, images, sigmas=sigmas, noise_seeds=noise_seeds, repeats=repeats, device=device, say=_say
    )
    rows = [asdict(timed) for timed in found]
    if fmt == "json":
        print_json(rows)
        return
    for row in rows:
        peak = row["peak_memory_bytes"]
        row["peak_mb"] = None if peak is None else round(peak / 1e6)
    _print(rows, {
        "method": "method", "sigma": "σ", "psnr_db": "PSNR [dB]", "seconds": "seconds per image",
        "peak_mb": "peak memory [MB]",
    })  # fmt: skip


@bench.command()
@click.option("--case", "cases", type=click.Choice(["mnist", "mnist-pooled", "cifar", "digits"]), multiple=True,
              help="[default: mnist, mnist-pooled (spatial, s = 4) and cifar (VGG-16)]")  # fmt: skip
@click.option("--images", type=click.IntRange(min=1), metavar="N", help="Only the first N training images.")
@click.option("--rounds", type=click.IntRange(min=1), default=1, show_default=True, help="Epochs of each loop.")
@click.option(
    "--workers", type=click.IntRange(min=0), default=2, show_default=True, help="num_workers of the usual loop."
)
@precision_option
@device_option
@threads_option
@out_option
@format_option("text", "json")
def epoch(  # noqa: PLR0913, PLR0917 - a command has as many parameters as options
    cases: tuple[str, ...],
    images: int | None,
    rounds: int,
    workers: int,
    precision: str,
    device: str,
    threads: int | None,
    out: Path | None,
    fmt: str,
) -> None:
    """Train one epoch by the harness and by the loop that people usually write, in turn.

    \b
    harness bench epoch --case mnist --case mnist-pooled --rounds 3 --out results/benchmarks
    harness bench epoch --case cifar --images 5000
    """
    device = _device(device)
    _needs_kernels(device)
    from harness.bench.epoch import EpochOptions, bench_epoch
    from harness.data.locations import data_root

    threads = _use_threads(threads)
    options = EpochOptions(data_root(), device, threads, precision, workers, rounds, images)
    rows = [row for case in cases or ("mnist", "mnist-pooled", "cifar") for row in bench_epoch(case, options, _say)]
    _store("epoch", rows, out, threads)
    _show(rows, fmt)


@bench.command()
@click.option(
    "--task", "tasks", type=click.Choice(["classification", "function"]), multiple=True, help="[default: both]"
)
@click.option("--dataset", type=click.Choice(["digits", "mnist"]), default="digits", show_default=True,
              help="Of the classification.")  # fmt: skip
@click.option("--seconds", type=FiniteRange(min=0.01), default=30.0, show_default=True, help="About so long a run.")
@click.option("--runs", type=click.IntRange(min=1), default=2, show_default=True, help="Seeds of each grid.")
@click.option(
    "--rounds", type=click.IntRange(min=1), default=4, show_default=True, help="Both sides so often, in a drawn order."
)
@click.option("--work", type=click.Choice(["compute", "wait"]), default="compute", show_default=True,
              help="Of the function; waiting is measured on a busy machine too.")  # fmt: skip
@threads_option
@out_option
@format_option("text", "json")
def overhead(  # noqa: PLR0913, PLR0917 - a command has as many parameters as options
    tasks: tuple[str, ...],
    dataset: str,
    seconds: float,
    runs: int,
    rounds: int,
    work: str,
    threads: int | None,
    out: Path | None,
    fmt: str,
) -> None:
    """Run grids through the driver, and the same work with nothing around it, in a drawn order on a warm machine.

    \b
    harness bench overhead --seconds 30 --runs 3 --out results/benchmarks
    harness bench overhead --task function --work wait --rounds 3
    """
    from harness.bench.overhead import ClassificationTask, Extent, FunctionTask, Task, bench_overhead
    from harness.bench.report import overhead_text
    from harness.data.locations import data_root
    from harness.execution.options import cores

    threads = threads or cores()
    known: dict[str, Task] = {
        "classification": ClassificationTask(threads, data_root().resolve(), dataset),
        "function": FunctionTask(threads, 0.05 if work == "wait" else 0.0),
    }
    chosen = tasks or tuple(known)
    if "classification" in chosen:
        needs("torch", "sklearn")
    extent, rows = Extent(seconds, runs, rounds), []
    for name in chosen:
        rows.append(
            bench_overhead(name, known[name], extent, threads=threads, data_root=data_root().resolve(), say=_say)
        )
        _store("overhead", rows, out, threads)  # what took many minutes is kept whatever becomes of the next
    _show(rows, fmt)
    if fmt == "text":
        for row in rows:
            click.echo(f"{row['task']}: {overhead_text(row)}")


@bench.command()
@click.option("--trials", type=click.IntRange(min=1), default=1000, show_default=True, help="Trials of the study.")
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="Seeds of each trial.")
@click.option("--metrics", type=click.IntRange(min=1), default=200, show_default=True, help="Points of each curve.")
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="Make the store in this folder.")
@out_option
@format_option("text", "json")
def store(trials: int, seeds: int, metrics: int, keep: Path | None, out: Path | None, fmt: str) -> None:
    """Write, export, merge, plan and render thousands of made-up runs; then time whole commands on them.

    \b
    harness bench store --out results/benchmarks
    harness bench store --trials 20000 --seeds 5 --keep scale
    """
    from dataclasses import asdict

    from harness.bench.store import bench_store

    rows = [asdict(row) for row in bench_store(trials, seeds, metrics, _say, keep)]
    _store("store", rows, out, None)
    _show(rows, fmt)


@bench.command()
@click.option("--runs", type=click.IntRange(min=1), default=300, show_default=True, help="Runs beyond the first.")
@click.option("--jobs", type=click.IntRange(min=1), default=2, show_default=True, help="Runs side by side.")
@out_option
@format_option("text", "json")
def dispatch(runs: int, jobs: int, out: Path | None, fmt: str) -> None:
    """Measure what the harness spends on a run of a function that takes a millisecond.

    \b
    harness bench dispatch --runs 300 --jobs 2
    """
    from harness.bench.dispatch import bench_dispatch

    rows = [asdict(bench_dispatch(runs, jobs))]
    _store("dispatch", rows, out, None)
    _show(rows, fmt)


@bench.command()
@click.option("--folder", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="With train/CLASS and val/CLASS  [default: imagenette below the data root]")  # fmt: skip
@click.option("--size", type=click.IntRange(min=8), default=160, show_default=True, help="Side of the crops in pixels.")
@click.option("--images", type=click.IntRange(min=64), default=1_024, show_default=True, help="So many an epoch.")
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True, help="Decoding processes of both.")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Epochs of each, in turn.")
@device_option
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Of the training process.")
@out_option
@format_option("text", "json")
def loader(  # noqa: PLR0913, PLR0917 - a command has as many parameters as options
    folder: Path | None,
    size: int,
    images: int,
    workers: int,
    rounds: int,
    device: str,
    threads: int,
    out: Path | None,
    fmt: str,
) -> None:
    """Time images from JPEG files into a training step, beside torchvision's reference pipeline.

    \b
    harness bench loader --rounds 5
    harness bench loader --folder imagenet --size 224 --images 20000 --workers 16
    """
    needs("torch", "torchvision", "PIL")
    device = _device(device)
    from harness.bench.loader import LoaderOptions, bench_loader
    from harness.data.locations import data_root

    place = folder or data_root() / "imagenette"
    if not (place / "train").is_dir():
        raise HarnessError(f"{place} has no folder 'train' of class folders: say where images are by --folder")
    threads = _use_threads(threads)
    options = LoaderOptions(place, data_root(), size, 64, images, workers, rounds, device, threads)
    rows = bench_loader(options, _say)
    _store("loader", rows, out, threads)
    _show(rows, fmt)


@bench.command()
@click.option("--repetitions", type=click.IntRange(min=1), default=5, show_default=True, help="Calls of each command.")
@out_option
@format_option("text", "json")
def startup(repetitions: int, out: Path | None, fmt: str) -> None:
    """Measure the processor time of `harness --help` and `harness results list`.

    \b
    harness bench startup --out results/benchmarks
    """
    from harness.bench.startup import bench_startup

    rows = bench_startup(repetitions)
    _store("startup", rows, out, None)
    _show(rows, fmt)


@bench.command()
@click.option("--from", "folder", type=click.Path(path_type=Path, file_okay=False), default=_FOLDER, show_default=True,
              help="Where the figures are stored.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it there instead of printing.")
def report(folder: Path, out: Path | None) -> None:
    """Make the document of the stored figures, with machine and command of each, and the plot of the operators.

    \b
    harness bench report --out reports/benchmarks.md
    """
    from harness.base.files import atomic_write
    from harness.bench.report import benchmarks_document, stored_benchmark

    if out is None:
        click.echo(benchmarks_document(folder).rstrip("\n"))
        return
    plots = {}
    for name in ("ops", "ops-gpu"):
        ops = stored_benchmark(folder, name)
        if ops is not None:
            from harness.bench.ops_plot import write_plot

            plots[name] = f"{out.stem}-{name}.svg"
            write_plot(ops["rows"], out.with_name(plots[name]))
    atomic_write(out, benchmarks_document(folder, plots))
    click.echo(out)


def _shape(text: str) -> tuple[int, int, int, int]:
    parts = text.replace("×", "x").split("x")
    if len(parts) != 4 or not all(part.isdecimal() and int(part) for part in parts):
        raise HarnessError(f"--shape is written NxCxHxW, e.g. 100x32x28x28, not '{text}'")
    n, c, h, w = map(int, parts)
    return n, c, h, w


def _device(asked: str) -> str:
    from harness.execution.device import choose_device

    return choose_device(asked)


def _needs_kernels(device: str) -> None:
    """Refuse to time the operators of the harness if these would be plain torch's."""
    needs("torch", *(["numba"] if device == "cpu" else []), extra="kernels")


def _use_threads(threads: int | None) -> int:
    """Let torch use so many threads, by default a core each; return how many."""
    from harness.bench.clock import use_threads
    from harness.execution.options import cores

    return use_threads(threads or cores())


def _store(name: str, rows: Sequence[Mapping[str, Any]], out: Path | None, threads: int | None) -> None:
    if out is not None:
        from harness.bench.clock import write

        _say(f"stored in {write(out, name, rows, threads)}")


def _show(rows: Sequence[Mapping[str, Any]], fmt: str) -> None:
    if fmt == "json":
        print_json(rows)
    else:
        _print(rows, {name: name.replace("_", " ") for name in rows[0]})


def _print(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
    from harness.bench.clock import shape_text

    def text(value: Any) -> Any:
        if isinstance(value, list):
            return shape_text(value)
        return float(f"{value:.4g}") if isinstance(value, float) else value

    print_table(list(columns.values()), [[text(row[name]) for name in columns] for row in rows])


def _say(text: str) -> None:
    click.echo(text, err=True)
