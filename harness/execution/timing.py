"""`timing` attempts: one at a time, alone on the device, for the trials that have none yet."""

import os
from collections.abc import Sequence
from dataclasses import replace

from harness.execution.driver import Job, make_request, run_jobs
from harness.execution.libraries import libraries_of
from harness.execution.local import LocalExecutor
from harness.execution.options import Display, Options, Summary
from harness.execution.plan import Plan
from harness.execution.recover import recover
from harness.execution.register import check_runnable, register
from harness.spec.code import attempt_digest
from harness.spec.study import Study, StudyTrial
from harness.store.connection import open_store
from harness.store.lock import driver_lock
from harness.store.queries import snapshot
from harness.store.records import Snapshot

_SETTINGS = ("deterministic", "memory_format", "kernels", "order", "compile", "capture")


def run_timing(
    studies: Sequence[Study], options: Options, display: Display, *, again: bool, measure: dict[str, float]
) -> Summary:
    """Time each trial of studies that was not timed on this device with today's code, or each one `again`.

    `measure` may set warm_up_steps, epochs and at_most_s.
    """
    check_runnable([item.trial for study in studies for item in study.chosen], options.data_root, options.device)
    with driver_lock(options.db), open_store(options.db) as store:
        recover(store, options.artifacts)
        register(store, studies)
        found = snapshot(store)
        jobs = {
            item.trial.key: Job(
                make_request(
                    "timing",
                    item.trial,
                    item.seeds[0],
                    f"{study.name}: {item.name}, timing",
                    study,
                    options,
                    more=measure,
                    evaluations=(),
                ),
                exclusive=True,
            )
            for study in studies
            for item in study.chosen
            if again or not _timed(item, study, options, found)
        }
        if not jobs:
            return Summary(Plan(()))
        threads = max(job.request.execution.threads for job in jobs.values())
        libraries = libraries_of((job.request.config, job.request.plugin_paths) for job in jobs.values())
        with LocalExecutor(1, threads, libraries) as executor:
            return run_jobs(list(jobs.values())[: options.limit], store, executor, options, display)


def composed(study: Study, kernels: str | None) -> Study:
    """Return a study with other kernels, plain torch's ("torch") in the order that the paper writes; None: as it is."""
    if kernels is None:
        return study
    order = "as_written" if kernels == "torch" else "auto"
    return replace(study, execution=study.execution.model_copy(update={"kernels": kernels, "order": order}))


def _timed(item: StudyTrial, study: Study, options: Options, found: Snapshot) -> bool:
    """Return whether a trial has a timing by today's code, with these threads, on this device."""
    digest = attempt_digest(item.trial.config, item.trial.data, "timing", options.device)
    timings = [
        timing
        for timing in found.timings(item.trial.key)
        if timing.code_digest == digest
        and timing.execution.get("device") == options.device
        and timing.threads == options.threads_for(study)
        and all(timing.execution.get(name) == getattr(study.execution, name) for name in _SETTINGS)
    ]
    if not timings:
        return False
    from harness.training.environment import device_name

    here = device_name(options.device)
    return any(timing.environment.get("device") == here for timing in timings)


def load_per_core() -> float | None:
    """Return how busy the machine was in the last minute, 1 being every core; None where it is not known."""
    return os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else None
