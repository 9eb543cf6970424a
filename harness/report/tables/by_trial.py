"""Tables by trial: a cell shows the trial that the row names, with what the column adds (`where: {task.sigma: 20}`).

For networks of the paper that are a reconstruction: what a configuration would have to be is not known, so none is
compared, and no cell is exact. The studies need not exist: a table of which nothing is stored has the paper's values.
"""

from collections.abc import Mapping
from typing import Any

from harness.report.tables.match import Candidate
from harness.report.tables.table import Column, Row, Table
from harness.store.records import Snapshot

_MISSING = object()


def of_trial(snapshot: Snapshot, table: Table, row: Row, column: Column) -> list[Candidate]:
    """Return the stored trials that a cell names, the one planned last first and what `--set` made of it last.

    None where nothing is stored.

    A name may hold words of the column's `where` in braces: "Baseline, {task.sigma}".
    """
    name = row.trial.name
    for path, value in column.where.items():
        name = name.replace(f"{{{path}}}", str(value))
    planned = [r for r in snapshot.study_trials if (r.study, r.name) == (row.trial.study, name)]
    found = {}
    for record in reversed(planned):
        trial = snapshot.trials[record.trial_key]
        if all(_at(trial.config, path) in (value, _MISSING) for path, value in column.where.items()):
            found[trial.key] = Candidate(
                trial,
                frozenset({"other-recipe"}),
                record.protocol_name,
                table.expect.dataset,
                named=True,
                overrides=record.overrides,
            )
    return list(found.values())


def _at(config: Mapping[str, Any], path: str) -> object:
    """Return what stands at a dotted path; `_MISSING` where a configuration has no such setting: a classical method
    is not trained for a noise level, and differs by evaluation alone.
    """
    found: Any = config
    for word in path.split("."):
        if not isinstance(found, Mapping) or word not in found:
            return _MISSING
        found = found[word]
    return found
