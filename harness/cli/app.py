"""The root command: groups are imported when they are used, so that help comes at once, and errors are one line."""

import atexit
import errno
import gc
import importlib
import sys
from typing import Any, ClassVar, NoReturn

import click

import harness
from harness.base.errors import HarnessError
from harness.base.extras import missing_part
from harness.cli.common import INTERRUPTED
from harness.cli.streams import open_missing_streams
from harness.cli.terminal import guarded
from harness.execution.interruptions import interruptions_remembered, was_interrupted
from harness.store.quick import import_quickly

_WITH_STORE = frozenset({"run", "search", "report", "claims", "results", "doctor", "denoise", "model"})


class OneLineError(click.ClickException):
    """What a person must fix, on the command line: one line on stderr, exit code 2 (wrong use)."""

    exit_code = 2


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for: name → (module, object, one line of help)."""

    lazy: ClassVar[dict[str, tuple[str, str, str]]] = {
        "denoise": ("harness.cli.denoise", "denoise", "Take the noise out of pictures."),
        "init": ("harness.cli.study_files", "init", "Write a first study of SCRIPT.py."),
        "check": ("harness.cli.study_files", "check", "Read STUDY files as `run grid` does."),
        "run": ("harness.cli.run", "run", "Run studies: grids, timings."),
        "search": (
            "harness.cli.search",
            "search",
            "Search with Optuna: where compressors go, or the arguments of a function.",
        ),
        "report": (
            "harness.cli.report",
            "report",
            "Tables, figures, statistics, findings and a page from stored results.",
        ),
        "claims": ("harness.cli.claims", "claims", "Plan claims before they run."),
        "results": ("harness.cli.results", "results", "Look at, compare, export, merge and verify stored results."),
        "cost": ("harness.cli.cost", "cost", "Count what the networks of STUDY files cost."),
        "data": ("harness.cli.data", "data", "List, download, import and verify datasets."),
        "doctor": ("harness.cli.doctor", "doctor", "Look at this machine and the store; make one trial twice."),
        "model": ("harness.cli.model", "model", "List models and the sites where compressors can go."),
        "bench": ("harness.cli.bench", "bench", "Measure speed: operators, epochs, the harness around them."),
        "completion": ("harness.cli.completion", "completion", "Print the lines that make a shell complete commands."),
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the groups in the order in which a person meets them."""
        return [*self.lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a group."""
        if cmd_name not in self.lazy:
            return super().get_command(ctx, cmd_name)
        module, name, _ = self.lazy[cmd_name]
        if cmd_name in _WITH_STORE:
            import_quickly()
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the groups without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in self.lazy.items()])

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command, whatever streams there are; a Ctrl-C that a library swallowed still has its exit code.

        Terminals are guarded against what names and errors may hold.
        """
        open_missing_streams()
        atexit.register(_forgo_last_collection)
        with guarded(), interruptions_remembered():
            try:
                return super().main(*args, **kwargs)
            except SystemExit:
                if was_interrupted():
                    sys.exit(INTERRUPTED)
                raise

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what a person must fix becomes one line, unless --verbose asks for the trace.

        Ctrl-C has one exit code, also if no run has begun to listen for it, and if an import fails because of it.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _end_interrupted(ctx)
        except (click.exceptions.Exit, click.ClickException):
            raise
        except Exception as error:
            if was_interrupted():
                _end_interrupted(ctx)
            error = missing_part(error) or error
            closed_pipe = getattr(error, "errno", None) == errno.EPIPE  # which is click's
            if closed_pipe or ctx.params.get("verbose") or not isinstance(error, _to_mend()):
                raise
            raise OneLineError(_cut(_in_a_line(error))) from error


def _forgo_last_collection() -> None:
    """Let Python end without going through all that a command has read, which takes as long as to read a part of it.

    Libraries of torch count what is left of them at the end, and complain of what was not collected.
    """
    if "torch" not in sys.modules:
        gc.freeze()


def _end_interrupted(ctx: click.Context) -> NoReturn:
    click.echo("interrupted", err=True)
    ctx.exit(INTERRUPTED)


def _to_mend() -> tuple[type[Exception], ...]:
    """Return what a person may have to fix: wrong use, files and folders, a damaged store."""
    from harness.store.errors import DatabaseError

    return HarnessError, OSError, DatabaseError


def _cut(message: str) -> str:
    """Return a message of a length that a person reads: one that quotes a long value loses its middle."""
    most = 2000
    return message if len(message) <= most else f"{message[: most // 2]} … {message[-most // 2 :]}"


def _in_a_line(error: Exception) -> str:
    """Return what was wrong, with the file where it is known."""
    from harness.store.errors import ReplacedError

    if isinstance(error, HarnessError | ReplacedError):
        return str(error)
    if isinstance(error, OSError):
        return ": ".join(str(part) for part in (error.filename, error.strerror or error) if part is not None)
    return f"the store cannot be used ({error}); 'harness results verify' looks whether it is whole"


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--verbose", is_flag=True, help="Show the trace of an error.")
@click.version_option(harness.__version__, prog_name="harness")
def main(verbose: bool) -> None:
    """Run grids of experiments, keep every result, and print them beside a paper's own.

    \b
    harness denoise photo.jpg                       take the noise out of a picture
    harness run grid ablations/quickstart.yml       run a study (a file), or what is left of it
    harness report tables --study quickstart        its table
    harness report tables --table 1 --from results/published/mnist.jsonl
    """
