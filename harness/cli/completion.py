"""What a shell completes: commands and options by click; study files, studies, trials and runs by what there is.

Names come from the database that the command line names, read-only. A store that cannot be read completes nothing.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import click

from harness.base.errors import HarnessError
from harness.store import DEFAULT_DB

_MOST = 200  # of more runs only the next part of the name is offered

Complete = Callable[[click.Context, click.Parameter, str], list[str]]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), metavar="bash|zsh|fish")
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the lines that make a shell complete commands, options and their values, study files and runs.

    \b
    harness completion bash >> ~/.bashrc
    harness completion zsh >> ~/.zshrc
    harness completion fish > ~/.config/fish/completions/harness.fish
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"click has no completion for {shell}")
    root = ctx.find_root()
    script = found(root.command, {}, "harness", "_HARNESS_COMPLETE").source()
    click.echo(_with_names(script) if shell == "bash" else script)


_ADDS = "            COMPREPLY+=($value)\n"
_QUOTES = r"""            [[ $value == *[:/] ]] && compopt -o nospace
            [[ $quoted || $value != *[^A-Za-z0-9_.:/=,-]* ]] || value=$(printf %q "$value")
            COMPREPLY+=("$value")
"""


def _with_names(bash: str) -> str:
    """Return click's script for bash with names as ours: bash splits words at colons, and quotes nothing by itself."""
    begin = "    local response\n"
    own = (
        f"{begin}    local quoted=; [[ ${{COMP_WORDS[COMP_CWORD]}} == [\\'\\\"]* ]] && quoted=1\n"
        "    compopt +o nospace\n"
    )
    return "COMP_WORDBREAKS=${COMP_WORDBREAKS//:}\n" + bash.replace(begin, own, 1).replace(_ADDS, _QUOTES, 1)


def study_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's
    """Return the study files that begin so, and the folders in which there may be others."""
    folder, slash, begun = incomplete.rpartition("/")
    try:
        found = sorted(path for path in Path(folder + slash).iterdir() if path.name.startswith(begun))
    except OSError:
        return []
    shown = [path for path in found if begun or not path.name.startswith(".")]
    return [f"{folder}{slash}{path.name}{'/' * path.is_dir()}" for path in shown if path.is_dir() or _is_study(path)]


def _is_study(path: Path) -> bool:
    if path.suffix not in {".yml", ".yaml"}:
        return False
    try:
        with path.open(encoding="utf-8") as file:
            return any(line.startswith("study:") for line in file)
    except (OSError, ValueError):
        return False


def studies(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """Return the stored studies that begin so."""
    return _beginning(incomplete, (study for study, _, _ in _stored(ctx)))


def studies_and_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the stored studies and the study files that begin so."""
    return [*studies(ctx, param, incomplete), *study_files(ctx, param, incomplete)]


def trials(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """Return the names of trials of the study files that the command line names, as far as no code is needed."""
    from harness.plugins.origin import without_plugins
    from harness.study.study import load_study

    words = (*(ctx.params.get("files") or ()), *ctx.args)  # the latter where click stopped at `--only` without a value
    files = [word for word in words if _is_study(Path(word))]
    try:
        with without_plugins():
            found = [item.name for file in files for item in load_study(file).trials]
    except HarnessError:
        found = []
    if not found:
        found = [trial for _, trial, _ in _stored(ctx)]
    return _beginning(incomplete, found)


def runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """Return the stored runs that begin so, STUDY:TRIAL:SEED; of many only the next part of their names."""
    stored = _stored(ctx)
    found = _beginning(incomplete, (f"{study}:{trial}:{seed}" for study, trial, seed in stored))
    if len(found) <= _MOST:
        return found
    parts = [part for study, trial, _ in stored for part in (f"{study}:", f"{study}:{trial}:")]
    longer = [part for part in _beginning(incomplete, parts) if part != incomplete]
    return [part for part in longer if not any(part != other and part.startswith(other) for other in longer)]


def trials_and_runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the stored trials that begin so, STUDY:TRIAL, and the runs."""
    names = _beginning(incomplete, (f"{study}:{trial}" for study, trial, _ in _stored(ctx)))
    return names or runs(ctx, param, incomplete)


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name for name in names if name.startswith(incomplete)))


def _stored(ctx: click.Context) -> list[tuple[str, str, int]]:
    """Return study, trial and seed of each run in the databases that the command line names."""
    from harness.store.connection import open_reader
    from harness.store.errors import DatabaseError
    from harness.store.queries import named_runs

    given = ctx.params.get("db") or ctx.params.get("sources") or os.environ.get("HARNESS_DB") or DEFAULT_DB
    found: list[tuple[str, str, int]] = []
    for path in [given] if isinstance(given, str | Path) else given:
        try:
            with open_reader(path) as store:
                found += named_runs(store)
        except (HarnessError, OSError, DatabaseError):
            continue
    return found
