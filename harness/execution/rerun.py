"""Stored runs repeated on this machine, as `check` attempts in a folder that is thrown away: are the bits the same?

Which runs is drawn by a seed, so that nobody picks them. A run is repeated as it was made: its configuration, seed,
threads, memory format and device. What cannot be made here (data that are not here, another package's code, no GPU) is
passed over, and said. If the bits differ, the difference is shown beside the spread over the trial's seeds.
"""

import math
import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from statistics import stdev
from typing import Any, Literal

from harness.attempt.data import DatasetDeclaration
from harness.attempt.messages import (
    REQUEST_FILE,
    AttemptRequest,
    AttemptResult,
    EvaluationSpec,
    Execution,
    read_result,
    unflagged,
)
from harness.base.errors import DamagedError, HarnessError, in_a_line, shortened
from harness.base.files import atomic_write
from harness.data.locations import require
from harness.execution.device import choose_device
from harness.execution.executors import make_executor
from harness.execution.jobs import make_request
from harness.execution.libraries import libraries_of
from harness.execution.options import Options
from harness.execution.repository import repository_of
from harness.store.circumstances import Pairs, changed, circumstances, flat, in_words, may_change_bits, of_attempt
from harness.store.connection import Store
from harness.store.diff import differing
from harness.store.find import metric_words
from harness.store.queries import artifacts, curve, installed, samples
from harness.store.records import AttemptRecord, Snapshot
from harness.study.study import ExecutionOptions, Study
from harness.trial.compressors import COMPRESSORS
from harness.trial.datasets import DATASETS
from harness.trial.models import MODELS
from harness.trial.resolve import Trial
from harness.trial.tasks import TASKS
from harness.trial.trial import is_of_function, is_trained

TOO_FAR = 4.0
"""Standard deviations over the seeds from which on a difference is a fault."""

ENOUGH_SEEDS = 3
"""With fewer seeds their standard deviation says too little: a difference is undecided."""

_NAMED = 3  # differences
_SHOWN = 40  # characters of each side

Verdict = Literal["ok", "undecided", "BAD"]


@dataclass(frozen=True)
class Drawn:
    """A run that is to be repeated, with all that it takes."""

    attempt: AttemptRecord
    label: str
    trial: Trial
    study: Study
    execution: Execution


@dataclass(frozen=True)
class Compared:
    """A metric as it is stored and as it came out here; `spread`: the standard deviation over so many seeds with it."""

    metric: str
    stored: float
    here: float
    spread: float | None
    seeds: int

    @property
    def verdict(self) -> Verdict:
        """Whether the difference is no larger than chance makes it; undecided if there are too few seeds to tell."""
        if repr(self.here) == repr(self.stored):  # nan is equal to nan
            return "ok"
        if not (math.isfinite(self.here) and math.isfinite(self.stored)):
            return "BAD"
        if self.seeds < ENOUGH_SEEDS or self.spread is None:
            return "undecided"
        return "ok" if abs(self.here - self.stored) <= TOO_FAR * self.spread else "BAD"


