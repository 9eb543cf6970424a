"""Whether this machine is fit: versions, devices, data, disks, memory, clock and store, and one trial twice per device.

The trial is compared bit by bit. What is not well comes with what to do.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from harness import __version__
from harness.attempt.messages import AttemptResult
from harness.base.errors import HarnessError
from harness.base.extras import MissingPartError, how_to_install, is_installed, needs
from harness.base.locks import hold
from harness.base.machine import file_system, free_bytes, nearest_folder
from harness.data.locations import is_present
from harness.data.own.memory import free_bytes as free_memory
from harness.data.own.memory import in_units, memory_bytes
from harness.execution.device import all_gpus
from harness.execution.jobs import make_request
from harness.execution.options import Options
from harness.execution.rerun import differences, make
from harness.store.connection import open_reader
from harness.store.errors import DatabaseError
from harness.store.queries import snapshot
from harness.study.study import ExecutionOptions, Study, StudyTrial
from harness.trial.datasets import DATASETS
from harness.trial.resolve import resolve_trial

_PACKAGES = ("numpy", "scipy", "pydantic", "sqlite-utils")
_OF_EXTRAS = ("torch", "torchvision", "ptflops", "numba", "optuna", "matplotlib")  # imported by these names
LITTLE_BYTES = 2**30
"""Less free disk or memory than this is not well: a worker with torch has half of it in use before it trains."""
CLOCK_OFF_S = 2.0
"""By how much two clocks may differ; file times are rounded to as much on some file systems."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, and, if it is not well, what to do."""

    what: str
    said: str
    well: bool = True
    todo: str | None = None


def facts(options: Options) -> list[Finding]:
    """Return versions, devices, data, disks, memory, the clock, and last the state of the store."""
    from harness.training.environment import device_name

    store, newest = _store(options.db)
    return [
        Finding("package", f"harness {__version__}"),
        *map(_package, _PACKAGES),
        *map(_of_an_extra, _OF_EXTRAS),
        *(Finding("device", f"{device}: {device_name(device)}") for device in ("cpu", *_gpus())),
        *(
            Finding("data", f"{name}: {'here' if is_present(name, options.data_root) else 'not here'}")
            for name in DATASETS
        ),
        _disk("results", options.results, "free some, or put the store elsewhere by --db"),
        _disk("data", options.data_root, "free some, or name another place by HARNESS_DATA"),
        _locks(options.results),
        _memory(),
        _clock(options.results, newest),
        store,
    ]


def devices_for(asked: str) -> tuple[str, ...]:
    """Return the devices that `--device` means here: for auto the CPU and every GPU.

    Raises HarnessError for another word or an absent GPU.
    """
    gpus = all_gpus(asked)
    return ("cpu", *gpus) if asked in {"auto", "cpu"} else gpus


def _gpus() -> Sequence[str]:
    return all_gpus("auto") if is_installed("torch") else ()


class SteadyClock:
    """The wall clock beside one that nobody sets, from when this is made."""

    def __init__(self) -> None:
        self._began = _ahead_s()

    def finding(self) -> Finding:
        """Return whether the wall clock was set meanwhile."""
        jump = _ahead_s() - self._began
        if abs(jump) <= CLOCK_OFF_S:
            return Finding("clock", "went evenly meanwhile")
        direction = "forwards" if jump > 0 else "backwards"
        return Finding(
            "clock",
            f"was set {abs(jump):.0f} s {direction} while this ran",
            well=False,
            todo="let one NTP service set it",
        )


def _ahead_s() -> float:
    return time.time() - time.monotonic()


def repeated(options: Options) -> Finding:
    """Make one small trial on the embedded digits twice, in two processes, and compare all that they bring."""
    try:
        needs("torch", "sklearn")
    except MissingPartError as error:
        return Finding("determinism", f"not tried: {error}", well=False, todo=how_to_install("torch"))
    trial = resolve_trial(
        task="classification",
        dataset="digits",
        model="mnist_cnn",
        compressors={"conv2": {"kind": "spatial", "stride": 4}},
        protocol={"kind": "digits-quick", "epochs": 1},
    )
    item = StudyTrial("doctor", 0, trial, (0,))
    study = Study("doctor", "", (item,), ExecutionOptions(), "", "", ())
    with tempfile.TemporaryDirectory(prefix="harness-doctor-") as folder:
        placed = Options(Path(folder) / "harness.db", options.data_root, options.device, threads=options.threads)
        results = [_check(item, study, placed) for _ in range(2)]
    differing = differences(*results)
    where = f"{results[0].environment.get('device')}, {placed.threads_for(study)} thread(s)"
    if differing:
        return Finding(
            "determinism",
            f"one trial twice on {where} differs in {', '.join(differing)}",
            well=False,
            todo="try --threads 1; if that differs too, suspect memory (memtest86+), overclocking or torch",
        )
    return Finding("determinism", f"one trial twice on {where}: equal bits (weights, curve, metrics, each image)")


