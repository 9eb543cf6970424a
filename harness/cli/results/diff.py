"""`harness results diff`: in what two runs, studies or stores differ."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.base.errors import HarnessError
from harness.cli.common import format_option, print_json, print_table, sources_option
from harness.cli.completion import runs

if TYPE_CHECKING:
    from harness.store.connection import Store
    from harness.store.diff import RunDiff, SidesDiff

_LISTED = 10  # distributions that differ and were not imported


@click.command()
@click.argument("a", metavar="A", shell_complete=runs)
@click.argument("b", metavar="B", shell_complete=runs)
@format_option("text", "json")
@sources_option
def diff(a: str, b: str, fmt: str, sources: tuple[Path, ...]) -> None:
    """Print in what A and B differ: configuration, environment, metrics.

    Both are runs, each the first digits of an attempt's uid or STUDY:TRIAL:SEED; or both are studies by name; or both
    are databases or published files. A study's name goes before a folder's: ./NAME is the folder.

    \b
    harness results diff 3f2a 81bc
    harness results diff mnist:Baseline:0 mnist:Baseline:1 --from results/published/mnist.jsonl
    harness results diff quickstart mnist
    harness results diff results/harness.db results/published --format json
    """
    from harness.store.merge import open_results

    studies = _studies(sources) if any(map(_may_be_a_study, (a, b))) else frozenset()
    kinds = [text not in studies and Path(text).exists() for text in (a, b)]
    if all(kinds):
        with open_results(Path(a)) as one, open_results(Path(b)) as other:
            _print(_sides(one, other), "store", fmt)
        return
    if any(kinds):
        there, absent = (a, b) if kinds[0] else (b, a)
        raise HarnessError(f"'{there}' is a file and '{absent}' is none: name two stores, two studies or two runs")
    with open_results(sources) as store:
        _within(store, a, b, fmt)


def _may_be_a_study(text: str) -> bool:
    """Return whether a text may be a study's name, though there is a file or a folder of that name."""
    from harness.store.trusted import is_study_name

    return Path(text).exists() and is_study_name(text)


def _studies(sources: Sequence[Path]) -> frozenset[str]:
    """Return the names of the stored studies; none if nothing is stored, as for two files that are named."""
    from harness.store.merge import open_results
    from harness.store.queries import snapshot

    try:
        with open_results(sources) as store:
            return frozenset(place.study for place in snapshot(store).study_trials)
    except HarnessError:
        return frozenset()


def _within(store: "Store", a: str, b: str, fmt: str) -> None:
    """Compare two studies, or else two runs, of one store."""
    from harness.store.diff import diff_runs, diff_sides, study_side
    from harness.store.find import find_attempt
    from harness.store.queries import snapshot

    found = snapshot(store)
    studies = {place.study for place in found.study_trials}
    if a in studies and b in studies:
        _print(diff_sides(study_side(store, found, a), study_side(store, found, b)), "study", fmt)
        return
    if a in studies or b in studies:
        study, other = (a, b) if a in studies else (b, a)
        raise HarnessError(f"'{study}' is a study and '{other}' is none: name two studies or two runs")
    one, other_run = find_attempt(found, a), find_attempt(found, b)
    _print_runs(diff_runs(store, found, one, other_run), (one.uid, other_run.uid), fmt)


def _sides(one: "Store", other: "Store") -> "SidesDiff":
    from harness.store.diff import diff_sides, store_side
    from harness.store.queries import snapshot

    return diff_sides(store_side(one, snapshot(one)), store_side(other, snapshot(other)))


def _print_runs(found: "RunDiff", uids: tuple[str, str], fmt: str) -> None:
    if fmt == "json":
        print_json(
            {
                "kind": "run",
                "a": uids[0],
                "b": uids[1],
                "configuration": _json_pairs(found.configuration),
                "environment": _json_pairs(found.environment),
                "metrics": {
                    name: {**_json_pair(pair), "difference": _difference(*pair)} for name, pair in found.metrics.items()
                },
                "curve": found.curve,
                "images": {name: {"differing": n, "of": count} for name, (n, count) in found.images.items()},
                "same_bits": found.same_bits,
            }
        )
        return
    click.echo(f"A {uids[0]}\nB {uids[1]}")
    _print_pairs("configuration", found.configuration)
    _print_pairs("environment", found.environment)
    click.echo("\nmetrics")
    print_table(
        ["", "A", "B", "B − A"], [[name, *_texts(*pair), _signed(*pair)] for name, pair in found.metrics.items()]
    )
    click.echo(f"\ncurve: {found.curve}")
    for name, (count, of) in found.images.items():
        click.echo(f"images: {name}: {count:,} of {of:,} differ")
    click.echo(f"metrics, curve and images: {'the same bits' if found.same_bits else 'they differ'}")


def _print(found: "SidesDiff", kind: str, fmt: str) -> None:
    """Print in what two studies or stores differ."""
    if fmt == "json":
        print_json(
            {
                "kind": kind,
                "only_a": found.only_a,
                "only_b": found.only_b,
                "configuration": {name: _json_pairs(pairs) for name, pairs in found.configuration.items()},
                "environment": _json_pairs(found.environment),
                "metrics": [
                    {**row, "difference": _difference(row["a"], row["b"])} for row in found.metrics
                ],
                "runs": {"common": found.common_runs, "differing": found.differing_runs},
            }
        )  # fmt: skip
        return
    for side, names in (("A", found.only_a), ("B", found.only_b)):
        for name in names:
            click.echo(f"only in {side}: {name}")
    for name, pairs in found.configuration.items():
        _print_pairs(f"configuration of {name}", pairs)
    _print_pairs("environment", found.environment)
    click.echo("\nmetrics, means over the accepted runs")
    print_table(
        ["trial", "metric", "A", "B", "B − A", "runs of A", "runs of B"],
        [[r["trial"], r["metric"], *_texts(r["a"], r["b"]), _signed(r["a"], r["b"]), r["runs_a"], r["runs_b"]]
         for r in found.metrics],
    )  # fmt: skip
    equal = found.common_runs - len(found.differing_runs)
    click.echo(f"\nruns of both: {found.common_runs}, {equal} of them with the same metrics, bit by bit")
    for run in found.differing_runs:
        click.echo(f"differs: {run}")


def _print_pairs(title: str, pairs: Mapping[str, tuple[Any, Any]]) -> None:
    if not pairs:
        click.echo(f"\n{title}: the same")
        return
    click.echo(f"\n{title}")
    unused = [name for name in pairs if name.startswith("installed.")]
    hidden = frozenset(unused[_LISTED:])
    print_table(["", "A", "B"], [[name, *_texts(*pair)] for name, pair in pairs.items() if name not in hidden])
    if hidden:
        click.echo(f"and {len(hidden)} more that are installed and were not imported (--format json lists them)")


def _texts(a: Any, b: Any) -> Sequence[str]:
    return [_text(a), _text(b)]


def _text(value: Any) -> str:
    from harness.store.circumstances import in_words

    if value is None:
        return "–"
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return f"{value:.6g}" if isinstance(value, float) else in_words(value)


def _difference(a: Any, b: Any) -> float | None:
    return None if a is None or b is None else b - a


def _signed(a: Any, b: Any) -> str:
    difference = _difference(a, b)
    return "" if difference is None else f"{difference:+.3g}" if difference else "0"


def _json_pair(pair: tuple[Any, Any]) -> dict[str, Any]:
    return {"a": pair[0], "b": pair[1]}


def _json_pairs(pairs: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    return {name: _json_pair(pair) for name, pair in pairs.items()}
