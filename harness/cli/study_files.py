"""`harness init` and `harness check`: a first study of a script, and whether study files can be run."""

import json
import sys
from pathlib import Path

import click

from harness.base.errors import HarnessError
from harness.cli.common import load_studies, only_option, plugins_option, set_option, skip_option
from harness.cli.completion import study_files as files_of_studies


@click.command()
@click.argument("script", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="SCRIPT.py")
@click.option("--function", metavar="NAME", help="Call this function of it  [default: the first of a 'context']")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the study there  [default: beside the script, under its name]",
)
def init(script: Path, function: str | None, out: Path | None) -> None:
    """Write a first study of SCRIPT.py, from its function's signature or its options of argparse.

    Nothing of the script is run. Say in the study what is to be compared; `harness check` says what is wrong with it.

    \b
    harness init train.py
    harness run grid train.yml --dry-run
    """
    from harness.base.files import atomic_write
    from harness.study.first import first_study

    place = script.with_suffix(".yml") if out is None else out
    text = first_study(script, function)
    if place.parent.resolve() != script.parent.resolve():
        raise HarnessError(f"a study finds its code beside it: write it into {script.parent}, not {place.parent}")
    if place.exists():
        raise HarnessError(f"{place} is there already: name another file by --out")
    atomic_write(place, text)
    click.echo(place)


@click.command()
@click.argument("files", nargs=-1, metavar="STUDY... [PATH=VALUE]...", shell_complete=files_of_studies)
@only_option
@set_option
@skip_option
@plugins_option
@click.option("--schema", is_flag=True, help="Print the JSON Schema of a study file, for an editor; needs no STUDY.")
def check(
    files: tuple[str, ...], only: str | None, overrides: tuple[str, ...], skip_invalid: bool, schema: bool
) -> None:
    """Read STUDY files as `run grid` does, with all that they name, and say how many trials and runs they have.

    Of each file that cannot be run a line says what is wrong and where, and the exit code is 2. Nothing is run or
    stored; `run grid --dry-run` tells costs and seconds.

    \b
    harness check ablations/mnist.yml
    harness check --schema > study.schema.json
    """
    if schema:
        from harness.study.study_file import StudyFile

        click.echo(json.dumps(StudyFile.model_json_schema(), indent=2, ensure_ascii=False))
        return
    if not files:
        raise click.UsageError("name a study file, or ask for --schema")
    wrong: list[HarnessError] = []
    for study in load_studies(files, overrides, only, skip_invalid=skip_invalid, refused=wrong.append):
        runs = sum(len(item.seeds) for item in study.chosen)
        most = "" if study.until is None else "at most "
        trials = len(study.chosen)
        click.echo(f"{study.name}: {trials} trial{'s' * (trials > 1)}, {most}{runs} run{'s' * (runs > 1)}")
    for error in wrong:
        click.echo(f"Error: {error}", err=True)
    if wrong:
        sys.exit(2)
