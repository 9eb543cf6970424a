"""Tiny studies in folders of their own, and drivers in processes of their own."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import chdir, closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.execution.executors.guard import descendants
from harness.execution.executors.local import LocalExecutor
from harness.execution.libraries import WITH_TORCH

MAIN = "import sys; from harness.cli import main; sys.argv[0] = 'harness'; main()"

STUDY = """\
study: tiny
task: classification
dataset: digits
model: mnist_cnn
protocol: {{kind: digits-quick, epochs: {epochs}, batch_size: {batch}}}
seeds: [0]
execution: {{checkpoint_every_s: {every}, threads: 1}}
trials:
  - name: "Dimension reduction of Conv, {{reduction}}"
    at: conv2
    compressor: {{kind: width, stride: 16}}
  - name: Second
    at: conv2
    compressor: {{kind: width, stride: 32}}
"""

FUNCTIONS = """\
study: own
task: function
target: own.py:run
metrics: {m: maximize}
seeds: [0]
execution: {threads: 1}
trials:
"""


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass
class Lab:
    """A folder with a study, in which commands are run as a person runs them."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    main: str = MAIN  # what a process of its own runs

    def study(self, name="study.yml", *, epochs=1, every=0, batch=250, text=STUDY):
        path = self.folder / name
        path.write_text(text.format(epochs=epochs, every=every, batch=batch))
        return path

    def own(self, code, *how):
        """Write a function into own.py, and a study of it: a trial for each value of its argument `how`, or one."""
        trials = f'"{{arguments.how}}", grid: {{arguments.how: [{", ".join(how)}]}}' if how else "x"
        (self.folder / "own.py").write_text(code)
        (self.folder / "study.yml").write_text(f"{FUNCTIONS}  - {{name: {trials}}}\n")
        return self

    @property
    def db(self):
        return self.folder / "results" / "harness.db"

    @property
    def artifacts(self):
        return self.folder / "results" / "artifacts"

    def start(self, *arguments, streams=""):
        """Start a command in a process group of its own, with `streams` as a shell redirects them."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HARNESS_")}
        return subprocess.Popen(
            ["sh", "-c", f'exec "$0" "$@" {streams}', sys.executable, "-c", self.main, *map(str, arguments)],
            cwd=self.folder,
            env={**environment, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def finish(self, process, timeout=240):
        """Wait for a command's end; one that hangs is ended with all that it started, and fails the test."""
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            pytest.fail(f"the command hangs\n{out}\n{err}")
        assert "Traceback" not in err, err
        return Ended(process.returncode, out, err)

    def run(self, *arguments):
        return self.finish(self.start(*arguments))

    def here(self, *arguments):
        """Run a command in this process, which has imported torch and has its server of workers: the same, sooner."""
        with chdir(self.folder), pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("HARNESS_")]:
                patch.delenv(name)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            done = CliRunner().invoke(main, [*map(str, arguments)], catch_exceptions=False)
        return Ended(done.exit_code, done.stdout, done.stderr)

    def grid(self, *arguments, study="study.yml"):
        """Run or resume a grid: here, or in a process of its own if the lab's environment says what Python imports."""
        call = self.here if all(name.startswith("HARNESS_") for name in self.environment) else self.run
        return call("run", "grid", study, *arguments)

    def query(self, sql, *parameters):
        with closing(sqlite3.connect(f"{self.db.as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute(sql, parameters).fetchall()

    def states(self):
        """Return the states of all attempts, oldest first."""
        return [row[0] for row in self.query("SELECT state FROM attempt ORDER BY started, id")]

    def found(self):
        """Return what counts: by trial and seed the results, curve and samples of each attempt that ended done."""
        runs = self.query(
            """SELECT a.id, t.key, r.seed FROM attempt a JOIN run r ON r.id = a.run_id JOIN trial t ON t.id = r.trial_id
            WHERE a.state IN ('done', 'nan') AND a.kind = 'train'
                AND a.uid NOT IN (SELECT supersedes FROM attempt WHERE supersedes IS NOT NULL AND state = 'done')"""
        )
        assert len({run[1:] for run in runs}) == len(runs), "a run counts twice"
        tables = {
            "results": "SELECT name, value, flag FROM result WHERE attempt_id = ? ORDER BY 1",
            "curve": "SELECT split, name, step, value, flag FROM metric WHERE attempt_id = ? ORDER BY 1, 2, 3",
            "samples": "SELECT name, count, encoding, packed FROM sample WHERE attempt_id = ?",
            "weights": "SELECT sha256 FROM artifact WHERE attempt_id = ? AND kind = 'maps'",
        }
        return {
            (key, seed): {name: self.query(sql, number) for name, sql in tables.items()} for number, key, seed in runs
        }

    def weights(self):
        """Return the trained weights of each attempt that ended done, by trial, as bytes a tensor."""
        import torch

        rows = self.query(
            """SELECT t.key, a.uid FROM attempt a JOIN run r ON r.id = a.run_id JOIN trial t ON t.id = r.trial_id
            WHERE a.state = 'done'"""
        )
        return {
            key: {name: v.numpy().tobytes() for name, v in torch.load(self.artifacts / uid / "weights.pt").items()}
            for key, uid in rows
        }

    def processes(self):
        """Return the pids of the processes whose current folder is this one: drivers, and all that they started.

        Those that `here` has started for later calls, too, do not count.
        """
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                ours = f"\nPPid:\t{os.getpid()}\n" in (process / "status").read_text()
                kept = ours and b"multiprocessing" in (process / "cmdline").read_bytes()
                if not kept and (process / "cwd").readlink() == self.folder:
                    found.append(int(process.name))
            except OSError:  # it has just ended
                continue
        return [pid for pid in found if alive(pid)]

    def started(self):
        """Return the pids that a function has written into the file `pids`."""
        file = self.folder / "pids"
        return [int(pid) for pid in file.read_text().split()] if file.exists() else []

    def workers(self):
        """Return the pids of the processes that hold the lock of a running attempt."""
        found = []
        for uid, *_ in self.query("SELECT uid FROM attempt WHERE state = 'running'"):
            lock = self.artifacts / uid / "lock"
            if lock.exists() and lock.read_text().strip():
                found.append(int(lock.read_text()))
        return found


def until(condition, timeout=150, every=0.02):
    """Wait until a condition gives something, and return it."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(every)
    pytest.fail(f"waited {timeout} s in vain")
    return None


def alive(pid):
    """Return whether a process lives (one that has ended but was not waited for does not)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return "State:\tZ" not in status


@pytest.fixture(scope="session", autouse=True)
def server():
    """Start the server of workers with torch: Python has one per process, and without torch each worker imports it."""
    with LocalExecutor(1, 1, WITH_TORCH):
        pass


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


@pytest.fixture
def own(lab, request):
    """Return a function that writes a study of the functions in the test file's OWN, called by name."""
    yield partial(lab.own, request.module.OWN)
    for pid in {*lab.processes(), *lab.started()}:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def new_lab(tmp_path_factory):
    """Return a function that makes another folder to run commands in."""
    return lambda **environment: Lab(tmp_path_factory.mktemp("lab"), environment)


@pytest.fixture(scope="session")
def wait_until():
    return until


@pytest.fixture(scope="session")
def is_alive():
    return alive


@pytest.fixture(scope="session")
def load_json():
    return json.loads


UNTIL_GO = """
import json, os, time

def run(context, *, how):
    done, total = json.loads((context.resume() / "20").read_text()) if context.resume() else (0, 0.0)
    for step in range(done, 40):
        total += (step * how) % 7 / 3
        context.report(step, m=total)
        if step != 20:
            continue
        with context.checkpoint("20") as file:
            file.write(json.dumps([21, total]).encode())
        while not os.path.exists("go"):
            if context.should_stop():
                return None
            time.sleep(0.05)
    return {"m": total}
"""


@pytest.fixture
def until_go():
    """Return a function that gives a lab a study of two runs, which wait at a checkpoint for a file `go`."""

    def write(lab):
        lab.own(UNTIL_GO, "3", "5")
        return lab

    return write


@pytest.fixture
def of_quickstart(study_file):
    """Return a function that gives a lab the quickstart, two epochs of it, with a checkpoint every second."""

    def write(lab):
        head = f"include: {study_file('quickstart')}\nstudy: quick\n"
        short = "protocol: {kind: digits-quick, epochs: 2}\nexecution: {checkpoint_every_s: 1, threads: 1}\n"
        (lab.folder / "study.yml").write_text(f"{head}{short}")
        return lab

    return write


@pytest.fixture
def jobs_at_work():
    """Return a function that gives the pids of the processes that launched jobs whose attempts have left a file.

    `below` is a process that they are to descend from.
    """

    def find(lab, file, *, below=None):
        at_work = {path.relative_to(lab.artifacts).parts[0] for path in lab.artifacts.glob(f"*/{file}")}
        found = set()
        for pid in lab.processes() if below is None else descendants(below):
            with suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
                if "harness.execution.executors.job" in words and Path(words[3]).name in at_work:
                    found.add(int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]))
        return sorted(found)

    return find
