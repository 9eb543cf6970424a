"""`harness results list` and `show`: what is stored, and all of one attempt."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.base.errors import HarnessError, printable_line
from harness.cli.common import format_option, print_json, print_table, sources_option
from harness.cli.completion import runs, studies
from harness.cli.terminal import echo_as_it_is

if TYPE_CHECKING:
    from harness.store.connection import Store
    from harness.store.records import AttemptRecord, Snapshot, StudyTrialRecord


_LINES = 1000
"""Runs of a table that nobody has asked to be longer: of a hundred thousand nobody reads the first."""


@click.command("list")
@click.option("--study", metavar="NAME", help="Only runs of this study.", shell_complete=studies)
@click.option("--all", "every", is_flag=True, help="Every attempt, also those that do not count.")
@click.option("--last", type=click.IntRange(min=1), metavar="N",
              help=f"Only the N runs that were tried last  [default: all; of a table {_LINES}]")  # fmt: skip
@format_option("text", "json")
@sources_option
def list_results(study: str | None, every: bool, last: int | None, fmt: str, sources: tuple[Path, ...]) -> None:
    """List the runs with their results, also of later evaluations: the attempts that count, or --all.

    Where a run has several metrics of one name, they are called by their data and conditions. A trial in no study, as
    after `harness results recover`, is called by its key.

    \b
    harness results list --study quickstart
    harness results list --from results/published
    """
    from harness.store.merge import open_results
    from harness.store.queries import run_count, snapshot

    if last is not None and (study is not None or every):
        raise HarnessError("--last goes without --study and --all, which list what they say")
    newest = _LINES if last is None and fmt == "text" and study is None and not every else last
    with open_results(sources) as store:
        found = snapshot(store, newest)
        older = 0 if newest is None else run_count(store) - len({(a.trial_key, a.seed) for a in found.attempts})
    rows = list(_rows(found, study, every))
    if fmt == "json":
        print_json([{**row, "by_word": [asdict(word) for word in row["by_word"]]} for row in rows])
        return
    print_table(
        ["attempt", "study", "trial", "seed", "kind", "state", "results or error", "ended", "protocol"],
        [[r["uid"][:8], r["study"] or "", _trial(r), r["seed"], r["kind"], r["state"] + ("" if r["accepted"] else " *"),
          _found(r), (r["ended"] or "")[:16], r["protocol"]]
         for r in rows],
    )  # fmt: skip
    if not all(r["stands"] for r in rows if r["study"] is not None):
        click.echo(
            "\n(earlier): the trial is of an earlier text of the study, or of earlier code, and left out of reports"
        )
    if older > 0:
        click.echo(f"\n{older:,} more runs were tried earlier: --last N lists more, --study NAME and --all everything")
    left_out = 0 if every or study is not None else _in_no_study(found)
    if left_out:
        click.echo(f"\n{left_out} more of trials in no study: --all lists them, {_PUTS}")
    elif any(r["study"] is None for r in rows):
        click.echo(f"\n(in no study): {_PUTS}")
    for said in dict.fromkeys(word.in_words for r in rows for word in r["by_word"]):
        click.echo(f"\n(accepted): {said}")
    if any(not r["accepted"] for r in rows):
        click.echo("\n* not an accepted training run")


_PUTS = "`harness run grid FILE` puts the trials into their study"


@click.command()
@click.argument("uid", metavar="ATTEMPT", shell_complete=runs)
@click.option("--source", "only_source", is_flag=True,
              help="Print only what the study's repository had not committed, as git apply takes it.")  # fmt: skip
@format_option("text", "json")
@sources_option
def show(uid: str, only_source: bool, fmt: str, sources: tuple[Path, ...]) -> None:
    """Print everything about ATTEMPT, named by the first digits of its uid or as STUDY:TRIAL:SEED.

    That includes where its weights, its output and the trace of its error lie.

    \b
    harness results show 3f2a
    harness results show quickstart:Baseline:0
    harness results show quickstart:Baseline:0 --source > changes.patch
    """
    from harness.store.artifacts import for_people, where
    from harness.store.find import find_attempt, metric_words, values
    from harness.store.merge import open_results
    from harness.store.queries import artifacts, installed, snapshot

    with open_results(sources) as store:
        found = snapshot(store)
        attempt = find_attempt(found, uid)
        if only_source:
            echo_as_it_is(_source(store, attempt))
            return
        files = artifacts(store, attempt.uid)
        everything = installed(store, attempt.environment.get("installed"))
    trial = found.trials[attempt.trial_key]
    kept = for_people(sources, attempt.uid)
    places = [place for place in found.study_trials if place.trial_key == attempt.trial_key]
    details = {
        "uid": attempt.uid,
        "kind": attempt.kind,
        "state": attempt.state,
        "accepted": attempt.accepted,
        "trials": [f"{place.study}: {place.name}" for place in places],
        "seed": attempt.seed,
        "protocol": list(dict.fromkeys(_protocol(place, found) for place in places)),
        "key": attempt.trial_key,
        "counts_for": [asdict(word) for word in found.acceptances if word.old_key == attempt.trial_key],
        "started": attempt.started,
        "ended": attempt.ended,
        "error": attempt.error,
        "resumed_from": attempt.resumed_from,
        "supersedes": attempt.supersedes,
        "results": {metric_words(found, place): value for place, value in values(found, attempt).items()},
        "measures": dict(attempt.measures),
        "costs": dict(trial.costs),
        "config": trial.config,
        "execution": dict(attempt.execution),
        "environment": {**attempt.environment, **({"installed": everything} if everything else {})},
        "code_digest": attempt.code_digest,
        "weights": next((where(sources, attempt.uid, f) or "not here" for f in files if f.kind == "weights"), None),
        "trace": kept["trace"],
        "output": kept["output"],
        "artifacts": [
            {"kind": f.kind, "path": f.path, "bytes": f.bytes, "sha256": f.sha256}
            | {"file": where(sources, attempt.uid, f) or "not here"}
            for f in files
        ],
    }
    if fmt == "json":
        print_json(details)
        return
    details["environment"] = {**attempt.environment, **_in_short(attempt.environment, everything)}
    for name, value in details.items():
        _print_detail(name, value, 0)


def _source(store: "Store", attempt: "AttemptRecord") -> str:
    """Return what was not committed when an attempt was made. Raises HarnessError if that is not known."""
    from harness.store.queries import source

    study = attempt.environment.get("study", {})
    if "commit" not in study:
        raise HarnessError(f"attempt {attempt.uid[:8]}: no repository of its study was recorded")
    if "dirty" not in study:
        raise HarnessError(f"attempt {attempt.uid[:8]}: git did not tell what was not committed")
    if "diff" not in study:
        return ""
    text = source(store, study["diff"])
    if text is None:
        raise HarnessError(f"attempt {attempt.uid[:8]}: what was not committed was not published with it")
    return text


def _in_short(environment: Mapping[str, Any], everything: Mapping[str, str]) -> dict[str, Any]:
    """Return those facts of an environment that are long, in a line each."""
    short: dict[str, Any] = {}
    for name in ("packages", "blas", "cuda", "variables"):
        if isinstance(environment.get(name), dict):
            short[name] = [f"{key} {fact}" for key, fact in environment[name].items() if fact is not None]
    if everything:
        short["installed"] = f"{len(everything)} distributions (--format json lists them)"
    return short


def _rows(found: "Snapshot", study: str | None, every: bool) -> Iterator[dict[str, Any]]:
    from harness.store.find import short_values

    wanted = sorted(found.places(None if study is None else [study]), key=lambda place: place.stands)
    places = {place.trial_key: place for place in wanted}
    by_word = {
        a.uid: (place, a.by_word)
        for place in wanted
        if place.stands
        for a in (*found.runs(place.trial_key).values(), *found.timings(place.trial_key))
        if a.by_word
    }
    protocols = {place.trial_key: _protocol(place, found) for place in places.values()}  # once for all seeds
    for attempt in found.attempts:
        counts = attempt.accepted or (attempt.kind == "timing" and attempt.state == "done")
        place, words = by_word.get(attempt.uid, (places.get(attempt.trial_key), ()))
        if not (every or counts if place is not None else every and study is None):
            continue
        times = {
            name: attempt.measures[name]
            for name in ("train_s_per_epoch", "test_s", "test_s_per_image", "run_s")
            if name in attempt.measures
        }
        yield {
            "uid": attempt.uid,
            "study": None if place is None else place.study,
            "trial": attempt.trial_key if place is None else place.name,
            "stands": place is not None and place.stands,
            "by_word": words,
            "protocol": "" if place is None else protocols[place.trial_key],
            "seed": attempt.seed,
            "kind": attempt.kind,
            "state": attempt.state,
            "accepted": attempt.accepted,
            "error": attempt.error,
            "values": short_values(found, attempt) | times,
            "started": attempt.started,
            "ended": attempt.ended,
        }


def _in_no_study(found: "Snapshot") -> int:
    """Return how many runs there are of trials that no study has, as `recover` takes them in: nobody told it of one."""
    placed = {place.trial_key for place in found.study_trials}
    return sum(attempt.accepted and attempt.trial_key not in placed for attempt in found.attempts)


def _protocol(place: "StudyTrialRecord", found: "Snapshot") -> str:
    """Return the protocol by which a trial is trained, with what its study or `--set` overrides."""
    from harness.trial.overrides import protocol_in_words

    return protocol_in_words(place.protocol_name, found.trials[place.trial_key].config)


def _trial(row: dict[str, Any]) -> str:
    """Return a row's trial, marked where it is not in its study now, or where a run counts by a person's word."""
    if row["study"] is None:
        return f"{row['trial'][:12]} (in no study)"
    mark = " (accepted)" if row["by_word"] else "" if row["stands"] else " (earlier)"
    return f"{row['trial']}{mark}"


def _found(row: dict[str, Any]) -> str:
    """Return a row's results, else why there are none."""
    return ", ".join(f"{name} {value:.4g}" for name, value in row["values"].items()) or row["error"] or ""


def _print_detail(name: str, value: Any, depth: int) -> None:
    """Print a value as indented lines."""
    pad, name = "  " * depth, printable_line(name)
    if isinstance(value, dict) and value:
        click.echo(f"{pad}{name}:")
        for key, inner in value.items():
            _print_detail(str(key), inner, depth + 1)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        click.echo(f"{pad}{name}:")
        for inner in value:
            click.echo(f"{pad}  " + printable_line(", ".join(f"{k} {v}" for k, v in inner.items())))
    else:
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        click.echo(f"{pad}{name}: {'–' if shown in (None, '', {}) else printable_line(str(shown))}")
