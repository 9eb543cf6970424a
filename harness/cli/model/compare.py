"""`harness model compare`: before and after on one page."""

from dataclasses import asdict
from pathlib import Path

import click

from harness.base.extras import needs
from harness.cli.common import format_option, print_json, sources_option
from harness.cli.completion import trials_and_runs


@click.command()
@click.argument("before", metavar="STUDY:TRIAL", shell_complete=trials_and_runs)
@click.argument("after", metavar="STUDY:TRIAL", shell_complete=trials_and_runs)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the page here.  [default: print it]"
)
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Images of a timed pass.")
@click.option("--repetitions", type=click.IntRange(6), default=30, show_default=True, help="Timed passes of each.")
@click.option("--threads", type=click.IntRange(1), help="Of a timed pass on the CPU.  [default: torch's]")
@click.option("--device", default="cpu", show_default=True, help="Of a timed pass: auto, cpu, cuda or cuda:N.")
@format_option("md", "json")
@sources_option
def compare(  # noqa: PLR0913, PLR0917 - one per option
    before: str,
    after: str,
    out: Path | None,
    batch: int,
    repetitions: int,
    threads: int | None,
    device: str,
    fmt: str,
    sources: tuple[Path, ...],
) -> None:
    """Compare two trials on one page: results over their seeds, parameters, MACs, and milliseconds measured here.

    \b
    harness model compare own:plain "own:pooled, 50%" --out page.md
    harness model compare cifar-small:Baseline "cifar-small:FP conv5" --batch 32 --from results/published
    """
    needs("torch")
    from harness.base.files import atomic_write
    from harness.deploy.comparison import compare as compared
    from harness.deploy.comparison import page
    from harness.execution.device import choose_device

    found = compared(
        before,
        after,
        sources,
        batch=batch,
        threads=threads,
        device=choose_device(device),
        repetitions=repetitions,
    )
    if fmt == "json":
        print_json(asdict(found))
    elif out is None:
        click.echo(page(found), nl=False)
    if out is not None:
        atomic_write(out, page(found))
        click.echo(f"{out}: {after} beside {before}", err=True)
