"""`harness results`: what is stored, one run of it, and how it leaves and enters the store."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.common import db_option, format_option, print_json, print_table
from harness.spec.errors import HarnessError, did_you_mean

if TYPE_CHECKING:
    from harness.store.records import AttemptRecord, Snapshot


@click.group()
def results() -> None:
    """Look at, export and merge stored results."""


@results.command("list")
@click.option("--study", metavar="NAME", help="Only runs of this study.")
@click.option("--all", "every", is_flag=True, help="Every attempt, also those that do not count.")
@format_option("text", "json")
@db_option
def list_results(study: str | None, every: bool, fmt: str, db: Path) -> None:
    """List the runs with their results: the attempts that count, or --all.

    \b
    harness results list --study quickstart
    """
    from harness.store.connection import open_reader
    from harness.store.queries import snapshot

    with open_reader(db) as store:
        found = snapshot(store)
    rows = list(_rows(found, study, every))
    if fmt == "json":
        print_json(rows)
        return
    print_table(
        ["attempt", "study", "trial", "seed", "kind", "state", "results", "ended"],
        [[r["uid"][:8], r["study"], r["trial"], r["seed"], r["kind"], r["state"] + ("" if r["accepted"] else " *"),
          ", ".join(f"{name} {value:.4g}" for name, value in r["values"].items()), (r["ended"] or "")[:16]]
         for r in rows],
    )  # fmt: skip
    if any(not r["accepted"] for r in rows):
        click.echo("\n* not an accepted training run")


@results.command()
@click.argument("uid", metavar="ATTEMPT")
@format_option("text", "json")
@db_option
def show(uid: str, fmt: str, db: Path) -> None:
    """Print everything about ATTEMPT, named by the first digits of its uid.

    \b
    harness results show 3f2a
    """
    from harness.store.connection import open_reader
    from harness.store.queries import artifacts, snapshot

    with open_reader(db) as store:
        found = snapshot(store)
        attempt = _find(found, uid)
        files = artifacts(store, attempt.uid)
    trial = found.trials[attempt.trial_key]
    places = [f"{p.study}: {p.name}" for p in found.study_trials if p.trial_key == attempt.trial_key]
    details = {
        "uid": attempt.uid,
        "kind": attempt.kind,
        "state": attempt.state,
        "accepted": attempt.accepted,
        "trials": places,
        "seed": attempt.seed,
        "key": attempt.trial_key,
        "started": attempt.started,
        "ended": attempt.ended,
        "error": attempt.error,
        "resumed_from": attempt.resumed_from,
        "supersedes": attempt.supersedes,
        "results": {f"{_where(found, key)} {name}": value for (key, name), value in attempt.results.items()},
        "measures": dict(attempt.measures),
        "costs": dict(trial.costs),
        "config": trial.config,
        "execution": dict(attempt.execution),
        "environment": dict(attempt.environment),
        "code_digest": attempt.code_digest,
        "artifacts": [{"kind": f.kind, "path": f.path, "bytes": f.bytes, "sha256": f.sha256} for f in files],
    }
    if fmt == "json":
        print_json(details)
        return
    for name, value in details.items():
        _print_detail(name, value, 0)


@results.command()
@click.option("--study", "studies", metavar="NAME", multiple=True, help="Only these studies  [default: all]")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The file to write.")
@db_option
def export(studies: tuple[str, ...], out: Path, db: Path) -> None:
    """Write the attempts that count as JSON lines, with their maps beside, named by SHA-256.

    \b
    harness results export --study mnist --out results/published/mnist.jsonl
    """
    from harness.store.artifacts import copy_artifacts
    from harness.store.connection import open_reader
    from harness.store.export import published_lines, write_jsonl

    with open_reader(db) as store:
        lines = list(published_lines(store, studies=studies or None))
    count = write_jsonl(lines, out)
    copied = copy_artifacts(lines, db.resolve().parent / "artifacts", out.parent / "artifacts", kinds={"maps"})
    click.echo(f"{out}: {count} attempts; {copied} artifacts beside it")


@results.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True), metavar="FILE...")
@db_option
def merge(files: tuple[Path, ...], db: Path) -> None:
    """Take published lines (*.jsonl), or other databases, into the store. Twice is the same as once.

    \b
    harness results merge results/published/mnist.jsonl
    """
    from harness.store.connection import open_store
    from harness.store.lock import driver_lock
    from harness.store.merge import merge_jsonl, merge_store

    with driver_lock(db), open_store(db) as store:
        for file in files:
            inner = sorted(file.glob("*.jsonl")) if file.is_dir() else [file]
            for path in inner:
                done = merge_jsonl(store, path) if path.suffix == ".jsonl" else merge_store(store, path)
                click.echo(f"{path}: {done.added} attempts taken in, {done.known} known")


def _rows(found: "Snapshot", study: str | None, every: bool) -> Iterator[dict[str, Any]]:
    places: dict[str, tuple[str, str]] = {}
    for place in found.study_trials:
        if study is None or place.study == study:
            places[place.trial_key] = (place.study, place.name)
    if study is not None and not places:
        raise HarnessError(f"no study '{study}' is stored{did_you_mean(study, {p.study for p in found.study_trials})}")
    for attempt in found.attempts:
        counts = attempt.accepted or (attempt.kind == "timing" and attempt.state == "done")
        if attempt.trial_key not in places or not (every or counts):
            continue
        times = {
            name: attempt.measures[name]
            for name in ("train_s_per_epoch", "test_s", "run_s")
            if name in attempt.measures
        }
        yield {
            "uid": attempt.uid,
            "study": places[attempt.trial_key][0],
            "trial": places[attempt.trial_key][1],
            "seed": attempt.seed,
            "kind": attempt.kind,
            "state": attempt.state,
            "accepted": attempt.accepted,
            "values": {name: value for (_, name), value in attempt.results.items()} | times,
            "started": attempt.started,
            "ended": attempt.ended,
        }


def _find(found: "Snapshot", uid: str) -> "AttemptRecord":
    matches = [attempt for attempt in found.attempts if attempt.uid.startswith(uid)]
    if len(matches) != 1:
        how_many = f"{len(matches)} attempts begin" if matches else "no attempt begins"
        raise HarnessError(f"{how_many} with '{uid}'; 'harness results list --all' lists them")
    return matches[0]


def _where(found: "Snapshot", key: str) -> str:
    evaluation = found.evaluations[key]
    return f"{evaluation.dataset}/{evaluation.split}"


def _print_detail(name: str, value: Any, depth: int) -> None:
    """Print a value as indented lines."""
    pad = "  " * depth
    if isinstance(value, dict) and value:
        click.echo(f"{pad}{name}:")
        for key, inner in value.items():
            _print_detail(str(key), inner, depth + 1)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        click.echo(f"{pad}{name}:")
        for inner in value:
            click.echo(f"{pad}  " + ", ".join(f"{k} {v}" for k, v in inner.items()))
    else:
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        click.echo(f"{pad}{name}: {'–' if shown in (None, '', {}) else shown}")
