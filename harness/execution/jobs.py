"""Attempts to be made: from a planned run to the request that a worker is given."""

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.attempt.checkpoints import UncheckedError, check_checkpoint, has_checkpoint
from harness.attempt.messages import WEIGHTS_FILE, AttemptRequest, Execution, Kind
from harness.base.errors import DamagedError
from harness.execution.options import Options
from harness.execution.plan import PlannedRun
from harness.store.connection import Store
from harness.store.queries import artifacts
from harness.study.study import Study
from harness.trial.command import FOLDER_OPTION
from harness.trial.resolve import Trial

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """An attempt to be made."""

    request: AttemptRequest
    exclusive: bool = False
    supersedes: str | None = None
    weights_from: str | None = None
    or_from: tuple[str, ...] = ()  # attempts to resume from instead, if the checkpoint of the first is damaged
    tries: int = 1  # attempts of this call at the run, with this one
    where: str = ""  # by which executor, as `Options.where`
    planned_after: int = 0  # the last attempt of the store by its id when this one was planned

    @property
    def run(self) -> tuple[str, int]:
        """The run: its trial's key and its seed."""
        return self.request.trial_key, self.request.seed

    def again(self) -> "Job":
        """Return the attempt to make after this one lost its machine; it resumes from a checkpoint if there is one."""
        last, folders = self.request, Path(self.request.folder).parent
        left = [last.uid] if has_checkpoint(Path(last.folder)) else []
        before = [last.resume_from] if last.resume_from is not None else []
        resumable_from = [*left, *before, *self.or_from]
        resume_from = next(iter(resumable_from), None)
        uid = uuid.uuid4().hex
        request = replace(
            last,
            uid=uid,
            folder=str(folders / uid),
            resume_from=resume_from,
            resume_folder=None if resume_from is None else str(folders / resume_from),
        )
        return replace(self, request=request, or_from=tuple(resumable_from[1:]), tries=self.tries + 1)


def make_request(
    kind: Kind,
    trial: Trial,
    seed: int,
    label: str,
    study: Study,
    options: Options,
    *,
    more: Mapping[str, Any] | None = None,
    **fields: Any,
) -> AttemptRequest:
    """Return the request of a new attempt at a run. `more` are the options of its kind.

    Raises HarnessError for processes that cannot be had.
    """
    options.check(study)
    uid = uuid.uuid4().hex
    return AttemptRequest(
        uid=uid,
        kind=kind,
        trial_key=trial.key,
        config=trial.config,
        seed=seed,
        datasets=trial.data,
        execution=Execution(
            device=options.device,
            threads=options.threads_for(study),
            memory_format=study.execution.memory_format,
            kernels=study.execution.kernels,
            order=study.execution.order,
            compile=study.execution.compile,
            capture=study.execution.capture,
            deterministic=study.execution.deterministic,
            jobs=1 if options.elsewhere else options.jobs,
            processes=1 if kind == "evaluate" else study.execution.processes,
            checkpoint_every_s=study.execution.checkpoint_every_s,
        ),
        folder=str(options.artifacts / uid),
        data_root=str(options.data_root.resolve()),
        label=label,
        plugin_paths=study.plugin_folders,
        files=trial.files,
        options={**(_of_a_function(trial, study) if trial.is_function else {}), **(more or {})},
        **fields,
    )


def _of_a_function(trial: Trial, study: Study) -> dict[str, Any]:
    """Return the options of a function's attempt: its metrics, and the folder in which a command runs."""
    folder = (
        {FOLDER_OPTION: study.plugin_folders[0]} if "command" in trial.config["task"] and study.plugin_folders else {}
    )
    return {"metrics": dict(trial.directions), **folder}


def make_job(run: PlannedRun, studies: Sequence[Study], options: Options, planned_after: int = 0) -> Job:
    """Return the attempt that a planned run of one of `studies` asks for."""
    options = options.of_trial(run.executor)
    study = next(study for study in studies if study.name == run.study)
    more = {"weights_folder": str(options.artifacts / run.weights_from)} if run.weights_from else {}
    resume_from = None if options.from_start else run.resume_from
    request = make_request(
        run.kind,
        run.trial,
        run.seed,
        run.label,
        study,
        options,
        more=more,
        evaluations=run.evaluations,
        resume_from=resume_from,
        resume_folder=str(options.artifacts / resume_from) if resume_from else None,
    )
    return Job(
        request,
        supersedes=run.supersedes,
        weights_from=run.weights_from,
        or_from=run.or_from,
        where=options.where,
        planned_after=planned_after,
    )


def resumable(request: AttemptRequest, or_from: Sequence[str]) -> AttemptRequest:
    """Return the request so that it resumes from a checkpoint that is as it was written, or from none.

    `or_from` are attempts with older checkpoints. What is damaged is said, and what is done instead.
    """
    if request.resume_from is None or request.resume_folder is None:
        return request
    folder = Path(request.resume_folder)
    try:
        check_checkpoint(folder)
    except DamagedError as error:
        wrong = f"cannot be trusted ({error})" if isinstance(error, UncheckedError) else f"is damaged ({error})"
    else:
        return request
    other = next(iter(or_from), None)
    instead = "starts afresh" if other is None else f"resumes from that of attempt {other[:8]}"
    _log.warning("%s: the checkpoint of attempt %s %s: it %s", request.label, request.resume_from[:8], wrong, instead)
    where = None if other is None else str(folder.with_name(other))
    return resumable(replace(request, resume_from=other, resume_folder=where), or_from[1:])


def with_digest_of_weights(request: AttemptRequest, store: Store, weights_from: str | None) -> AttemptRequest:
    """Return the request with the SHA-256 of the weights that it evaluates, if it does."""
    if weights_from is None:
        return request
    known = {file.path: file.sha256 for file in artifacts(store, weights_from)}
    return replace(request, options={**request.options, "weights_sha256": known.get(WEIGHTS_FILE)})
