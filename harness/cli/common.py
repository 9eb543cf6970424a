"""Options and output that several commands share."""

import csv
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from harness.base.errors import HarnessError, did_you_mean, printable_json, printable_line
from harness.base.spreadsheet import csv_cell
from harness.cli.completion import study_files, trials
from harness.store import DEFAULT_DB

INTERRUPTED = 130
"""The exit code of a call that was ended by Ctrl-C."""


def _name_runs(ctx: click.Context, _: click.Parameter, given: Any) -> Any:
    """Let the studies of this call name runs of its results."""
    from harness.trial.named_runs import runs_found_by

    def find(name: str) -> Any:
        from harness.execution.register import find_run

        return find_run(name, [given] if isinstance(given, Path) else list(given))

    ctx.with_resource(runs_found_by(find))
    return given


class FiniteRange(click.FloatRange):
    """A finite number within bounds: click's own lets nan through, which is neither below nor above one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{number} is no finite number.", param, ctx)
        return number


db_option = click.option(
    "--db",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_name_runs,
    default=DEFAULT_DB,
    envvar="HARNESS_DB",
    show_default=True,
    show_envvar=True,
    help="The results database.",
)

sources_option = click.option(
    "--db",
    "--from",
    "sources",
    type=click.Path(path_type=Path),
    callback=_name_runs,
    multiple=True,
    default=[DEFAULT_DB],
    envvar="HARNESS_DB",
    show_default=True,
    show_envvar=True,
    help="The results database, or published files (*.jsonl), or folders of them.",
)

set_option = click.option(
    "--set",
    "overrides",
    metavar="PATH=VALUE",
    multiple=True,
    help="Set a value in every trial, e.g. protocol.epochs=2. May be given several times, and without --set.",
)

paper_option = click.option(
    "--paper",
    metavar="FOLDER|NAME",
    help="Whose tables: table1.yml … in a folder of yours, or a paper of the harness's.  [default: feature_pooling]",
)

only_option = click.option(
    "--only", metavar="GLOB", help="Only trials whose name matches, e.g. '*top-k*'.", shell_complete=trials
)

files_argument = click.argument(
    "files", nargs=-1, required=True, metavar="FILE... [PATH=VALUE]...", shell_complete=study_files
)

skip_option = click.option(
    "--skip-invalid", is_flag=True, help="Skip trials whose compressors cannot be at their sites, and say which."
)


def _refuse_plugins(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from harness.plugins.origin import without_plugins

        ctx.with_resource(without_plugins())


plugins_option = click.option(
    "--no-plugins",
    is_flag=True,
    expose_value=False,
    callback=_refuse_plugins,
    envvar="HARNESS_NO_PLUGINS",
    show_envvar=True,
    help="Refuse files that name plug-ins: these are code, which even a dry run imports.",
)


def format_option(*names: str) -> Callable[[Any], Any]:
    """Return a --format option; the first name is the default."""
    return click.option(
        "--format", "fmt", type=click.Choice(names), default=names[0], show_default=True, help="How to print it."
    )


def parse_options(given: Sequence[str], said: str) -> dict[str, Any]:
    """Return what KEY=VALUE options say; values are YAML, and `a.b=1` is {a: {b: 1}}. `said` names the option."""
    from harness.base.source import parse_value

    options: dict[str, Any] = {}
    for text in given:
        path, equals, value = text.partition("=")
        *parents, last = path.strip().split(".")
        if not equals or not last:
            raise HarnessError(f"{said} takes KEY=VALUE, e.g. partition=gpu, not '{text}'")
        inside = options
        for parent in parents:
            inside = inside.setdefault(parent, {})
        inside[last] = parse_value(value, f"{said} {path.strip()}")
    return options


_OVERRIDE = re.compile(r"[A-Za-z_][\w.-]*=")


def load_studies(
    files: Sequence[str],
    overrides: Sequence[str],
    only: str | None,
    *,
    skip_invalid: bool = False,
    refused: Callable[[HarnessError], None] | None = None,
) -> list[Any]:
    """Load study files with --set, --only and --skip-invalid; PATH=VALUE among the files is one more --set.

    Errors of single files are given to `refused`, and the others are loaded, if it is there. Raises HarnessError for
    the first of them if it is not, and if nothing is left of the files.
    """
    from dataclasses import replace

    from harness.study.grid import Override
    from harness.study.study import load_study

    bare = [text for text in files if _OVERRIDE.match(text) and not Path(text).exists()]
    parsed = [Override.parse(text) for text in (*overrides, *bare)]
    files = [text for text in files if text not in bare]
    if not files:
        raise HarnessError(f"name a study file{f' before {bare[0]}' if bare else ''}")
    studies = []
    for file in files:
        try:
            studies.append(load_study(file, parsed, skip_invalid=skip_invalid))
        except HarnessError as error:
            if refused is None:
                raise
            refused(error)
    names = [study.name for study in studies]
    for name in names:
        if names.count(name) > 1:
            raise HarnessError(f"two of the files are both the study '{name}'")
    if only is None or not studies:
        return studies
    chosen = [study for study in (replace(study, only=only) for study in studies) if study.chosen]
    if not chosen:
        known = [item.name for study in studies for item in study.trials]
        raise HarnessError(f"--only '{only}' matches no trial{did_you_mean(only, known)}")
    return chosen


def named_study(text: str) -> tuple[str, str | None]:
    """Return the name of the study that a text is, or that the file of that name holds, and the SHA-256 of its text."""
    path = Path(text)
    if path.suffix not in {".yml", ".yaml"} and not path.is_file():
        return text, None
    from harness.study.include import read_study

    written = read_study(path)
    return written.name, written.sha


def parse_reasons(text: str) -> frozenset[str]:
    """Return the reasons that --retry names. Raises HarnessError for an unknown one."""
    from harness.execution.plan import held_reasons

    return held_reasons(text.split(","), "--retry")


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout; numbers that JSON does not have as `json_number` writes them."""
    text = json.dumps(_jsonable(value), indent=2, ensure_ascii=False, allow_nan=False)
    click.echo(printable_json(text))


