"""The harness from Python, a notebook say: `harness.run` a study, `harness.load` results, `harness.denoise` a picture.

    summary = harness.run("study.yml")             # as `harness run grid study.yml`
    results = harness.load("results/harness.db")
    results.runs()      # one row per run
    results.results()   # one row per metric of a run
    results.tidy()      # one row per run; settings, metrics, costs and seconds are columns
    results.curves()    # one row per point of a curve
    network = harness.load_network("study:trial:0")   # a trained network
    estimate = harness.denoise(image)              # as `harness denoise IMAGE`, but on an array

Every method of `Results` reads again, so that a study under way can be watched. Frames have the columns of
docs/python.md, always all of them, also if nothing is stored. `harness` gives these names; pandas is imported by the
first frame, torch by the workers and by `denoise`.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from harness.base.errors import HarnessError, did_you_mean
from harness.base.extras import needs, parts_named
from harness.data.locations import data_root
from harness.execution.device import choose_device
from harness.execution.driver import run_grid
from harness.execution.executors import in_worker
from harness.execution.lines import Lines
from harness.execution.options import JOBS_ELSEWHERE, Options, Summary, chosen_executor
from harness.execution.plan import held_reasons
from harness.execution.register import find_run
from harness.plugins.origin import without_plugins
from harness.report.tidy import TIDY, Tidy, tidy
from harness.store import default_db
from harness.store.flat import COLUMNS, Rows, rows
from harness.store.merge import open_results
from harness.store.queries import snapshot
from harness.study.grid import Override
from harness.study.study import Study, load_study
from harness.trial.named_runs import runs_found_by
from harness.trial.overrides import protocol_in_words

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from harness.execution.trained import Network
    from harness.report import Document

_reading: ContextVar[bool] = ContextVar("reading", default=False)  # is a study being read, whose plug-ins are imported?
_GUARD = (
    "harness.run is called where a file is imported that the study itself names: put the call below "
    '`if __name__ == "__main__":`'
)


@dataclass(frozen=True, repr=False)
class RunSummary:
    """How a call of `harness.run` ended. Runs are counted as of its end, attempts as of this call."""

    study: str
    spec_sha: str
    db: Path
    in_all: str  # "2 done, 0 left, 1 held (1 oom)"
    done: int
    left: int
    held: Mapping[str, int]  # runs by reason: failed, oom, timeout, crashed, stale, weights
    ended: Mapping[str, int]  # attempts by state: done, nan, failed, …
    failed: bool  # did an attempt fail now, or is a run held for having failed?
    edited: bool = False  # did it stop early, because code was edited that was to run?
    hindrance: str | None = None  # what a failure of disk or permissions interrupted, in a line

    def results(self) -> "Results":
        """Return what is stored, as `harness.load` does."""
        return load(self.db)

    def table(self) -> "StudyTable":
        """Return the study's own table."""
        return _study_table([self.db], self.study, self.spec_sha)

    def __str__(self) -> str:
        """Return what the command says at its end."""
        now = ", ".join(f"{count} {state}" for state, count in sorted(self.ended.items()))
        if now:
            lines = [f"{self.study}: this call: {now}; in all {self.in_all}"]
        else:
            nothing = "stopped before anything ran" if self.left else "nothing to do"
            lines = [f"{self.study}: {nothing}: {self.in_all}"]
        if self.edited:
            lines.append("stopped because the code changed during the run; repeat the call to use the new code")
        elif self.held:
            lines.append(f"runs on hold were skipped; add retry={list(self.held)} to run them")
        if self.hindrance:
            lines.append(self.hindrance)
        return "\n".join([*lines, f"results: {self.db}"])

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        """Return what a notebook shows: the same, and the study's table."""
        said = str(self).replace("\n", "  \n")
        return f"{said}\n\n{self.table()}" if self.done else said


