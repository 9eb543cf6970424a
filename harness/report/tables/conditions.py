"""The evaluation that a cell shows: its column's, under what its row adds to it, as the store has it.

A denoiser that is a run is named STUDY:TRIAL:SEED, as in a study. The store knows it by its trial's key, its seed and
the hash of its weights.
"""

from collections.abc import Mapping
from typing import Any

from harness.base.checks import FieldError, validate
from harness.base.errors import did_you_mean
from harness.report.tables.table import Column, Evaluated, RowEntry
from harness.store.records import Snapshot
from harness.trial.conditions import ATTACKS

_RUN = "run"


def evaluated(row: RowEntry, column: Column) -> Evaluated:
    """Return the evaluation that a cell shows."""
    on = column.evaluation
    if row.condition:
        on = on.model_copy(update={"condition": {**on.condition, **row.condition}})
    return behind(row.denoiser, on)


def behind(denoiser: Mapping[str, Any] | None, on: Evaluated) -> Evaluated:
    """Return an evaluation with a denoiser before the classifier, its condition as the store has it.

    Without a denoiser no attack knows one: what is meant is the attack on the classifier alone. Raises FieldError for a
    condition that no evaluation can have.
    """
    if denoiser is None and not on.condition.keys() & {"denoiser", "knowledge"}:
        return on
    condition = on.condition if denoiser is None else {**on.condition, "denoiser": denoiser}
    return on.model_copy(update={"condition": _canonical(condition)})


def named_conditions(snapshot: Snapshot, condition: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the stored conditions that one means: itself, or those with the trained network that it names."""
    denoiser = condition.get("denoiser")
    if not isinstance(denoiser, Mapping) or _RUN not in denoiser:
        return [condition]
    study, rest = denoiser[_RUN].split(":", 1)
    name, seed = rest.rsplit(":", 1)
    trials = {
        place.trial_key
        for place in snapshot.study_trials
        if (place.study, place.name) == (study, name) and place.overrides is None
    }
    others = {key: value for key, value in denoiser.items() if key != _RUN}
    stored = [record.condition for record in snapshot.evaluations.values()]
    return [one for one in stored if _is(one, {**condition, "denoiser": others}, trials, int(seed))]


def _is(stored: Mapping[str, Any], wanted: Mapping[str, Any], trials: set[str], seed: int) -> bool:
    """Return whether a stored condition is the wanted one with a run of these trials at this seed as its denoiser."""
    denoiser = stored.get("denoiser")
    if not isinstance(denoiser, Mapping) or denoiser.get("trial") not in trials or denoiser.get("seed") != seed:
        return False
    shown = {key: value for key, value in denoiser.items() if key not in {"trial", "seed", "weights"}}
    return {**stored, "denoiser": shown} == wanted


def _canonical(written: Mapping[str, Any]) -> dict[str, Any]:
    """Return an attack's condition as its evaluation has it, but for the run that it names."""
    options = dict(written)
    kind = options.pop("kind", "clean")
    if kind not in ATTACKS:
        raise FieldError(("denoiser",), f"'{kind}' has no denoiser: only attacks, noise and clean images have one")
    denoiser = options.get("denoiser")
    named = denoiser if isinstance(denoiser, Mapping) else {}
    run = named.get(_RUN)
    if run is not None:
        if not isinstance(run, str) or run.count(":") < 2 or not run.rsplit(":", 1)[1].isdecimal():
            raise FieldError(("denoiser",), f"'run' must be STUDY:TRIAL:SEED, not {run!r}")
        options["denoiser"] = {"kind": _RUN, **{key: value for key, value in named.items() if key != _RUN}}
    for key in options:
        if key not in ATTACKS[kind].model_fields:
            near = did_you_mean(key, ATTACKS[kind].model_fields)
            raise FieldError(("denoiser",), f"'{kind}' has no option '{key}'{near}")
    found = validate(ATTACKS[kind], options).canonical()
    return found if run is None else {**found, "denoiser": {**found["denoiser"], _RUN: run}}
