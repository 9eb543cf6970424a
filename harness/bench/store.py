"""`harness bench store`: thousands of runs written, merged, planned and rendered, then looked at by whole commands.

By default 1,000 trials × 5 seeds × 200 points of a curve: 5,000 runs and 1,000,000 rows of metrics. The attempts are
made up; all that is measured is the store, the plan and the report. Nothing of it needs torch.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.attempt.messages import AttemptRequest, AttemptResult, Execution, Measure, Point, ResultValue
from harness.base.errors import HarnessError, shortened
from harness.bench.clock import timed
from harness.execution.plan import plan
from harness.execution.register import rows_of, stored
from harness.report import render, study_document
from harness.store.connection import Store, open_store
from harness.store.export import published_lines, write_jsonl
from harness.store.merge import merge_jsonl
from harness.store.queries import snapshot
from harness.store.writer import add_study, finish_attempt, start_attempt
from harness.study.study import MOST_POINTS, Study, load_study
from harness.trial.attempt_digest import attempt_digest

if TYPE_CHECKING:
    from harness.trial.resolve import Trial

_STUDY = """\
study: {name}
task: classification
dataset: digits
model: mnist_cnn
protocol: digits-quick
seeds: {seeds}
trials:
  - name: "learning rate {{protocol.optimizer.learning_rate}}, momentum {{protocol.optimizer.momentum}}"
    grid: {{protocol.optimizer.learning_rate: {rates}, protocol.optimizer.momentum: {momenta}}}
"""
_TIME = "2026-01-01T00:00:00.000+00:00"


@dataclass(frozen=True)
class StoreRow:
    """One step: what was done, how much of it, in how many seconds."""

    step: str
    runs: int
    metric_rows: int
    seconds: float
    cpu_s: float  # processor time
    peak_mib: float | None = None  # of memory, if the step is a process of its own


def commands(files: Sequence[Path]) -> dict[str, list[str]]:
    """Return what people call most, by its name; each is to be a process, and HARNESS_DB names the database."""
    names = [file.name for file in files]
    return {
        "harness run grid, with nothing to do": ["run", "grid", *names],
        "harness results list": ["results", "list"],
        "harness report tables --study": ["report", "tables", "--study", names[0], "--out", "tables"],
        "harness results verify": ["results", "verify"],
    }


def bench_store(
    trials: int, seeds: int, metrics: int, say: Callable[[str], None], kept: Path | None = None
) -> list[StoreRow]:
    """Time each step once, over a store in a folder of its own, on the disk where temporary files lie.

    `kept`: a folder in which the store is made instead, and stays.
    """
    rows: list[StoreRow] = []

    def step(name: str, work: Callable[[], object]) -> object:
        say(name)
        cpu_s = time.process_time()
        seconds, kept = timed(work)
        cpu_s = time.process_time() - cpu_s
        rows.append(StoreRow(name, trials * seeds, trials * seeds * metrics, seconds, cpu_s))
        return kept

    with tempfile.TemporaryDirectory() if kept is None else nullcontext(str(kept)) as text:
        folder = Path(text).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        files = _write_studies(folder, trials, seeds)
        studies = [load_study(file) for file in files]
        db, other, lines = folder / "a.db", folder / "b.db", folder / "a.jsonl"
        step("write", lambda: _write(studies, db, metrics))
        step("export", lambda: _export(db, lines))
        step("merge", lambda: _merge(other, lines))
        step("plan", lambda: _plan(files, db, folder))
        step("render", lambda: _render(db, studies[0].name))
        for name, words in commands(files).items():
            say(name)
            spent = command(words, folder, db)
            rows.append(StoreRow(name, trials * seeds, trials * seeds * metrics, *astuple(spent)))
    return rows


@dataclass(frozen=True)
class Spent:
    """What a command took."""

    seconds: float
    cpu_s: float  # with all processes that it has started, on Linux those too that outlived it
    peak_mib: float  # of memory, by itself


def command(words: Sequence[str], folder: Path, db: Path) -> Spent:
    """Run a harness command in a folder; return what it took. Raises HarnessError if it does not end well."""
    environment = {**os.environ, "HARNESS_DB": str(db), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    call = [sys.executable, "-S", "-c", _MEASURED, sys.executable, "-m", "harness", *words]
    begun = time.perf_counter()
    done = subprocess.run(call, cwd=folder, env=environment, capture_output=True, check=False)  # noqa: S603 - ours
    seconds = time.perf_counter() - begun
    *_, code, kib, cpu_s = done.stdout.split()
    if int(code):
        last = shortened((done.stderr.decode(errors="replace").strip().splitlines() or [""])[-1])
        raise HarnessError(f"harness {' '.join(words)} ended with {int(code)}: {last}")
    return Spent(seconds, float(cpu_s), int(kib) / 1024)


_MEASURED = """
import ctypes, os, resource, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # become the parent of what the command leaves
pid = os.fork()
if not pid:
    os.execv(sys.argv[1], sys.argv[1:])
