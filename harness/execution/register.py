"""Before anything runs: what is stored, whether the data are there, and the studies put into the store."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harness.base.clock import now
from harness.base.collection import collection_put_off
from harness.base.errors import HarnessError
from harness.base.extras import needs
from harness.base.keys import KEY_SCHEME, canonical_json
from harness.base.processor import computes_bf16
from harness.data.locations import require
from harness.execution.repository import repository_of
from harness.store.artifacts import run_weights
from harness.store.claims import ClaimRow, freeze_claims
from harness.store.connection import Store, open_memory, open_reader
from harness.store.find import find_attempt
from harness.store.merge import open_results
from harness.store.queries import artifacts, snapshot
from harness.store.records import Snapshot, StudyTrialRecord, StudyTrialRow
from harness.store.writer import add_study, set_costs
from harness.study.study import Study
from harness.trial.conditions import awaited
from harness.trial.counts import counts_of
from harness.trial.models import MODELS
from harness.trial.named_runs import FoundRun
from harness.trial.resolve import Trial


def stored(db: Path) -> Snapshot:
    """Return what is stored at `db`, nothing if there is no file; makes nothing."""
    with open_reader(db) if db.exists() else open_memory() as store:
        return snapshot(store)


def check_runnable(trials: Sequence[Trial], data_root: Path, device: str) -> None:
    """Raise HarnessError if torch, data, or a run that some trial names, are not there.

    So it does if the device does not have a trial's precision.
    """
    if not all(trial.is_function for trial in trials):
        needs("torch")
    _check_named_runs(trials)
    for kind in dict.fromkeys(str(trial.config["model"]["kind"]) for trial in trials if not trial.is_function):
        needs(*(MODELS[kind].libraries if kind in MODELS else ()))
    if device == "cpu" and any(trial.precision == "tf32" for trial in trials):
        raise HarnessError("precision 'tf32' needs a GPU: on a CPU take fp32 or bf16 (protocol.precision)")
    for dataset in {declared.name: declared for trial in trials for declared in trial.data}.values():
        require(dataset, data_root)


def find_run(name: str, sources: Sequence[Path]) -> FoundRun:
    """Return the run that STUDY:TRIAL:SEED names in databases or published files, also of an older version.

    Raises HarnessError if there is none, or its weights are not beside them.
    """
    if not all(source.exists() for source in sources):
        raise HarnessError("there are no results yet")
    with open_results(sources, updated=True) as store:  # `run grid` reads its study before it updates the store
        run = find_attempt(snapshot(store), name)
        weights, file = run_weights(sources, run.uid, artifacts(store, run.uid))
    return FoundRun(run.trial_key, run.seed, weights, file)


def _check_named_runs(trials: Sequence[Trial]) -> None:
    """Raise HarnessError for the first run that an evaluation names and that is not done."""
    for evaluation in (evaluation for trial in trials for evaluation in trial.evaluations):
        name = awaited(evaluation.condition)
        if name is not None:
            raise HarnessError(
                f"the denoiser '{name}' is not trained, or its weights are not here: run its study first, e.g. "
                f"harness run grid ablations/{name.partition(':')[0]}.yml"
            )


def slow_precision(trials: Iterable[Trial], device: str) -> str | None:
    """Return what to say if a trial trains in a precision that the processor computes in another one."""
    if device != "cpu" or computes_bf16() or all(trial.precision != "bf16" for trial in trials):
        return None
    return "this processor has no bf16: it may take ten times as long as fp32 (--set protocol.precision=fp32)"


def add_studies(store: Store, studies: Sequence[Study], found: Snapshot | None = None) -> None:
    """Write the studies with their trials and what these cost into the store; one that is there as it is stays.

    `found` is what is stored, if that has just been read.
    """
    found = snapshot(store) if found is None else found
    with collection_put_off():
        _add_studies(store, studies, found)


def _add_studies(store: Store, studies: Sequence[Study], found: Snapshot) -> None:
    counted: dict[str, Mapping[str, float]] = {}  # networks that differ in their training alone are counted once
    for study in studies:
        rows = rows_of(study)
        if not _stands(study, rows, found):
            add_study(store, name=study.name, spec_yaml=study.spec_yaml, created=now(), trials=rows)
        _freeze_claims(store, study, found)
        todo = [item.trial for item in study.trials if _uncounted(item.trial, found)]
        for trial in todo:
            network = _network(trial, study)
            if network not in counted:
                counted[network] = trial_costs(trial, study.plugin_folders)
        with store.writing():  # one transaction: each waits for the disk
            for trial in todo:
                set_costs(store, trial.key, counted[_network(trial, study)])


def _freeze_claims(store: Store, study: Study, found: Snapshot) -> None:
    """Store what a study claims, before any run of this call; trials that `--set` makes are not a test of a claim."""
    if study.claims is None:
        return
    rows = [ClaimRow(claim.id, claim.content(), claim.entry.why) for claim in study.claims]
    there = [record for record in found.claims if record.study == study.name and record.stands]
    if [(row.name, row.content, row.why) for row in rows] != [(r.name, r.content, r.why) for r in there]:
        repository = repository_of(study.plugin_folders)
        freeze_claims(store, study.name, rows, found, now(), {} if repository is None else repository.facts)


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
            evaluations=tuple(evaluation.key for evaluation in item.trial.evaluations),
        )
        for item in study.trials
    ]


def _stands(study: Study, rows: Sequence[StudyTrialRow], found: Snapshot) -> bool:
    """Return whether the store has this study with the same text and just these trials in it now.

    Beside trials that `--set` made there may be the study's own, and the other way round.
    """
    kinds = {row.overrides is None for row in rows}
    places = {
        (*_said(p, p.trial_key), p.evaluations, found.trials[p.trial_key].metrics)
        for p in found.study_trials
        if p.study == study.name and p.spec_sha == study.spec_sha and p.stands and (p.overrides is None) in kinds
    }
    return places == {(*_said(row, row.key), tuple(sorted(row.evaluations or ())), row.metrics) for row in rows}


def _said(place: StudyTrialRecord | StudyTrialRow, key: str) -> tuple[object, ...]:
    return (place.name, place.position, key, place.seeds, place.protocol_name, place.overrides)


def trial_costs(trial: Trial, plugin_folders: Sequence[str]) -> Mapping[str, float]:
    """Return what a trial's network costs, by name; nothing of a function's.

    Networks whose declarations list their layers are not built, so that torch need not be imported: seconds.
    """
    if trial.is_function:
        return {}
    if (counted := counts_of(trial.config)) is not None:
        return counted
    from harness.cost.count import count_config

    return count_config(trial.config, plugin_folders)
