"""Whether this machine is fit: versions, devices, data, the store, and one trial made twice and compared bit by bit."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from harness import __version__
from harness.attempt.messages import AttemptResult
from harness.base.errors import HarnessError
from harness.base.extras import MissingPartError, how_to_install, is_installed, needs
from harness.data.locations import is_present
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


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    said: str
    well: bool = True


def facts(options: Options) -> list[Finding]:
    """Return versions, devices, data and the state of the store."""
    from harness.training.environment import device_name

    return [
        Finding("package", f"harness {__version__}"),
        *map(_package, _PACKAGES),
        *map(_of_an_extra, _OF_EXTRAS),
        *(Finding("device", f"{device}: {device_name(device)}") for device in ("cpu", *_gpus())),
        *(
            Finding("data", f"{name}: {'here' if is_present(name, options.data_root) else 'not here'}")
            for name in DATASETS
        ),
        _store(options.db),
    ]


def _gpus() -> Sequence[str]:
    return all_gpus("auto") if is_installed("torch") else ()


def repeated(options: Options) -> Finding:
    """Make one small trial on the embedded digits twice, in two processes, and compare all that they bring."""
    try:
        needs("torch", "sklearn")
    except MissingPartError as error:
        return Finding("determinism", f"not tried: {error}", well=False)
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
        return Finding("determinism", f"one trial twice on {where} differs in {', '.join(differing)}", well=False)
    return Finding("determinism", f"one trial twice on {where}: equal bits (weights, curve, metrics, each image)")


def _check(item: StudyTrial, study: Study, options: Options) -> AttemptResult:
    request = make_request(
        "check", item.trial, item.seeds[0], item.name, study, options, evaluations=item.trial.evaluations
    )
    result = make(request, timeout_s=600)
    if isinstance(result, str) or result.state != "done":
        raise HarnessError(f"the trial did not end well: {result if isinstance(result, str) else result.error}")
    return result


def _store(db: Path) -> Finding:
    if not db.exists():
        return Finding("store", f"{db}: none yet")
    try:
        with open_reader(db) as store:
            found = snapshot(store)
            broken = store.check()
    except HarnessError as error:
        return Finding("store", str(error), well=False)
    except DatabaseError as error:
        return Finding("store", f"{db}: damaged ({error})", well=False)
    accepted = sum(attempt.accepted for attempt in found.attempts)
    said = f"{db}: {len(found.trials)} trials, {accepted} accepted runs, {len(found.attempts)} attempts"
    return Finding("store", f"{said}; {broken or 'whole'}", well=broken is None)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _package(name: str) -> Finding:
    found = _version(name)
    return Finding("package", f"{name} {found or 'missing'}", found is not None)


def _of_an_extra(name: str) -> Finding:
    return Finding("package", f"{name} {_version(name) or f'not installed ({how_to_install(name)})'}")