_, status, used = os.wait4(pid, 0)
try:
    while True:
        os.wait()
except ChildProcessError:
    pass
of_all = resource.getrusage(resource.RUSAGE_CHILDREN)
print(os.waitstatus_to_exitcode(status), used.ru_maxrss, of_all.ru_utime + of_all.ru_stime)
"""
"""Between us and a command: the peak of a process begins with that of the one that it was forked from."""


def _write_studies(folder: Path, trials: int, seeds: int) -> list[Path]:
    """Write as many studies as it takes, each with as many trials as a study may have."""
    files: list[Path] = []
    for begin in range(0, trials, MOST_POINTS):
        count = min(MOST_POINTS, trials - begin)
        across = next(number for number in range(_MOST_MOMENTA, 0, -1) if count % number == 0)
        rates = [round(0.0001 * (begin + number + 1), 4) for number in range(count // across)]
        momenta = [round(0.005 * number, 3) for number in range(across)]
        name = f"bench-store-{len(files) + 1}"
        text = _STUDY.format(name=name, seeds=list(range(seeds)), rates=rates, momenta=momenta)
        files.append(folder / f"{name}.yml")
        files[-1].write_text(text, encoding="utf-8")
    return files


_MOST_MOMENTA = 100


def _write(studies: Sequence[Study], db: Path, metrics: int) -> None:
    """Write the studies and each attempt as the driver does: its start and its end are transactions of their own."""
    with open_store(db) as store:
        for study in studies:
            _add(store, study)
        for number, item in enumerate(item for study in studies for item in study.trials):
            digest = attempt_digest(item.trial.config, item.trial.data)
            for seed in item.seeds:
                request = _request(item.trial, seed, f"{number:06d}-{seed}")
                start_attempt(store, request, exclusive=False, started=_TIME)
                finish_attempt(store, _result(request, digest, metrics))


def _add(store: Store, study: Study) -> None:
    add_study(store, name=study.name, spec_yaml=study.spec_yaml, created=_TIME, trials=rows_of(study))


def _request(trial: "Trial", seed: int, uid: str) -> AttemptRequest:
    return AttemptRequest(
        uid, "train", trial.key, trial.config, seed, trial.data, trial.evaluations, Execution(), "/none", "/none"
    )


def _result(request: AttemptRequest, digest: str, metrics: int) -> AttemptResult:
    """Return a made-up result: a curve of `metrics` points, accuracy and loss, two measures."""
    key = request.evaluations[0].key
    curve = tuple(Point("train", "loss", 100 * (number + 1), 1 / (number + 1)) for number in range(metrics))
    return AttemptResult(
        request.uid,
        "done",
        _TIME,
        _TIME,
        asdict(request.execution),
        {"device": "none", "python": "none", "torch": "none"},
        digest,
        curve=curve,
        results=(ResultValue(key, "accuracy", 0.9 + request.seed / 100), ResultValue(key, "loss", 0.1)),
        measures=(Measure("train_seconds", 1.0), Measure("images_per_s", 1000.0)),
    )


def _export(db: Path, lines: Path) -> None:
    with open_store(db) as store:
        write_jsonl(published_lines(store, studies=None), lines)


def _merge(other: Path, lines: Path) -> None:
    with open_store(other) as store:
        merge_jsonl(store, lines)


def _plan(files: Sequence[Path], db: Path, folder: Path) -> None:
    """Plan as `harness run grid` does, from the files: nothing may be left to do."""
    planned = plan([load_study(file) for file in files], stored(db), folder / "artifacts")
    left = len(planned.of("left")) + len(planned.of("held"))
    if left:
        raise AssertionError(f"{left} runs of the benchmark's own store are not done")


def _render(db: Path, study: str) -> str:
    with open_store(db) as store:
        return render(study_document(snapshot(store), study), "md")
