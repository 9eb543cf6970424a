"""`harness.load`: stored results as pandas frames. Every method reads again, so a running study can be watched.

    results = harness.load("results/harness.db")
    results.runs()      # a row per run
    results.results()   # a row per metric of a run
    results.curves()    # a row per point of a curve

The columns are those of docs/python.md, always all of them, even if nothing is stored.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.base.extras import parts_named
from harness.store.flat import COLUMNS, Rows, rows
from harness.store.merge import open_results
from harness.store.place import default_db
from harness.trial.overrides import protocol_in_words

if TYPE_CHECKING:
    import pandas as pd

_TYPES = {str: "str", int: "int64", float: "float64", bool: "bool"}
_DIFFERENT = {"started": "datetime64[us, UTC]", "ended": "datetime64[us, UTC]", "config": "object", "costs": None}


def _columns(what: Rows) -> dict[str, str]:
    """Return the columns of a table of plain rows with pandas' types; some are read into what they hold."""
    types = {name: _DIFFERENT.get(name, _TYPES[kind]) for name, kind in COLUMNS[what].items()}
    return {name: kind for name, kind in types.items() if kind is not None}


RUNS, RESULTS, CURVES = _columns("runs"), _columns("results"), _columns("curves")
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
        """Return a row a run: where it stands, how it ended, on what it ran, its configuration and its costs.

        Raises HarnessError for a study that is not stored.
        """
        return _typed([_run(row) for row in self._rows("runs", study)], RUNS)

    def results(self, study: str | None = None) -> "pd.DataFrame":
        """Return a row a final metric of a run on an evaluation; `nan` and infinities are values."""
        return _typed(self._rows("results", study), RESULTS)

    def curves(self, study: str | None = None) -> "pd.DataFrame":
        """Return a row a point of a run's curves."""
        return _typed(self._rows("curves", study), CURVES)

    def _rows(self, what: Rows, study: str | None) -> list[dict[str, Any]]:
        with open_results(self.paths) as store:
            found = rows(store, what, studies=None if study is None else [study], protocol_in_words=protocol_in_words)
            return [dict(zip(COLUMNS[what], row, strict=True)) for row in found]


def load(path: str | Path | Sequence[str | Path] | None = None) -> Results:
    """Return what is stored at a path: a database, a published file (*.jsonl), a folder of these, or several of them.

    By default $HARNESS_DB, or results/harness.db in the current folder. Raises HarnessError where there is nothing.
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