def print_json_line(value: Any) -> None:
    """Print a value as JSON on one line of stdout, at once."""
    click.echo(printable_json(json.dumps(_jsonable(value), ensure_ascii=False, allow_nan=False)))


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _jsonable(inner) for key, inner in value.items()}
    return [_jsonable(inner) for inner in value] if isinstance(value, list | tuple) else json_number(value)


def print_csv(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows as CSV on stdout; texts that a spreadsheet would compute come after an apostrophe."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(map(csv_cell, headers))
    writer.writerows(map(csv_cell, row) for row in rows)


def json_number(value: Any) -> Any:
    """Return a value as JSON can hold it: of numbers "nan", "inf" and "-inf" as texts."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def print_table(headers: Sequence[str], rows: Iterable[Sequence[Any]], *, lines: bool = False) -> None:
    """Print a plain table on stdout, numbers to the right; floats have all their digits.

    A row is one line, unless texts may have several `lines`: of a line break in a name its spelling is shown.
    """
    from tabulate import tabulate

    texts = [[_cell(value) if lines else printable_line(_cell(value)) for value in row] for row in rows]
    aligned = ["decimal" if _are_numbers(column) else "left" for column in zip(*texts, strict=True)]
    click.echo(tabulate(texts, headers=headers, tablefmt="simple", disable_numparse=True, colalign=aligned))


_NUMBER = re.compile(r"[-+]?(\d[\d,]*(\.\d*)?|\.\d+)(e[-+]?\d+)?|[-+]?inf|nan")
_NOTHING = frozenset({"", "–"})


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _are_numbers(texts: Sequence[str]) -> bool:
    """Return whether a column holds nothing but numbers, as values or in words such as 12,855,498."""
    there = [text for text in texts if text not in _NOTHING]
    return bool(there) and all(_NUMBER.fullmatch(text) for text in there)


def duration(seconds: float | None) -> str:
    """Return seconds as a person says them: 42 s, 3 min, 1 h 05 min, 12 days."""
    if seconds is None:
        return "unknown"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes < 72 * 60 else f"{minutes / 60 / 24:.0f} days"


def amount(number: float | None) -> str:
    """Return a count with thousands separated."""
    return "–" if number is None else f"{number:,.0f}"
