"""`harness data`: what is there, and how to get what is not."""

from pathlib import Path

import click

from harness.cli.common import amount, format_option, print_json, print_table
from harness.spec.errors import HarnessError, did_you_mean


@click.group()
def data() -> None:
    """List, download, import and verify datasets (below $HARNESS_DATA, or ~/.cache/harness/data)."""


@data.command("list")
@format_option("text", "json")
def list_data(fmt: str) -> None:
    """List the datasets and whether they are here.

    \b
    harness data list
    """
    from harness.data.locations import data_root, is_present
    from harness.spec.datasets import DATASETS

    root = data_root()
    rows = [
        {
            "dataset": d.name,
            "here": is_present(d.name, root),
            "train": d.splits["train"].images,
            "test": d.splits["test"].images,
            "stand_in_for": d.stand_in_for,
            "description": d.description,
        }
        for d in DATASETS.values()
    ]
    if fmt == "json":
        print_json({"root": str(root), "datasets": rows})
        return
    click.echo(f"data root: {root}\n")
    print_table(
        ["dataset", "here", "train", "test", "description"],
        [[r["dataset"], "yes" if r["here"] else "no", *(amount(int(str(r[s]))) for s in ("train", "test")),
          r["description"]] for r in rows],
    )  # fmt: skip


@data.command()
@click.argument("name", metavar="DATASET")
def get(name: str) -> None:
    """Download DATASET, where it is not here yet.

    \b
    harness data get mnist
    """
    from harness.data.acquire import download
    from harness.data.locations import data_root, is_present

    _known(name)
    root = data_root()
    if not is_present(name, root):
        download(name, root)
    _verify(name, root)


@data.command("import")
@click.argument("name", metavar="DATASET")
@click.argument("source", type=click.Path(path_type=Path, exists=True), metavar="FOLDER_OR_ARCHIVE")
def import_data(name: str, source: Path) -> None:
    """Take DATASET from a folder that holds its files at any depth, or from an archive (zip, tar) of one.

    mnist: its four files, packed or not. cifar10: the original batches, or class folders {train,test}/CLASS/NAME.png.

    \b
    harness data import mnist ~/Downloads
    harness data import cifar10 ~/cifar10.tar.gz
    """
    from harness.data.acquire import import_dataset
    from harness.data.locations import data_root

    _known(name)
    root = data_root()
    import_dataset(name, source, root)
    _verify(name, root)


@data.command()
@click.argument("names", nargs=-1, metavar="[DATASET...]")
def verify(names: tuple[str, ...]) -> None:
    """Read datasets and compare their contents with the fingerprints that the harness knows (default: all here).

    \b
    harness data verify mnist
    """
    from harness.data.locations import data_root, is_present
    from harness.spec.datasets import DATASETS

    root = data_root()
    for name in names:
        _known(name)
    for name in names or [name for name in DATASETS if is_present(name, root)]:
        _verify(name, root)


def _known(name: str) -> None:
    from harness.spec.datasets import DATASETS

    if name not in DATASETS:
        raise HarnessError(f"unknown dataset '{name}'{did_you_mean(name, DATASETS)}")


def _verify(name: str, root: Path) -> None:
    from harness.data.dataset import load_dataset
    from harness.spec.datasets import DATASETS

    load_dataset(DATASETS[name], root)
    splits = ", ".join(f"{s.split} {amount(s.images)} ({s.fingerprint[:8]})" for s in DATASETS[name].splits.values())
    click.echo(f"{name}: as declared: {splits}")
