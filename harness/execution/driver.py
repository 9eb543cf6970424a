"""The driver: the process that plans, hands out attempts and writes what they bring into the store.

Several may share the runs of a store. An attempt is on lease to the driver that began it, written in the transaction by
which it begins; what a driver leaves that stops or dies, another takes in, and makes the rest.
"""

import logging
import shutil
import signal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from harness.attempt.messages import (
    ENDED_WELL,
    REQUEST_FILE,
    STOP_FILE,
    AttemptRequest,
    AttemptResult,
    State,
    read_progress,
)
from harness.base.clock import now
from harness.base.errors import environment_failure, in_a_line
from harness.base.files import atomic_write
from harness.execution.drivers import Seat, is_meant, seat
from harness.execution.executors import Ended, Executor, end_orphans
from harness.execution.executors.several import Several
from harness.execution.feeds import Feed, Run, Shared
from harness.execution.intake import offer_recovery, recover, take_in, with_trace
from harness.execution.interruptions import interruptions
from harness.execution.jobs import Job, make_job, resumable, with_digest_of_weights
from harness.execution.libraries import libraries_of
from harness.execution.options import FAILED, Display, Options, Summary
from harness.execution.plan import HELD, HELD_FOR_FAILING, HELD_STATES, Plan, plan
from harness.execution.register import add_studies, check_runnable, slow_precision, stored
from harness.execution.repository import repository_of
from harness.store.access import GaveUpWaitingError
from harness.store.connection import Store, driver_lock, open_store
from harness.store.errors import DatabaseError
from harness.store.queries import attempts_since, last_attempt, snapshot
from harness.store.records import Snapshot
from harness.store.writer import start_attempt
from harness.study.study import Study

_log = logging.getLogger(__name__)
_POLL_S = 0.25
PATIENCE_S = 60.0
"""After a SIGTERM, how long what runs has to reach a checkpoint before it is ended."""
MOST_TRIES = 10
"""Attempts of one call at a run whose machine dies or is taken away, again and again."""
_UNSHOWN = suppress(OSError)
"""Around what a display is told: a log on a full disk, or a pipe that nobody reads, stops nothing that runs."""
_SETTLED = ENDED_WELL | HELD_STATES  # states of an attempt after which no other driver makes one at its run
_EDITED = "was edited since this was planned"  # in what an attempt says whose plug-in or function is another by now


def run_grid(studies: Sequence[Study], options: Options, display: Display) -> Summary:
    """Run what is left of studies, and return how it went.

    Other drivers of the store may be at work, and share the runs. Raises HarnessError, before anything runs, if data
    are missing, or if the store is being changed otherwise: by a merge, a search, a timing.
    """
    options.executors_of(studies)  # which refuses what there is not
    if not options.db.exists():  # nothing is made for what cannot run
        before = _plan(studies, stored(options.db), options)
        check_runnable([run.trial for run in before.of("left")], options.data_root, options.device)
    names = [study.name for study in studies]
    with driver_lock(options.db, shared=True), open_store(options.db) as store, seat(options.results, names) as own:
        end_orphans(options.results)
        recover(store, options.artifacts, own.others_live)
        summary = Summary(Plan(()))
        _run_what_is_left(studies, options, display, store, own, summary)
        while (rest := _for_the_next_look(studies, options, summary)) is not None:
            made = sum(summary.ended.values())
            _run_what_is_left(studies, rest, display, store, own, summary)
            if sum(summary.ended.values()) == made:
                break
    return summary


