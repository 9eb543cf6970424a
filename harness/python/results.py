"""`harness.load`: stored results as pandas frames. Every method reads anew, so that a study under way can be watched.

    results = harness.load("results/harness.db")
    results.runs()      # a row a run
    results.results()   # a row a metric of a run
    results.curves()    # a row a point of a curve

The columns are those of docs/python.md, always all of them, also where nothing is stored.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.spec.attempt import unflagged
from harness.spec.errors import HarnessError, did_you_mean
from harness.store.merge import open_results
from harness.store.place import default_db
from harness.store.queries import curve, snapshot

if TYPE_CHECKING:
    import pandas as pd

    from harness.store.connection import Store
    from harness.store.records import AttemptRecord, Snapshot, StudyTrialRecord

_RUN = {"study": "str", "trial": "str", "seed": "int64", "attempt": "str"}
RUNS = {
    **_RUN, "state": "str", "key": "str", "task": "str", "model": "str", "protocol": "str", "device": "str",
    "threads": "int64", "started": "datetime64[us, UTC]", "ended": "datetime64[us, UTC]", "seconds": "float64",
    "resumed": "bool", "code": "str", "config": "object",
}  # fmt: skip
RESULTS = {
    **_RUN, "dataset": "str", "split": "str", "condition": "str", "metric": "str", "value": "float64",
}  # fmt: skip
CURVES = {**_RUN, "split": "str", "metric": "str", "step": "int64", "value": "float64"}
"""The columns of each frame with their types; `runs` has `arguments.NAME` and the costs after them."""


@dataclass(frozen=True)
class _Run:
    """An accepted run with its place in a study."""

    place: "StudyTrialRecord"
    attempt: "AttemptRecord"

    @property
    def columns(self) -> dict[str, Any]:
        """What all frames begin with."""
        return {
            "study": self.place.study,
            "trial": self.place.name,
            "seed": self.attempt.seed,
            "attempt": self.attempt.uid,
        }


@dataclass(frozen=True)
class Results:
    """Stored results: a database, or published files. A run is a training that counts, as in `harness results list`."""

    paths: tuple[Path, ...]

    def __repr__(self) -> str:
        """Return what is there, in a line."""
        with open_results(self.paths) as store:
            runs = _runs(snapshot(store), None)
        studies = len({run.place.study for run in runs})
        return f"<results of {', '.join(map(str, self.paths))}: {len(runs)} runs of {studies} studies>"

    def runs(self, study: str | None = None) -> "pd.DataFrame":
        """Return a row a run: where it stands, how it ended, on what it ran, its configuration and its costs.

        Raises HarnessError for a study that is not stored.
        """
        return self._frame(study, RUNS, lambda _, found, run: [_run_row(found, run)])

    def results(self, study: str | None = None) -> "pd.DataFrame":
        """Return a row a final metric of a run on an evaluation; `nan` and infinities are values."""
        return self._frame(study, RESULTS, lambda _, found, run: _result_rows(found, run))

    def curves(self, study: str | None = None) -> "pd.DataFrame":
        """Return a row a point of a run's curves."""
        return self._frame(study, CURVES, lambda store, _, run: _curve_rows(store, run))

    def _frame(
        self,
        study: str | None,
        columns: Mapping[str, str],
        rows: "Callable[[Store, Snapshot, _Run], Iterable[dict[str, Any]]]",
    ) -> "pd.DataFrame":
        with open_results(self.paths) as store:
            found = snapshot(store)
            table = [row for run in _runs(found, study) for row in rows(store, found, run)]
        return _typed(table, columns)


def load(path: str | Path | Sequence[str | Path] | None = None) -> Results:
    """Return what is stored at a path: a database, a published file (*.jsonl), a folder of these, or several of them.

    By default $HARNESS_DB, or results/harness.db in the current folder. Raises HarnessError where there is nothing.
    """
    given = [default_db()] if path is None else [path] if isinstance(path, str | Path) else path
    results = Results(tuple(Path(each).expanduser() for each in given))
    open_results(results.paths).close()
    return results


def _runs(found: "Snapshot", study: str | None) -> list[_Run]:
    """Return the accepted runs by study, trial and seed; one in several studies by its newest, if none is named."""
    names = {place.study for place in found.study_trials}
    if study is not None and study not in names:
        raise HarnessError(f"no study '{study}' is stored{did_you_mean(study, names)}")
    places = {place.trial_key: place for place in found.study_trials if study in {None, place.study}}
    runs = [_Run(places[a.trial_key], a) for a in found.attempts if a.accepted and a.trial_key in places]
    return sorted(runs, key=lambda run: (run.place.study, run.place.position, run.place.trial_key, run.attempt.seed))


def _run_row(found: "Snapshot", run: _Run) -> dict[str, Any]:
    attempt, trial = run.attempt, found.trials[run.attempt.trial_key]
    begun, ended = (datetime.fromisoformat(time) for time in (attempt.started, str(attempt.ended)))
    return {
        **run.columns,
        "state": attempt.state,
        "key": trial.key,
        "task": trial.config["task"]["kind"],
        "model": trial.config.get("model", {}).get("kind"),
        "protocol": run.place.protocol_name,
        "device": attempt.environment.get("device", attempt.device),
        "threads": attempt.threads,
        "started": begun,
        "ended": ended,
        "seconds": (ended - begun).total_seconds(),
        "resumed": attempt.resumed_from is not None,
        "code": attempt.code_digest,
        "config": trial.config,
        **{f"arguments.{name}": value for name, value in trial.config.get("arguments", {}).items()},
        **trial.costs,
    }


def _result_rows(found: "Snapshot", run: _Run) -> Iterable[dict[str, Any]]:
    """Yield a run's metrics, and those of later evaluations of its weights."""
    later = [a for a in found.attempts if a.kind == "evaluate" and a.weights_from == run.attempt.uid]
    values = {place: value for attempt in (*later, run.attempt) for place, value in attempt.results.items()}
    for (key, metric), value in sorted(values.items()):
        evaluation = found.evaluations[key]
        yield {
            **run.columns,
            "dataset": evaluation.dataset,
            "split": evaluation.split,
            "condition": _condition(evaluation.condition),
            "metric": metric,
            "value": value,
        }


def _condition(condition: Mapping[str, Any]) -> str:
    """Return "clean", or a condition's kind with its options."""
    return " ".join([str(condition["kind"]), *(f"{k}={json.dumps(v)}" for k, v in condition.items() if k != "kind")])


def _curve_rows(store: "Store", run: _Run) -> Iterable[dict[str, Any]]:
    for point in curve(store, run.attempt.uid):
        yield {
            **run.columns,
            "split": point.split,
            "metric": point.name,
            "step": point.step,
            "value": unflagged(point.value, point.flag),
        }


def _typed(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> "pd.DataFrame":
    """Return rows as a frame: the columns with their types, then the others that any row has."""
    import pandas as pd

    more = dict.fromkeys(name for row in rows for name in row if name not in columns)
    frame = pd.DataFrame(list(rows), columns=[*columns, *more])
    return frame.astype(dict(columns))