def run(  # noqa: PLR0913 - what the command has as options
    study: Mapping[str, Any] | str | Path,
    *,
    db: str | Path | None = None,
    jobs: int | None = None,
    executor: str | Mapping[str, Any] | None = None,
    device: str = "auto",
    threads: int | None = None,
    limit: int | None = None,
    retry: str | Iterable[str] = (),
    from_start: bool = False,
    data: str | Path | None = None,
    only: str = "*",
    overrides: Mapping[str, Any] | None = None,
    fail_fast: bool = False,
    timeout: float | None = None,
    plugins: bool = True,
    skip_invalid: bool = False,
    progress: bool = True,
) -> RunSummary:
    """Run what is left of a study, and return how it went. Called again, it runs only what is missing.

    Ctrl-C ends what runs at a checkpoint, says so, and is then raised as KeyboardInterrupt; the same call resumes.

    Args:
        study: a study file, or a mapping of the same form, whose paths lead from the current folder.
        db: the results database; by default $HARNESS_DB, or results/harness.db in the current folder.
        jobs: runs side by side; by default 1, or for a cluster as many as its queue is given.
        executor: local, worker processes; in-process, in this one, to debug an attempt; slurm or ray, on a cluster:
            a name or {"kind": "slurm", "partition": "gpu"}; by default the study's, else local.
        device: auto, cpu, cuda or cuda:N; auto takes a GPU if there is one.
        threads: of each worker; by default the study's, or an even share of the cores.
        limit: make at most this many runs.
        retry: run also what is held for these reasons: failed, oom, timeout, crashed, stale, weights.
        from_start: begin each run at its beginning, not at its checkpoint.
        data: the folder of the data; by default $HARNESS_DATA, or ~/.cache/harness/data.
        only: a pattern; only trials whose name matches it.
        overrides: values by dotted path that hold in every trial: {"protocol.epochs": 2}.
        fail_fast: stop after the first run that fails.
        timeout: end longer runs, in seconds.
        plugins: False refuses a study that names plug-ins, which are code, before any of it is imported.
        skip_invalid: skip trials whose compressors cannot be at their sites; a line on stderr says which.
        progress: print a line per epoch on stderr.

    Raises:
        HarnessError: in one line, before anything runs, where something cannot be used.
    """
    if in_worker() or _reading.get():
        raise HarnessError(_GUARD)
    database = default_db() if db is None else Path(db).expanduser()
    named = runs_found_by(lambda name: find_run(name, [database]))
    with _being_read(), named, nullcontext() if plugins else without_plugins():
        given = [Override(path, value) for path, value in (overrides or {}).items()]
        loaded = load_study(study, given, skip_invalid=skip_invalid)
    for name, reason in loaded.skipped.items():
        print(f"skipped: {loaded.name}: {name}: {reason}", file=sys.stderr)
    loaded = _matching(loaded, only)
    written = {"kind": executor} if isinstance(executor, str) else dict(executor or {})
    chosen = chosen_executor([loaded], written.pop("kind", None), written)
    elsewhere = chosen.elsewhere
    options = Options(
        db=database,
        data_root=data_root() if data is None else Path(data).expanduser(),
        device=choose_device(device) if not elsewhere else chosen.device if device == "auto" else device,
        jobs=_count("jobs", jobs) if jobs is not None else JOBS_ELSEWHERE if elsewhere else 1,
        executor=chosen.name,
        executor_options=chosen.options,
        executor_given=executor is not None,
        threads=None if threads is None else _count("threads", threads),
        limit=None if limit is None else _count("limit", limit),
        retry=held_reasons(retry.split(",") if isinstance(retry, str) else retry, "retry"),
        from_start=from_start,
        fail_fast=fail_fast,
        timeout_s=timeout,
    )
    with Lines() if progress else Lines(lambda _: None) as shown:
        summary = run_grid([loaded], options, shown)
    said = _summary(loaded, options.db, summary)
    if summary.interrupted:
        raise KeyboardInterrupt(f"what was done is kept, the same call resumes from the checkpoints\n{said}")
    if summary.stopped_late:  # a script is to end nevertheless, also one that calls this in a loop
        raise KeyboardInterrupt(f"everything that was asked for finished before the stop took effect\n{said}")
    return said


@contextmanager
def _being_read() -> Iterator[None]:
    token = _reading.set(True)
    try:
        yield
    finally:
        _reading.reset(token)


def _matching(study: Study, only: str) -> Study:
    chosen = replace(study, only=only)
    if not chosen.chosen:
        names = [item.name for item in study.trials]
        raise HarnessError(f"only='{only}' matches no trial{did_you_mean(only, names)}")
    return chosen


def _count(name: str, value: int) -> int:
    if type(value) is not int or value < 1:
        raise HarnessError(f"{name} must be a whole number from 1, not {value!r}")
    return value


def _summary(study: Study, db: Path, summary: Summary) -> RunSummary:
    plan = summary.plan
    return RunSummary(
        study=study.name,
        spec_sha=study.spec_sha,
        db=db,
        in_all=plan.in_words(),
        done=len(plan.of("done")),
        left=len(plan.of("left")),
        held=plan.held_by_reason(),
        ended=dict(summary.ended),
        failed=summary.failed,
        edited=summary.edited,
        hindrance=summary.hindrance,
    )