def _run_what_is_left(
    studies: Sequence[Study], options: Options, display: Display, store: Store, own: Seat, summary: Summary
) -> None:
    """Run what is left of studies by now, and count it in the summary."""
    last, found = last_attempt(store), snapshot(store)
    planned = _plan(studies, found, options)
    offer_recovery(planned, found, options)
    check_runnable([run.trial for run in planned.of("left")], options.data_root, options.device)
    jobs = [make_job(run, studies, options, last) for run in planned.of("left")]
    if not jobs:
        add_studies(store, studies, found)
        summary.plan = planned if _has_fixed_seeds(studies) else _plan(studies, snapshot(store), options, retry=())
        return
    if (slow := slow_precision([run.trial for run in planned.of("left")], options.device)) is not None:
        _log.warning("%s", slow)
    with _executor(studies, jobs, options) as executor:
        add_studies(store, studies)  # counts costs while the executor gets ready
        left = partial(_left_by_others, store, studies, options, own)
        again = partial(_asked_again, store, studies, options)
        feed = Shared(jobs, left, again, options.limit, before=sum(summary.ended.values()))
        _Session(feed, store, executor, options, display, summary, own).run()
    summary.plan = _plan(studies, snapshot(store), options, retry=())


def _has_fixed_seeds(studies: Sequence[Study]) -> bool:
    return all(study.until is None for study in studies)


def _for_the_next_look(studies: Sequence[Study], options: Options, summary: Summary) -> Options | None:
    """Return how to run on if claims need more seeds than a look has shown; None if nothing is left, or to be begun."""
    if _has_fixed_seeds(studies) or not summary.plan.of("left"):
        return None
    if summary.interrupted or summary.stopped_late or summary.edited or summary.blocked:
        return None
    if options.fail_fast and summary.failed:
        return None
    rest = None if options.limit is None else options.limit - sum(summary.ended.values())
    if rest is not None and rest <= 0:
        return None
    return replace(options, limit=rest, retry=options.retry - HELD_FOR_FAILING)


def _plan(studies: Sequence[Study], found: Snapshot, options: Options, retry: Collection[str] | None = None) -> Plan:
    """Return the plan of a call; `retry` instead of its own."""
    return plan(studies, found, options.artifacts, options.retry if retry is None else retry, options.only)


def _executor(studies: Sequence[Study], jobs: Sequence[Job], options: Options) -> Executor | Several:
    """Return what makes the jobs, and others of the studies later: several executors, if trials ask for their own."""
    by_word = options.executors_of(studies)

    def make(where: str) -> Executor:
        its, own = [job for job in jobs if job.where == where], by_word[where]
        threads = max((job.request.execution.threads for job in its), default=own.threads or 1)
        meant = [job.request for job in its or jobs]
        libraries = libraries_of(((r.config, r.plugin_paths) for r in meant), (r.execution for r in meant))
        most = len(its) or len(jobs)
        return own.make_executor(min(own.jobs, options.limit or most, most), threads, libraries)

    if len(by_word) == 1:
        return make(options.where)
    return Several({where: make(where) for where in dict.fromkeys(job.where for job in jobs)}, make)


def _left_by_others(
    store: Store, studies: Sequence[Study], options: Options, own: Seat, others: Mapping[Run, Job]
) -> Mapping[Run, Job | None]:
    """Return those of the runs that other drivers had which they have no longer: what there is to make, or None.

    What a driver has left that died is taken in first.
    """
    newest = {run: attempts_since(store, *run, job.planned_after)[-1:] for run, job in others.items()}
    ended = [run for run, made in newest.items() if not (made and made[0][2] and own.others_live(made[0][2]))]
    if all(made and made[0][1] in _SETTLED for run, made in newest.items() if run in ended):
        return dict.fromkeys(ended)
    end_orphans(options.results)
    recover(store, options.artifacts, own.others_live)
    last, found = last_attempt(store), snapshot(store)
    left = {(run.trial.key, run.seed): run for run in _plan(studies, found, options).of("left")}
    return {run: make_job(left[run], studies, options, last) if run in left else None for run in ended}


