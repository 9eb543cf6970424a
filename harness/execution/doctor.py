"""Whether this machine is fit: versions, devices, data, the store, and one trial made twice and compared bit by bit."""

import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from harness.attempt.messages import AttemptResult
from harness.base.errors import HarnessError
from harness.data.locations import is_present
from harness.execution.driver import make_request
from harness.execution.options import Options
from harness.execution.repeat import differences, make
from harness.store.connection import open_reader
from harness.store.errors import DatabaseError
from harness.store.queries import snapshot
from harness.study.study import ExecutionOptions, Study, StudyTrial
from harness.trial.datasets import DATASETS
from harness.trial.resolve import resolve_trial

_PACKAGES = (
    "harness", "torch", "torchvision", "numpy", "scipy", "pydantic", "sqlite-utils", "ptflops", "optuna",
    "matplotlib",
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    said: str
    well: bool = True


def facts(options: Options) -> list[Finding]:
    """Return versions, devices, data and the state of the store."""
    import torch

    from harness.training.environment import device_name

    devices = [torch.device("cpu"), *(torch.device("cuda", n) for n in range(torch.cuda.device_count()))]
    return [
        *(Finding("package", f"{name} {_version(name)}", _version(name) != "missing") for name in _PACKAGES),
        *(Finding("device", f"{device}: {device_name(device)}") for device in devices),
        *(
            Finding("data", f"{name}: {'here' if is_present(name, options.data_root) else 'not here'}")
            for name in DATASETS
        ),
        _store(options.db),
    ]


def repeated(options: Options) -> Finding:
    """Make one small trial on the embedded digits twice, in two processes, and compare all that they bring."""
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


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