def denoise(
    image: "NDArray[Any]",
    sigma: float | None = None,
    model: str | Path | None = None,
    *,
    tile: int | None = None,
    device: str = "auto",
    db: str | Path | None = None,
) -> "NDArray[np.uint8] | NDArray[np.floating[Any]]":
    """Return a noisy picture without its noise, as an array of the same shape and type.

    Args:
        image: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), whose last channel is transparency and is kept; uint8, or
            floating point on 0…255.
        sigma: standard deviation of the noise on that scale; estimated if None.
        model: bm3d, nl_bayes, k_svd, s_ple; a file of `harness model save`; STUDY:TRIAL:SEED or the first digits of the
            uid of a stored run; None: the colour network that comes with the harness, bm3d for grey pictures.
        tile: side in pixels of the tiles of a large picture; less needs less memory.
        device: auto, cpu, cuda or cuda:N.
        db: where the run is stored; by default $HARNESS_DB, or results/harness.db in the current folder.

    Returns:
        The estimate; of uint8 clipped and rounded, of floating point neither.

    Raises:
        HarnessError: in one line, if the array or the model cannot be used.
    """
    needs("torch", "PIL")
    from harness.denoiser.apply import denoise_array
    from harness.denoiser.denoisers import find_denoiser

    store = default_db() if db is None else Path(db).expanduser()
    return denoise_array(
        image, lambda: find_denoiser(None if model is None else str(model), choose_device(device), [store]), sigma, tile
    )


def load_network(run: str, path: str | Path | Sequence[str | Path] | None = None) -> "Network":
    """Return the network of a stored run with its trained weights, on the CPU and in evaluation mode.

    It takes what the trial's task gives it: images that are normalised as the protocol says (`normalization` of
    `config["protocol"]` in `runs()`), photographs on 0…255 for denoisers. Code of your own is imported from the current
    folder, and must be what it was when the run was planned.

    Args:
        run: STUDY:TRIAL:SEED, or the first digits of an attempt's uid, as the column `attempt` of a frame has it.
        path: where the run is stored, as `load` takes it; the weights lie beside it, or are exported with --weights.

    Raises:
        HarnessError: in one line, if there is no such run or network, or its weights are not here.
    """
    needs("torch")
    from harness.execution.trained import load_network as loaded

    return loaded(run, load(path).paths)


_TYPES = {str: "str", int: "int64", float: "float64", bool: "bool"}
_DIFFERENT = {"started": "datetime64[us, UTC]", "ended": "datetime64[us, UTC]", "config": "object", "costs": None}


def _columns(what: Rows) -> dict[str, str]:
    """Return the columns of a table of plain rows with pandas' types; some are read into what they hold."""
    types = {name: _DIFFERENT.get(name, _TYPES[kind]) for name, kind in COLUMNS[what].items()}
    return {name: kind for name, kind in types.items() if kind is not None}


RUNS, RESULTS, CURVES, ITEMS = _columns("runs"), _columns("results"), _columns("curves"), _columns("items")
"""The columns of each frame with their types; `runs` has `arguments.NAME` and the costs after them."""


@dataclass(frozen=True)
class Results:
    """Stored results: a database, or published files. A run is a training that counts, as in `harness results list`."""

    paths: tuple[Path, ...]

    def __repr__(self) -> str:
        """Return what is there, in a line."""
        runs = self._rows("runs", None)
        studies = len({run["study"] for run in runs})
        return f"<results of {', '.join(map(str, self.paths))}: {len(runs)} runs of {studies} studies>"

    def runs(self, study: str | None = None) -> "pd.DataFrame":
        """Return a row per run: where it is, how it ended, on what it ran, its configuration and its costs.

        Raises HarnessError for a study that is not stored.
        """
        return _typed([_run(row) for row in self._rows("runs", study)], RUNS)

    def tidy(self, study: str | None = None) -> "pd.DataFrame":
        """Return a row per run with its settings, metrics, costs and seconds as columns (docs/python.md).

        Settings are those in which runs differ, and all arguments of functions. A metric that a run has on several
        evaluations has a column for each of them. `frame.attrs` says which columns are settings and metrics; plots read
        it. Raises HarnessError for a study that is not stored.
        """
        return _framed(self.rows_of_runs(study))

    def rows_of_runs(self, study: str | None = None) -> Tidy:
        """Return what `tidy` does as plain rows, for plots."""
        with open_results(self.paths) as store:
            return tidy(snapshot(store), None if study is None else [study])

    def results(self, study: str | None = None) -> "pd.DataFrame":
        """Return a row a final metric of a run on an evaluation; `nan` and infinities are values."""
        return _typed(self._rows("results", study), RESULTS)

    def items(self, study: str | None = None) -> "pd.DataFrame":
        """Return a row per image (or other item) of an evaluation; `item` counts from 0 in canonical order."""
        return _typed(self._rows("items", study), ITEMS)

    def curves(self, study: str | None = None) -> "pd.DataFrame":
        """Return a row a point of a run's curves."""
        return _typed(self._rows("curves", study), CURVES)

    def table(self, study: str) -> "StudyTable":
        """Return a study's own table. Raises HarnessError for a study that is not stored."""
        return _study_table(self.paths, study, None)

    def rows_of_curves(self, study: str | None = None) -> list[dict[str, Any]]:
        """Return what `curves` does as plain rows, for plots."""
        return self._rows("curves", study)

    def _rows(self, what: Rows, study: str | None) -> list[dict[str, Any]]:
        with open_results(self.paths) as store:
            found = rows(store, what, studies=None if study is None else [study], protocol_in_words=protocol_in_words)
            return [dict(zip(COLUMNS[what], row, strict=True)) for row in found]


