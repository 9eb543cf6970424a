"""Before anything runs: what is stored, whether the data are there, and the studies put into the store."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.base.clock import now
from harness.base.errors import HarnessError
from harness.base.extras import needs
from harness.base.keys import KEY_SCHEME, canonical_json
from harness.data.locations import require
from harness.store.connection import Store, open_memory, open_reader
from harness.store.queries import snapshot
from harness.store.records import Snapshot, StudyTrialRow
from harness.store.writer import add_study, set_costs
from harness.study.study import Study
from harness.trial.resolve import Trial


def stored(db: Path) -> Snapshot:
    """Return what is stored at `db`, nothing where there is no file; makes nothing."""
    with open_reader(db) if db.exists() else open_memory() as store:
        return snapshot(store)


def check_runnable(trials: Sequence[Trial], data_root: Path, device: str) -> None:
    """Raise HarnessError if torch or data of some trial are not there, or the device does not have its precision."""
    if not all(trial.is_function for trial in trials):
        needs("torch")
    if device == "cpu" and any(trial.precision == "tf32" for trial in trials):
        raise HarnessError("precision 'tf32' needs a GPU: on a CPU take fp32 or bf16 (protocol.precision)")
    for dataset in {declared.name: declared for trial in trials for declared in trial.data}.values():
        require(dataset, data_root)


def register(store: Store, studies: Sequence[Study]) -> None:
    """Write the studies with their trials and what these cost into the store; one that stands there as it is stays."""
    found = snapshot(store)
    counted: dict[str, Mapping[str, float]] = {}  # networks that differ in their training alone are counted once
    for study in studies:
        rows = rows_of(study)
        if not _stands(study, rows, found):
            add_study(store, name=study.name, spec_yaml=study.spec_yaml, created=now(), trials=rows)
        todo = [item.trial for item in study.trials if _uncounted(item.trial, found)]
        for trial in todo:
            network = _network(trial, study)
            if network not in counted:
                counted[network] = trial_costs(trial, study.plugin_folders)
        with store.writing():  # one transaction: each waits for the disk
            for trial in todo:
                set_costs(store, trial.key, counted[_network(trial, study)])


def _uncounted(trial: Trial, found: Snapshot) -> bool:
    record = found.trials.get(trial.key)
    return not trial.is_function and (record is None or not record.costs)


def _network(trial: Trial, study: Study) -> str:
    """Return all that a network's costs follow from."""
    return canonical_json([trial.config["model"], trial.config["compressors"], list(study.plugin_folders)])


def rows_of(study: Study) -> list[StudyTrialRow]:
    """Return the trials of a study as the store takes them."""
    return [
        StudyTrialRow(
            name=item.name,
            position=item.position,
            key=item.trial.key,
            key_scheme=KEY_SCHEME,
            config=item.trial.config,
            seeds=item.seeds,
            protocol_name=item.trial.protocol_name,
            datasets=item.trial.datasets,
            metrics=item.trial.metrics,
            overrides=item.overrides,
        )
        for item in study.trials
    ]


def _stands(study: Study, rows: Sequence[StudyTrialRow], found: Snapshot) -> bool:
    """Return whether the store has this study with the same text and just these trials in it now.

    Beside trials that `--set` made there may be the study's own, and the other way round.
    """
    kinds = {row.overrides is None for row in rows}
    places = {
        (p.name, p.position, p.trial_key, p.seeds, p.protocol_name, p.overrides, found.trials[p.trial_key].metrics)
        for p in found.study_trials
        if p.study == study.name and p.spec_sha == study.spec_sha and p.stands and (p.overrides is None) in kinds
    }
    return places == {
        (row.name, row.position, row.key, row.seeds, row.protocol_name, row.overrides, row.metrics) for row in rows
    }


def trial_costs(trial: Trial, plugin_folders: Sequence[str]) -> Mapping[str, float]:
    """Return what a trial's network costs, by name; nothing of a function's. Imports torch, which takes a moment."""
    if trial.is_function:
        return {}
    from harness.cost.count import count_config

    return count_config(trial.config, plugin_folders)
