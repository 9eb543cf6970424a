"""The driver: the one process that plans, hands out attempts and writes what they bring into the store."""

import logging
import signal
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from harness.attempt.messages import REQUEST_FILE, STOP_FILE, AttemptRequest, Execution, Kind, read_progress
from harness.base.clock import now
from harness.base.errors import environment_failure, in_a_line
from harness.base.files import atomic_write
from harness.execution.executors import Ended, Executor, make_executor
from harness.execution.intake import take_in, with_trace
from harness.execution.interruptions import interruptions
from harness.execution.libraries import libraries_of
from harness.execution.options import FAILED, Display, Options, Summary
from harness.execution.plan import Plan, PlannedRun, plan
from harness.execution.recover import offer_recovery, recover
from harness.execution.register import check_runnable, register, stored
from harness.execution.repository import repository_of
from harness.execution.resuming import resumable, say_what_was_otherwise, with_digest_of_weights
from harness.store.connection import GaveUpWaitingError, Store, open_store
from harness.store.errors import DatabaseError
from harness.store.lock import driver_lock
from harness.store.queries import snapshot
from harness.store.writer import start_attempt
from harness.study.study import Study
from harness.trial.resolve import Trial

_log = logging.getLogger(__name__)
_POLL_S = 0.25
PATIENCE_S = 60.0
"""After a SIGTERM, how long what runs has to reach a checkpoint before it is ended."""
_UNSHOWN = suppress(OSError)
"""Around what a display is told: a log on a full disk, or a pipe that nobody reads, stops nothing that runs."""
_EDITED = "was edited since this was planned"  # in what an attempt says whose plug-in or function is another by now


def run_grid(studies: Sequence[Study], options: Options, display: Display) -> Summary:
    """Run what is left of studies, and return how it went.

    Raises HarnessError, before anything runs, where data are missing, and where another driver is at work.
    """
    if not options.db.exists():  # nothing is made for what cannot run
        before = plan(studies, stored(options.db), options.artifacts, options.retry)
        check_runnable([run.trial for run in before.of("left")], options.data_root, options.device)
    with driver_lock(options.db), open_store(options.db) as store:
        recover(store, options.artifacts)
        found = snapshot(store)
        planned = plan(studies, found, options.artifacts, options.retry)
        offer_recovery(planned, found, options)
        check_runnable([run.trial for run in planned.of("left")], options.data_root, options.device)
        jobs = [make_job(run, studies, options) for run in planned.of("left")[: options.limit]]
        summary = Summary(planned)
        if not jobs:
            register(store, studies)
        else:
            threads = max(job.request.execution.threads for job in jobs)
            libraries = libraries_of((job.request.config, job.request.plugin_paths) for job in jobs)
            with make_executor(options.executor, min(options.jobs, len(jobs)), threads, libraries) as executor:
                register(store, studies)  # counts costs while the executor gets ready
                _Session(Listed(jobs), store, executor, options, display, summary).run()
            summary.plan = plan(studies, snapshot(store), options.artifacts)
    return summary


@dataclass(frozen=True)
class Job:
    """An attempt to be made."""

    request: AttemptRequest
    exclusive: bool = False
    supersedes: str | None = None
    weights_from: str | None = None
    or_from: tuple[str, ...] = ()  # attempts to resume from instead, where the checkpoint of the first is damaged


class Feed(Protocol):
    """Where a session's attempts come from while others of it run."""

    @property
    def expected(self) -> int:
        """How many attempts there will be, as far as is known."""

    @property
    def exhausted(self) -> bool:
        """Whether all attempts have been taken, as far as is known."""

    def take(self) -> Job | None:
        """Return the next attempt to make; None where there is none now and, while nothing runs, where all is over."""

    def reached(self, job: Job, progress: Mapping[str, Any]) -> bool:
        """Look at how far an attempt is; return whether to end it at a checkpoint, as pruned."""

    def ended(self, job: Job, state: str) -> None:
        """Take note of how an attempt ended, which stands in the store by now."""