def _asked_again(
    store: Store, studies: Sequence[Study], options: Options, meant: Callable[[str], bool], without: Collection[Run]
) -> list[Job]:
    """Return attempts at the runs that are meant and not done, for whatever reason they are held."""
    last, found = last_attempt(store), snapshot(store)
    left = _plan(studies, found, options, HELD).of("left")
    runs = [run for run in left if meant(run.label) and (run.trial.key, run.seed) not in without]
    return [make_job(run, studies, options, last) for run in runs]


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
    executor: Executor | Several
    options: Options
    display: Display
    summary: Summary
    seat: Seat | None = None  # of a driver that shares its store with others
    running: dict[Path, Job] = field(default_factory=dict)
    pruned: set[Path] = field(default_factory=set)
    skipped: set[Path] = field(default_factory=set)  # attempts that end because their runs are left out in this call
    stopping: bool = False
    heeded: float | None = None  # when Ctrl-C was acted upon, by the clock that only goes forward
    cut_short: bool = False  # whether an attempt ended before its end
    obstacle: OSError | None = None  # why no further attempt can be started on this machine
    again: list[Job] = field(default_factory=list)  # attempts to follow those whose machine died or was taken away
    lost_again: int = 0  # lost attempts that others follow, which count among those that have ended
    said_total: int | None = None  # how many attempts there will be, as a person was told last

    def run(self) -> None:
        """Hand out all jobs.

        After Ctrl-C, a failure with --fail-fast, or an edit of the code that runs, end those that run at a checkpoint.
        After a failure of the disk those that run go on, and no other begins.
        Raises OSError if an attempt cannot be started (a full disk, no more processes), when those that run have ended.
        """
        self._say_total()
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
            finished = self.feed.exhausted and not (self.cut_short or self.running or self.again)
            self.summary.interrupted = bool(interrupted) and not finished
            self.summary.stopped_late = bool(interrupted) and finished
        if self.obstacle is not None:
            raise self.obstacle

    def _run(self, interrupted: list[int]) -> None:
        self._fill(interrupted)
        self._note()
        while self.running or self._waits(interrupted):
            if self._heed(interrupted):
                self.executor.kill()
            ended = self.executor.wait(_POLL_S)
            self._show_progress()  # also of those that ended between two looks, so that no last epoch is skipped
            for attempt in ended:
                self._take_in(attempt)
            self._fill(interrupted)
            if ended:
                self._note()

    def _waits(self, interrupted: list[int]) -> bool:
        """Return whether there may be something to make later, which others have now."""
        return isinstance(self.feed, Shared) and self.feed.waits and not self._closed(interrupted)

    def _closed(self, interrupted: list[int]) -> bool:
        """Return whether nothing else is to begin."""
        return bool(self.stopping or self.obstacle or self.summary.blocked or interrupted)

    def _let_end(self, interrupted: list[int]) -> None:
        """Wait until what was asked to stop has ended, without the store."""
        while self.running:
            if self._heed(interrupted):
                self.executor.kill()
            for attempt in self.executor.wait(_POLL_S):
                self.running.pop(attempt.folder, None)

    def _heed(self, interrupted: list[int]) -> bool:
        """End what runs at a checkpoint after Ctrl-C; return whether to end it at once instead.

        So it is after a second one, and if what runs has not reached a checkpoint some time after a SIGTERM: whoever
        sends that (a cluster, a shutdown) waits no longer, and a function may never look whether it is to stop.
        """
        if self.seat is not None:
            self._listen(self.seat, interrupted)
        if interrupted and self.heeded is None:
            self.heeded = time.monotonic()
            self._say_what_is_waited_for(interrupted[0])
            self._stop()
        return len(interrupted) > 1 or self._was_patient(interrupted)

    def _listen(self, own: Seat, interrupted: list[int]) -> None:
        """Show that this driver lives, and heed what other processes ask of it."""
        own.beat()
        interrupted += [signal.SIGINT] * (own.stops_asked - len(interrupted))
        for what, asked in own.asked():
            if isinstance(self.feed, Shared):
                meant = partial(is_meant, asked=asked)
                if what == "skip":
                    self._skip(self.feed, meant)
                else:
                    self.feed.retry(meant, {job.run for job in self.running.values()})
                self._note()

    def _skip(self, feed: Shared, meant: Callable[[str], bool]) -> None:
        """Leave out runs in this call; those that run end at a checkpoint."""
        for label in feed.skip(meant):
            _log.warning("%s: skipped in this call", label)
        for folder, job in self.running.items():
            if meant(job.request.label):
                self.skipped.add(folder)
                _ask_to_stop(folder)

    def _say_total(self) -> None:
        """Say how many attempts there will be, if that is not what was said last."""
        total = self.feed.expected + self.lost_again
        if total != self.said_total:
            self.said_total = total
            with _UNSHOWN:
                self.display.total(total)

    def _note(self) -> None:
        if isinstance(self.feed, Shared):  # whose runs other drivers make, or a person asks for again
            self._say_total()
        if self.seat is not None:
            running = [(job.request.uid, job.request.label) for job in self.running.values()]
            self.seat.note(self.feed.expected + self.summary.made_again, self.summary.ended, running)

    def _was_patient(self, interrupted: list[int]) -> bool:
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

    def _fill(self, interrupted: list[int]) -> None:
        """Begin attempts while there is room for them."""
        while len(self.running) < self.executor.slots:
            if self._closed(interrupted):
                return
            job = self._next()
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

    def _next(self) -> Job | None:
        """Return the next attempt for which its executor has room; those that follow a lost one come first."""
        for number, job in enumerate(self.again):
            if self._fits(job):
                return self.again.pop(number)
        return self.feed.take(self._fits) if isinstance(self.feed, Shared) else self.feed.take()

    def _fits(self, job: Job) -> bool:
        return not isinstance(self.executor, Several) or self.executor.has_room(job.where)

    def _start(self, job: Job) -> None:
        request = with_digest_of_weights(self._placed(job.request), self.store, job.weights_from)
        request = resumable(request, job.or_from)
        repository = repository_of(request.plugin_paths)
        request = replace(request, repository=repository.facts if repository else {})
        job = replace(job, request=request)
        folder = Path(request.folder)
        atomic_write(folder / REQUEST_FILE, request.to_json())
        if not self._write_start(job, repository.diff if repository else None):
            shutil.rmtree(folder, ignore_errors=True)
            return
        with _UNSHOWN:
            self.display.started(request.label, resumed=request.resume_from is not None)
        self.running[folder] = job  # only with an executor that ends it: what runs is waited for
        try:
            if isinstance(self.executor, Several):
                self.executor.start(folder, self.options.timeout_s, job.where)
            else:
                self.executor.start(folder, self.options.timeout_s)
        except OSError as error:
            self.obstacle = error
            self._take_in(Ended(folder, "lost", f"no process could be started for it: {in_a_line(error)}"))

    def _write_start(self, job: Job, source: str | None) -> bool:
        """Write an attempt as running; return False if another driver has begun one at its run."""
        with self.store.writing():
            if isinstance(self.feed, Shared) and attempts_since(self.store, *job.run, job.planned_after):
                self.feed.begun_by_another(job)
                return False
            start_attempt(
                self.store,
                job.request,
                exclusive=job.exclusive,
                started=now(),
                supersedes=job.supersedes,
                weights_from=job.weights_from,
                source=source,
                driver=None if self.seat is None else self.seat.uid,
            )
        return True

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
        if ended.again and state in {"interrupted", "lost"} and not self.stopping and job.tries < MOST_TRIES:
            self._make_again(job, state, result, taken.error)
            return
        if ended.folder in self.skipped and state == "interrupted" and taken.error is None:
            self.summary.count("skipped")
            with _UNSHOWN:
                self.display.ended(request.label, "skipped", result, None)
            return
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

    def _make_again(self, job: Job, state: State, result: AttemptResult | None, error: str | None) -> None:
        """Let another attempt follow one whose machine died or was taken away."""
        self.summary.made_again += 1
        self.lost_again += state == "lost"
        self.again.append(replace(job.again(), planned_after=last_attempt(self.store)))
        self._say_total()
        with _UNSHOWN:
            self.display.ended(job.request.label, state, result, error or "its machine was taken away")

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


def say_what_was_otherwise(request: AttemptRequest, result: AttemptResult) -> None:
    """Print the notes of an attempt, and whether it started afresh although it should have resumed."""
    for note in result.notes:
        _log.warning("%s: %s", request.label, note)
    if request.resume_from and result.resumed_from is None and not (result.error or result.notes):
        other = "other code, other library versions, other threads or another device"
        _log.warning("%s: the checkpoint is of %s: it started afresh", request.label, other)