@dataclass(frozen=True)
class Repeated:
    """How a run came out here."""

    drawn: Drawn
    state: str
    error: str | None = None
    differing: tuple[str, ...] = ()  # of curve, metrics, images, files
    changed: Pairs = field(default_factory=dict)  # circumstances: code, device, versions; the most telling first
    beside: Pairs = field(default_factory=dict)  # what changed too, and can explain no difference
    metrics: tuple[Compared, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Whether it ended as it did, with the same bits, or others that are explained and lie within the spread."""
        if self.state == "interrupted":
            return "undecided"  # a full disk, a missing permission: nothing was compared
        if self.state != self.drawn.attempt.state:
            return "BAD"
        if not self.differing:
            return "ok"
        if not self.changed and self.drawn.execution.deterministic:
            return "BAD"  # nothing explains other bits
        found = {metric.verdict for metric in self.metrics}
        return "BAD" if "BAD" in found else "undecided" if "undecided" in found else "ok"


@dataclass(frozen=True)
class Draw:
    """The runs that were drawn, and those that were drawn but cannot be made here, with the reason."""

    runs: tuple[Drawn, ...]
    passed_over: Mapping[str, str]


def draw(
    found: Snapshot, count: int, seed: int, *, data_root: Path, device: str | None, studies: Sequence[Study] = ()
) -> Draw:
    """Draw `count` of the accepted runs by a seed; `device` None takes each run's own.

    `studies` give what a configuration alone does not tell: plug-ins, own data, own functions.
    """
    accepted = sorted((a for a in found.attempts if a.accepted), key=lambda a: (a.trial_key, a.seed))
    random.Random(seed).shuffle(accepted)  # noqa: S311 - a draw that anyone can repeat
    drawn: list[Drawn] = []
    passed_over: dict[str, str] = {}
    names = {place.trial_key: f"{place.study}: {place.name}" for place in found.study_trials}
    for attempt in accepted:
        if len(drawn) == count:
            break
        label = f"{names.get(attempt.trial_key, attempt.trial_key)}, seed {attempt.seed}"
        try:
            drawn.append(_drawn(found, attempt, label, data_root, device, studies))
        except HarnessError as error:
            passed_over[label] = str(error)
    return Draw(tuple(drawn), passed_over)


def repeat(store: Store, found: Snapshot, drawn: Drawn, data_root: Path) -> Repeated:
    """Make a drawn run once more and compare what it brings with what is stored."""
    with tempfile.TemporaryDirectory(prefix="harness-verify-") as folder:
        options = Options(Path(folder) / "harness.db", data_root, drawn.execution.device)
        result = _make(drawn, options)
    if isinstance(result, str):
        return Repeated(drawn, "lost", result)
    if result.state != drawn.attempt.state:
        return Repeated(drawn, result.state, result.error)
    here = circumstances(result.environment, result.execution, result.code_digest)
    pairs = changed(of_attempt(drawn.attempt), here)
    lists = installed(store, drawn.attempt.environment.get("installed")), result.environment.get("installed", {})
    explaining = {name for name, pair in pairs.items() if can_explain(name, pair, lists)}
    return Repeated(
        drawn,
        result.state,
        differing=_differing(store, drawn.attempt, result),
        changed={name: pair for name, pair in pairs.items() if name in explaining},
        beside={name: pair for name, pair in pairs.items() if name not in explaining},
        metrics=_metrics(found, drawn.attempt, result),
    )


def can_explain(name: str, pair: tuple[Any, Any], lists: Sequence[Mapping[str, str]]) -> bool:
    """Return whether a fact that changed can explain other bits. `lists`: what was installed on each side.

    That a library was imported on one side only does not: workers that are forked for several runs have loaded what
    some of them need. That it was installed on one side only does.
    """
    if None in pair and name.startswith("packages."):
        one, other = (versions.get(name.removeprefix("packages.")) for versions in lists)
        return all(lists) and one != other
    return may_change_bits(name) and not (None in pair and name.startswith(("blas.", "threads_in_use.")))


def _make(drawn: Drawn, options: Options) -> AttemptResult | str:
    """Return what the attempt brought, or in words why it brought nothing."""
    run = drawn.attempt
    request = make_request(
        "check", drawn.trial, run.seed, drawn.label, drawn.study, options, evaluations=drawn.trial.evaluations
    )
    repository = repository_of(drawn.study.plugin_folders)
    request = replace(request, execution=drawn.execution, repository=repository.facts if repository else {})
    return make(request)


def _drawn(
    found: Snapshot, run: AttemptRecord, label: str, data_root: Path, device: str | None, studies: Sequence[Study]
) -> Drawn:
    """Return all that a run takes. Raises HarnessError if it cannot be made here."""
    known = {item.trial.key: (item.trial, study) for study in studies for item in study.trials}
    evaluations = _evaluations(found, run)
    if run.trial_key in known:
        trial, study = known[run.trial_key]
    else:
        study = Study("", "", (), ExecutionOptions(), "", "", ())
        try:
            trial = _trial(found, run, evaluations)
        except HarnessError as error:
            if not studies:
                raise
            raise HarnessError(_unlike_all(found.trials[run.trial_key].config, studies)) from error
    for dataset in trial.data:
        require(dataset, data_root)
    recorded = {item.name: run.execution[item.name] for item in fields(Execution) if item.name in run.execution}
    execution = replace(Execution(**recorded), device=choose_device(device or run.device), jobs=1)
    return Drawn(run, label, replace(trial, evaluations=evaluations or trial.evaluations), study, execution)


def _trial(found: Snapshot, run: AttemptRecord, evaluations: Sequence[EvaluationSpec]) -> Trial:
    """Return the trial of a configuration in which all is ours. Raises HarnessError if something is not."""
    config = found.trials[run.trial_key].config
    if is_of_function(config):
        raise HarnessError("it is a function of somebody's: --study FILE says where it lies")
    if config["task"]["kind"] not in TASKS:
        raise HarnessError(f"'{config['task']['kind']}' is not a task of the harness: --study FILE says where it lies")
    if config.get("inputs"):
        raise HarnessError("it reads inputs: --study FILE says where they lie")
    foreign = [options["kind"] for options in config["compressors"].values() if options["kind"] not in COMPRESSORS]
    if config["model"]["kind"] not in MODELS:
        foreign.append(config["model"]["kind"])
    if foreign:
        raise HarnessError(f"'{foreign[0]}' is no part of the harness: --study FILE says where it lies")
    trained_on = [_dataset(config["data"]["train"])] if is_trained(config) else []
    found_data = [*trained_on, *(_dataset(evaluation.fingerprint) for evaluation in evaluations)]
    data = tuple({dataset.name: dataset for dataset in found_data}.values())
    return Trial(config=config, data=data, protocol=None, evaluations=tuple(evaluations), metrics=())


def _unlike_all(config: Mapping[str, Any], studies: Sequence[Study]) -> str:
    """Return in words that no trial of some studies has a configuration, and in what the one most like it differs."""
    what = _what_it_runs(config)
    alike = [(study, item) for study in studies for item in study.trials if _what_it_runs(item.trial.config) == what]
    if not alike:
        return f"no trial of --study FILE runs '{what}'"
    pairs, study, item = min(
        ((_edited(config, item.trial.config), study, item) for study, item in alike), key=lambda each: len(each[0])
    )
    shown = [f"{name} ({one} → {other})" for name, one, other in pairs[:_NAMED]]
    more = [f"{len(pairs) - _NAMED} more"] if len(pairs) > _NAMED else []
    words = f"it was made with other code or options than '{item.name}' of '{study.name}' has now"
    return f"{words}: {', '.join([*shown, *more])}"


def _what_it_runs(config: Mapping[str, Any]) -> str:
    """Return what a configuration runs: a person's function, a model, or whatever another task has."""
    task = config["task"]
    return str(task.get("target") or task.get("command") or config.get("model", {}).get("kind") or task["kind"])


def _edited(config: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return in what two configurations differ, in words."""
    leaves = ({name: value for name, value in flat(each).items() if value != {}} for each in (config, other))
    return [
        ("the code" if name.endswith(".code") and not name.startswith("arguments.") else name,
         shortened(in_words(old), _SHOWN), shortened(in_words(new), _SHOWN))
        for name, (old, new) in differing(*leaves).items()
    ]  # fmt: skip


def _dataset(fingerprint: str) -> DatasetDeclaration:
    for dataset in DATASETS.values():
        if fingerprint in {split.fingerprint for split in dataset.splits.values()}:
            return dataset
    raise HarnessError(f"its data ({fingerprint[:8]}…) are somebody's own: --study FILE says where they lie")


def _evaluations(found: Snapshot, run: AttemptRecord) -> tuple[EvaluationSpec, ...]:
    """Return what a run was evaluated on."""
    records = [found.evaluations[key] for key in dict.fromkeys(key for key, _ in run.results)]
    return tuple(
        EvaluationSpec(e.key, e.dataset, e.split, e.fingerprint, data.images, data.bytes, e.condition)
        for e in records
        for data in (found.datasets[e.fingerprint],)
    )


def _differing(store: Store, run: AttemptRecord, result: AttemptResult) -> tuple[str, ...]:
    """Return what has other bits than what is stored."""
    stored = {(s.evaluation, s.name): s for s in samples(store, run.uid)}
    here = {(s.evaluation, s.name): s for s in result.samples}
    points = sorted(result.curve, key=lambda p: (p.split, p.name, p.step))
    compared = {
        "curve": (list(curve(store, run.uid)), points),
        "metrics": (_texts(run.results), _texts(_results(result))),
        "images": (stored, {place: here[place] for place in here if place in stored}),
        "files": tuple(
            sorted((a.kind, a.sha256) for a in files) for files in (artifacts(store, run.uid), result.artifacts)
        ),
    }
    return tuple(what for what, (one, other) in compared.items() if one != other)


def _results(result: AttemptResult) -> dict[tuple[str, str], float]:
    return {(value.evaluation, value.name): unflagged(value.value, value.flag) for value in result.results}


def _texts(values: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], str]:
    """Return values so that nan is equal to nan."""
    return {place: repr(float(value)) for place, value in values.items()}


def _metrics(found: Snapshot, run: AttemptRecord, result: AttemptResult) -> tuple[Compared, ...]:
    here = _results(result)
    siblings = found.runs(run.trial_key).values()
    compared = []
    for place, stored in run.results.items():
        over_seeds = [v for each in siblings if math.isfinite(v := each.results.get(place, math.nan))]
        spread = stdev(over_seeds) if len(over_seeds) > 1 else None
        value = here.get(place, float("nan"))
        compared.append(Compared(metric_words(found, place), stored, value, spread, len(over_seeds)))
    return tuple(compared)


def make(request: AttemptRequest, timeout_s: float | None = None) -> AttemptResult | str:
    """Make an attempt, in a worker of this machine. Return what it brought, or in words why it brought nothing."""
    folder = Path(request.folder)
    atomic_write(folder / REQUEST_FILE, request.to_json())
    libraries = libraries_of([(request.config, request.plugin_paths)], [request.execution])
    with make_executor("local", 1, request.execution.threads, libraries) as executor:
        executor.start(folder, timeout_s)
        while not (ended := executor.wait(1.0)):
            pass
    try:
        return read_result(folder) or ended[0].error or "it left no result"
    except (DamagedError, OSError) as error:
        return in_a_line(error)


def differences(one: AttemptResult, other: AttemptResult) -> Sequence[str]:
    """Return in what two results differ, bit by bit."""
    compared = {
        "curve": (one.curve, other.curve),
        "metrics": (one.results, other.results),
        "images": (one.samples, other.samples),
        "files": tuple([(a.kind, a.sha256) for a in result.artifacts] for result in (one, other)),
    }
    return [name for name, (first, second) in compared.items() if first != second]