@dataclass
class Listed:
    """A feed of attempts that are known beforehand; `before` were shown by an earlier session of the same call."""

    jobs: Sequence[Job]
    before: int = 0
    taken: int = 0

    @property
    def expected(self) -> int:
        """How many attempts there will have been."""
        return self.before + len(self.jobs)

    @property
    def exhausted(self) -> bool:
        """Whether each was taken."""
        return self.taken >= len(self.jobs)

    def take(self) -> Job | None:
        """Return the next attempt."""
        self.taken += 1
        return self.jobs[self.taken - 1] if self.taken <= len(self.jobs) else None

    def reached(self, job: Job, progress: Mapping[str, Any]) -> bool:  # noqa: ARG002 - part of a feed
        """Prune nothing."""
        return False

    def ended(self, job: Job, state: str) -> None:
        """Take no note."""


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
    """Return the request of a new attempt at a run. `more` are the options of its kind."""
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
            jobs=options.jobs,
            checkpoint_every_s=study.execution.checkpoint_every_s,
        ),
        folder=str(options.artifacts / uid),
        data_root=str(options.data_root.resolve()),
        label=label,
        plugin_paths=study.plugin_folders,
        files=trial.files,
        options={**({"metrics": dict(trial.directions)} if trial.is_function else {}), **(more or {})},
        **fields,
    )


def make_job(run: PlannedRun, studies: Sequence[Study], options: Options) -> Job:
    """Return the attempt that a planned run of one of `studies` asks for."""
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
    return Job(request, supersedes=run.supersedes, weights_from=run.weights_from, or_from=run.or_from)


def run_feed(feed: Feed, store: Store, executor: Executor, options: Options, display: Display) -> Summary:
    """Make the attempts that a feed gives while they run, and take what they bring into the store."""
    summary = Summary(Plan(()))
    _Session(feed, store, executor, options, display, summary).run()
    return summary


