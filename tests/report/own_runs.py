"""Runs of a study, mostly of a person's own function, put into a store without a worker, in milliseconds."""

import uuid
from itertools import islice
from pathlib import Path

from harness.attempt.messages import AttemptRequest, AttemptResult, Execution, ResultValue, flagged
from harness.base.clock import now
from harness.execution.register import add_studies
from harness.store.connection import open_store
from harness.store.queries import snapshot
from harness.store.writer import finish_attempt, start_attempt
from harness.study.study import load_study


def store_runs(file, values, db="results/harness.db", limit=None, overrides=()):
    """Register a study, and store what is missing of its runs; `values(seed, **arguments)` gives a run's metrics, of a
    network `values(seed, model=kind)`.
    """
    study = load_study(file, overrides)
    Path(db).parent.mkdir(exist_ok=True)
    with open_store(db) as store:
        add_studies(store, [study])
        found = snapshot(store)
        missing = (
            (item.trial, seed) for item in study.trials for seed in item.seeds if seed not in found.runs(item.trial.key)
        )
        for trial, seed in islice(missing, limit):
            uid, started = uuid.uuid4().hex, now()
            request = AttemptRequest(
                uid, "train", trial.key, trial.config, seed, (), trial.evaluations, Execution(), "/a", "/d"
            )
            start_attempt(store, request, exclusive=False, started=started)
            arguments = trial.config["arguments"] if trial.is_function else {"model": trial.config["model"]["kind"]}
            metrics = values(seed, **arguments)
            results = tuple(
                ResultValue(spec.key, name, *flagged(float(v)))
                for spec in trial.evaluations
                for name, v in metrics.items()
            )
            execution = {"device": "cpu", "threads": 1}
            finish_attempt(store, AttemptResult(uid, "done", started, now(), execution, {}, "code", results=results))