def load(path: str | Path | Sequence[str | Path] | None = None) -> Results:
    """Return what is stored at a path: a database, a published file (*.jsonl), a folder of these, or several of them.

    By default $HARNESS_DB, or results/harness.db in the current folder. Raises HarnessError if there is nothing.
    """
    given = [default_db()] if path is None else [path] if isinstance(path, str | Path) else path
    results = Results(tuple(Path(each).expanduser() for each in given))
    open_results(results.paths).close()
    return results


def _run(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of runs with times, configuration and costs as what they are, the last a column each."""
    config = json.loads(row["config"])
    return {
        **{name: row[name] for name in RUNS},
        **{name: datetime.fromisoformat(row[name]) for name in ("started", "ended")},
        "config": config,
        **{f"arguments.{name}": value for name, value in config.get("arguments", {}).items()},
        **json.loads(row["costs"]),
    }


def _typed(table: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> "pd.DataFrame":
    """Return rows as a frame: the columns with their types, then the others that any row has."""
    with parts_named():
        import pandas as pd

    more = dict.fromkeys(name for row in table for name in row if name not in columns)
    frame = pd.DataFrame(list(table), columns=[*columns, *more])
    return frame.astype(dict(columns))


def _framed(found: Tidy) -> "pd.DataFrame":
    """Return tidy rows as a frame, whose `attrs` say what its columns are."""
    known = {name: _DIFFERENT.get(name, _TYPES[kind]) for name, kind in found.columns.items() if name in TIDY}
    rows = [{**row, "started": datetime.fromisoformat(row["started"])} for row in found.rows]
    frame = _typed(rows, {name: str(kind) for name, kind in known.items()})
    frame.attrs = {
        "settings": list(found.settings),
        "metrics": {name: metric.to_dict() for name, metric in found.metrics.items()},
        "baselines": list(found.baselines),
    }
    return frame


class StudyTable(str):
    """A study's own table: a text in Markdown, which a notebook shows as HTML."""

    __slots__ = ("document",)
    document: "Document"

    def __new__(cls, document: "Document") -> Self:
        """Return the table of a document."""
        from harness.report import render

        table = super().__new__(cls, render(document, "md").rstrip("\n"))
        table.document = document
        return table

    def render(self, format: str) -> str:  # noqa: A002 - the word of the command's option
        """Return the table as "md", "html", "latex", "csv" or "json". Raises HarnessError for another format."""
        from harness.report import render

        return render(self.document, format)

    def __repr__(self) -> str:
        """Return it as a terminal shows it."""
        return str(self)

    def _repr_html_(self) -> str:
        """Return what a notebook shows; statistics and notes are folded."""
        return self.render("html")


def _study_table(paths: Sequence[Path], study: str, spec_sha: str | None) -> StudyTable:
    """Return the table of a study, as its text of this SHA-256 says, else the newest.

    Raises HarnessError if the study is not stored so.
    """
    from harness.report import study_document
    from harness.trial.datasets import DATASETS

    with open_results(paths) as store:
        found = snapshot(store)
    stand_ins = {declared.name: declared.stand_in_for for declared in DATASETS.values()}
    return StudyTable(study_document(found, study, stand_ins, spec_sha=spec_sha))