def _check(item: StudyTrial, study: Study, options: Options) -> AttemptResult:
    request = make_request(
        "check", item.trial, item.seeds[0], item.name, study, options, evaluations=item.trial.evaluations
    )
    result = make(request, timeout_s=600)
    if isinstance(result, str) or result.state != "done":
        raise HarnessError(f"the trial did not end well: {result if isinstance(result, str) else result.error}")
    return result


def _disk(what: str, folder: Path, todo: str) -> Finding:
    """Say where a folder lies or will lie, of which kind its file system is, and how much is free there."""
    kind = file_system(folder)
    said = f"{what} at {folder}: {kind.kind}{', a network file system' if kind.network else ''}"
    try:
        free = free_bytes(folder)
    except OSError as error:
        return Finding("disk", f"{said}; {error.strerror or error}", well=False, todo=todo)
    return Finding("disk", f"{said}, {in_units(free)} free", *((True, None) if free >= LITTLE_BYTES else (False, todo)))


def _locks(folder: Path) -> Finding:
    """Say whether files can be written and locked where the results lie or will lie."""
    there = nearest_folder(folder)
    elsewhere = "put the store on a local file system by --db"
    try:
        with tempfile.TemporaryDirectory(prefix=".harness-doctor-", dir=there) as probe, hold(Path(probe) / "lock"):
            pass
    except HarnessError:
        return Finding("disk", f"{there}: its file system has no locks", well=False, todo=elsewhere)
    except OSError as error:
        return Finding("disk", f"{there} cannot be written to ({error.strerror or error})", well=False, todo=elsewhere)
    if file_system(there).network:
        return Finding("disk", f"{there}: locks hold on this host; the store has a rollback journal there, as it must")
    return Finding("disk", f"{there}: can be written to, with locks")


def _memory() -> Finding:
    has, free = memory_bytes(), min(free_memory(), memory_bytes())
    said = f"{in_units(free)} of {in_units(has)} free"
    if free >= LITTLE_BYTES:
        return Finding("memory", said)
    return Finding("memory", said, well=False, todo="end other programs, or give --jobs 1")


def _clock(folder: Path, newest: str) -> Finding:
    """Compare the clock with the times that files get where results lie, and with the newest time in the store."""
    there, before = nearest_folder(folder), time.time()
    todo = "let one NTP service set the clocks"
    try:
        with tempfile.NamedTemporaryFile(prefix=".harness-doctor-", dir=there) as file:
            written = Path(file.name).stat().st_mtime
    except OSError:  # `_locks` says so
        written = before
    off = written - before if written < before else max(0.0, written - time.time())
    if abs(off) > CLOCK_OFF_S:
        how = "ahead of" if off > 0 else "behind"
        return Finding("clock", f"files in {there} get times {abs(off):.0f} s {how} this clock", well=False, todo=todo)
    ahead = _seconds_until(newest)
    if ahead > CLOCK_OFF_S:
        said = (
            f"the store holds an attempt of {newest}, {ahead:.0f} s from now: this clock went backwards, or is behind"
        )
        return Finding("clock", said, well=False, todo=f"{todo}; attempts keep their order meanwhile")
    return Finding("clock", f"{datetime.now(UTC).isoformat(timespec='seconds')}, as files and stored times say")


def _seconds_until(stored: str) -> float:
    """Return how far a stored time lies ahead; 0 for what is none."""
    try:
        return (datetime.fromisoformat(stored) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return 0.0


def _store(db: Path) -> tuple[Finding, str]:
    """Return the state of the store, and the newest time in it; "" if it has none."""
    if not db.exists():
        return Finding("store", f"{db}: none yet"), ""
    try:
        with open_reader(db) as store:
            found = snapshot(store)
            broken, journal = store.check(), store.journal
    except HarnessError as error:
        return Finding("store", str(error), well=False, todo="name the store by --db"), ""
    except DatabaseError as error:
        return _damaged(f"{db}: damaged ({error})", db), ""
    accepted = sum(attempt.accepted for attempt in found.attempts)
    said = f"{db}: {len(found.trials)} trials, {accepted} accepted runs, {len(found.attempts)} attempts"
    newest = max((time for each in found.attempts for time in (each.started, each.ended) if time), default="")
    if broken is not None:
        return _damaged(f"{said}; {broken}", db), newest
    return Finding("store", f"{said}; whole; journal: {journal}"), newest


def _damaged(said: str, db: Path) -> Finding:
    verify = f"`harness results verify --from {db}` names what is damaged; take a copy back"
    return Finding(
        "store", said, well=False, todo=f"{verify}, or move it away and merge published results into a new one"
    )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _package(name: str) -> Finding:
    found = _version(name)
    todo = None if found else f"pip install {name}"
    return Finding("package", f"{name} {found or 'missing'}", found is not None, todo)


def _of_an_extra(name: str) -> Finding:
    return Finding("package", f"{name} {_version(name) or f'not installed ({how_to_install(name)})'}")