@dataclass
class _Session:
    """The attempts of one call, while they run."""

    feed: Feed
    store: Store
    executor: Executor
    options: Options
    display: Display
    summary: Summary
    running: dict[Path, Job] = field(default_factory=dict)
    pruned: set[Path] = field(default_factory=set)
    stopping: bool = False
    heeded: float | None = None  # when Ctrl-C was acted upon, by the clock that only goes forward
    cut_short: bool = False  # whether an attempt ended before its end
    obstacle: OSError | None = None  # why no further attempt can be started on this machine

    def run(self) -> None:
        """Hand out all jobs.

        After Ctrl-C, a failure with --fail-fast, or an edit of the code that runs, end those that run at a checkpoint.
        After a failure of the disk those that run go on, and no other begins.
        Raises OSError if an attempt cannot be started (a full disk, no more processes), when those that run have ended.
        """
        with _UNSHOWN:
            self.display.total(self.feed.expected)
        with interruptions() as interrupted:

            def while_locked() -> None:
                if self._heed(interrupted):
                    raise GaveUpWaitingError("the store is still locked: the next call takes in what ended meanwhile")

            self.store = self.store.asking(while_locked)
            try:
                self._run(interrupted)
            except GaveUpWaitingError as error:  # the results are in the attempts' folders: the next call takes them in
                _log.warning("%s", error)
                self.executor.kill()
                self.cut_short = True
            except DatabaseError:  # a full disk, say: what runs keeps its checkpoint, and the next call its result
                self._stop()
                self._let_end(interrupted)
                raise
            finished = self.feed.exhausted and not (self.cut_short or self.running)
            self.summary.interrupted = bool(interrupted) and not finished
            self.summary.stopped_late = bool(interrupted) and finished
        if self.obstacle is not None:
            raise self.obstacle

    def _run(self, interrupted: Sequence[int]) -> None:
        self._fill(interrupted)
        while self.running:
            if self._heed(interrupted):
                self.executor.kill()
            ended = self.executor.wait(_POLL_S)
            self._show_progress()  # also of those that ended between two looks, so that no last epoch is skipped
            for attempt in ended:
                self._take_in(attempt)
            self._fill(interrupted)

    def _let_end(self, interrupted: Sequence[int]) -> None:
        """Wait until what was asked to stop has ended, without the store."""
        while self.running:
            if self._heed(interrupted):
                self.executor.kill()
            for attempt in self.executor.wait(_POLL_S):
                self.running.pop(attempt.folder, None)

    def _heed(self, interrupted: Sequence[int]) -> bool:
        """End what runs at a checkpoint after Ctrl-C; return whether to end it at once instead.

        So it is after a second one, and if what runs has not reached a checkpoint some time after a SIGTERM: whoever
        sends that (a cluster, a shutdown) waits no longer, and a function may never look whether it is to stop.
        """
        if interrupted and self.heeded is None:
            self.heeded = time.monotonic()
            self._say_what_is_waited_for(interrupted[0])
            self._stop()
        return len(interrupted) > 1 or self._was_patient(interrupted)

    def _was_patient(self, interrupted: Sequence[int]) -> bool:
        late = self.heeded is not None and time.monotonic() - self.heeded > PATIENCE_S
        return late and signal.SIGTERM in interrupted

    def _say_what_is_waited_for(self, number: int) -> None:
        """Say at once what a stop waits for, and how not to wait for it."""
        labels = [job.request.label for job in self.running.values()]
        if not labels:
            return
        asked = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        runs = labels[0] if len(labels) == 1 else f"{len(labels)} runs ({labels[0]}, …)"
        how_long = f", {PATIENCE_S:.0f} s at most" if number == signal.SIGTERM else ""
        said = "%s: waiting for %s to reach a checkpoint or end%s; Ctrl-C again stops at once, keeping checkpoints"
        _log.warning(said, asked, runs, how_long)

    def _fill(self, interrupted: Sequence[int]) -> None:
        """Begin attempts while there is room for them."""
        while len(self.running) < self.executor.slots:
            if self.stopping or self.obstacle or self.summary.blocked or interrupted:
                return
            job = self.feed.take()
            if job is None:
                return
            try:
                self._start(job)
            except OSError as error:
                if not environment_failure(error):
                    self.obstacle = error
                    return
                said = "%s cannot begin (%s): nothing else begins, and what runs ends at a checkpoint"
                _log.warning(said, job.request.label, error)
                self.summary.hinder(in_a_line(error), blocks=True)
                self._stop()

    def _start(self, job: Job) -> None:
        request = with_digest_of_weights(self._placed(job.request), self.store, job.weights_from)
        request = resumable(request, job.or_from)
        repository = repository_of(request.plugin_paths)
        request = replace(request, repository=repository.facts if repository else {})
        job = replace(job, request=request)
        folder = Path(request.folder)
        atomic_write(folder / REQUEST_FILE, request.to_json())
        start_attempt(
            self.store,
            request,
            exclusive=job.exclusive,
            started=now(),
            supersedes=job.supersedes,
            weights_from=job.weights_from,
            source=repository.diff if repository else None,
        )
        with _UNSHOWN:
            self.display.started(request.label, resumed=request.resume_from is not None)
        self.running[folder] = job  # only with an executor that ends it: what runs is waited for
        try:
            self.executor.start(folder, self.options.timeout_s)
        except OSError as error:
            self.obstacle = error
            self._take_in(Ended(folder, "lost", f"no process could be started for it: {in_a_line(error)}"))

    def _placed(self, request: AttemptRequest) -> AttemptRequest:
        """Return the request on the GPU that has the fewest attempts, where there are several to share them out."""
        if not self.options.devices:
            return request
        busy = [job.request.execution.device for job in self.running.values()]
        device = min(self.options.devices, key=busy.count)
        return replace(request, execution=replace(request.execution, device=device))

    def _take_in(self, ended: Ended) -> None:
        """Write what an attempt brought, or how its worker died, into the store."""
        job = self.running.pop(ended.folder)
        request = job.request
        taken = take_in(
            self.store,
            request.uid,
            ended.folder,
            without=(ended.state or "lost", ended.error or "it left no result"),
            kind=ended.kind,
            interrupted="pruned" if ended.folder in self.pruned else "interrupted",
        )
        state, result = taken.state, taken.result
        if result is not None:
            say_what_was_otherwise(request, result)
        self.summary.count(state)
        hindered = state == "interrupted" and taken.error is not None
        if hindered:
            own = result is not None and result.error_kind == PermissionError.__name__  # of this run, not of the disk
            self.summary.hinder(str(taken.error), blocks=not own)
        with _UNSHOWN:
            self.display.ended(request.label, state, result, with_trace(taken.error, ended.folder))
        self.feed.ended(job, state)
        by_the_stop = self.heeded is not None and state in FAILED  # maybe
        self.cut_short |= by_the_stop or state in {"interrupted", "lost"}
        if state == "failed" and _EDITED in str(taken.error):  # all that is left would end so
            self.summary.edited = True
        if self.summary.edited or ((hindered or state in FAILED) and self.options.fail_fast):
            self._stop()

    def _stop(self) -> None:
        self.stopping = True
        for folder in self.running:
            _ask_to_stop(folder)

    def _show_progress(self) -> None:
        for folder, job in self.running.items():
            state = read_progress(folder)
            if state is None:
                continue
            with _UNSHOWN:
                self.display.progress(job.request.label, state)
            if folder not in self.pruned and self.feed.reached(job, state):
                self.pruned.add(folder)
                _ask_to_stop(folder)


def _ask_to_stop(folder: Path) -> None:
    """Ask an attempt to end at a checkpoint, also one whose folder somebody has removed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STOP_FILE).touch()
    except OSError as error:
        _log.warning("attempt %s cannot be asked to stop (%s); Ctrl-C once more ends it", folder.name, error.strerror)
