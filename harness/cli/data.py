"""`harness data`: what is there, and how to get what is not."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.base.errors import HarnessError, did_you_mean
from harness.cli.common import amount, format_option, plugins_option, print_json, print_table

if TYPE_CHECKING:
    from harness.attempt.data import DatasetDeclaration

_SHOWN = 10  # names of classes


@click.group()
def data() -> None:
    """List, download, import and verify datasets (below $HARNESS_DATA, or ~/.cache/harness/data).

    \b
    harness data list
    """


@data.command("list")
@format_option("text", "json")
def list_data(fmt: str) -> None:
    """List the datasets and whether they are here.

    \b
    harness data list
    """
    from harness.data.locations import data_root, is_present
    from harness.plugins.plugin import entry_points
    from harness.trial.datasets import DATASETS

    root = data_root()
    rows = [
        {
            "dataset": d.name,
            "here": is_present(d.name, root),
            **{split: d.splits[split].images if split in d.splits else None for split in ("train", "test")},
            "stand_in_for": d.stand_in_for,
            "description": d.description,
        }
        for d in DATASETS.values()
    ]
    others = entry_points("harness.datasets")
    if fmt == "json":
        print_json({"root": str(root), "datasets": rows, "of_other_packages": dict(others)})
        return
    click.echo(f"data root: {root}\n")
    print_table(
        ["dataset", "here", "train", "test", "description"],
        [[r["dataset"], "yes" if r["here"] else "no", *(_count(r[s]) for s in ("train", "test")), r["description"]]
         for r in rows],
    )  # fmt: skip
    for name, reference in others.items():
        click.echo(f"{name}: of another package, {reference}")


def _count(images: object) -> str:
    return "–" if images is None else amount(int(str(images)))


@data.command()
@click.argument("name", metavar="DATASET")
def get(name: str) -> None:
    """Download DATASET, if it is not here yet.

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
@click.argument("names", nargs=-1, metavar="[DATASET|STUDY]...")
@plugins_option
def verify(names: tuple[str, ...]) -> None:
    """Read datasets and compare their contents with the fingerprints that the harness knows (default: all here).

    Of a study file all data are read again; of own data splits, sizes, classes, normalisation and what was left out
    are told.

    \b
    harness data verify mnist
    harness data verify study.yml
    """
    from harness.data.locations import data_root, is_present
    from harness.trial.datasets import DATASETS

    root = data_root()
    studies = [name for name in names if name.endswith((".yml", ".yaml"))]
    for name in names:
        if name not in studies:
            _known(name)
    for name in names or [name for name in DATASETS if is_present(name, root)]:
        if name in studies:
            _verify_study(name, root)
        else:
            _verify(name, root)


def _known(name: str) -> None:
    from harness.trial.datasets import DATASETS

    if name not in DATASETS:
        raise HarnessError(f"unknown dataset '{name}'{did_you_mean(name, DATASETS)}")


def _verify_study(file: str, root: Path) -> None:
    from harness.study.study import load_study

    data = [declared for item in load_study(file, skip_invalid=True).trials for declared in item.trial.data]
    for name in dict.fromkeys(declared.name for declared in data):
        for declared in _different(declared for declared in data if declared.name == name):
            if declared.source is None:
                _verify(name, root)
            else:
                _verify_own(declared, root)


def _different(data: "Iterable[DatasetDeclaration]") -> "list[DatasetDeclaration]":
    found: list[DatasetDeclaration] = []
    for declared in data:
        if declared not in found:
            found.append(declared)
    return found


def _verify_own(declared: "DatasetDeclaration", root: Path) -> None:
    """Read own data again, and tell what they are."""
    from harness.data.own.declare import left_out, read_facts
    from harness.data.photographs import facts_of

    source = declared.source or {}
    facts = read_facts(source, root) if declared.has_labels else facts_of(source, root, reread=True)
    for split, found in facts["splits"].items():
        if found["fingerprint"] != declared.splits[split].fingerprint:
            raise HarnessError(f"{declared.name}: the {split} split has changed while it was read; call this again")
    splits = ", ".join(
        f"{split} {amount(s['images'])} ({s['fingerprint'][:8]})" for split, s in facts["splits"].items()
    )
    channels, height, width = facts["input_shape"]
    size = f"{channels}×{height}×{width}" if height else f"{channels} channel(s), several sizes"
    click.echo(f"{declared.name}: {declared.description}")
    click.echo(f"  {splits}")
    if declared.has_labels:
        names = facts["class_names"]
        shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
        click.echo(f"  {size}, {len(names)} classes: {shown}")
        if facts["normalization"] is not None:  # of what is only tested on there is none
            mean, deviation = (", ".join(f"{value:.4f}" for value in values) for values in facts["normalization"])
            click.echo(f"  normalization: mean {mean}, deviation {deviation}")
    else:
        click.echo(f"  {size}")
    for line in [f"corrupt: {len(facts['corrupt'])}", *left_out(facts)]:
        click.echo(f"  {line}")


def _verify(name: str, root: Path) -> None:
    from harness.data.dataset import load_dataset
    from harness.data.locations import require
    from harness.trial.datasets import DATASETS

    require(DATASETS[name], root)
    if DATASETS[name].has_labels:
        load_dataset(DATASETS[name], root)
    else:
        from harness.data.photographs import load_images

        load_images(DATASETS[name], root)
    splits = ", ".join(f"{s.split} {amount(s.images)} ({s.fingerprint[:8]})" for s in DATASETS[name].splits.values())
    click.echo(f"{name}: as declared: {splits}")
