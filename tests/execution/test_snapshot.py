"""What a queued job runs: the code as it was when its attempt was handed out."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from harness.attempt.messages import REQUEST_FILE, AttemptRequest, read_result
from harness.base.errors import HarnessError
from harness.execution.executors.cluster import PREEMPTED, Jobs, end_orphans
from harness.execution.executors.guard import Told, descendants
from harness.execution.executors.snapshot import Snapshots
from harness.execution.options import chosen_executor
from harness.plugins.digests import PACKAGE
from harness.plugins.plugin import code_of, find_plugin
from harness.study.study import load_study
from harness.testing.executors import prepare

STUDY = """\
study: {name}
task: function
target: {target}
metrics: {{score: maximize}}
seeds: [0]
execution: {{executor: {executor}}}
trials: [{{name: x, arguments: {{fate: ends well}}}}]
"""


def test_our_package_is_copied_whole_and_once(tmp_path):
    snapshots = Snapshots(tmp_path / "code")
    kept = snapshots.harness()
    ours = {path.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("*.py")}
    assert {path.relative_to(kept) for path in kept.rglob("*.py")} == ours
    assert Snapshots(tmp_path / "code").harness() == kept
    assert [path.name for path in (tmp_path / "code").iterdir()] == [kept.name]


@pytest.mark.parametrize("place", ["", "inner/", "inner/deep/"])
def test_a_plugin_is_copied_with_what_counts_in_its_digest(tmp_path, place):
    own = prepare(tmp_path, "ends well")
    request = AttemptRequest.from_json((own / REQUEST_FILE).read_text())
    folder = tmp_path / place
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fates.py").write_text("import helper\nimport package.part\n\ndef run(context, *, fate):\n    ...\n")
    (folder / "helper.py").write_text("VALUE = 1\n")
    (folder / "package").mkdir()
    (folder / "package" / "__init__.py").touch()
    (folder / "package" / "part.py").write_text("VALUE = 2\n")
    (folder / "other.py").write_text("none of it\n")
    config = {**request.config, "task": {**request.config["task"], "target": f"{place}fates.py:run"}}
    fields = {**request.__dict__, "config": config}
    (own / REQUEST_FILE).write_text(AttemptRequest(**fields).to_json())
    digest, _ = code_of(f"{place}fates.py:run", [str(tmp_path)])
    Snapshots(tmp_path / "code").take_plugins(own)
    (snapshot,) = AttemptRequest.from_json((own / REQUEST_FILE).read_text()).plugin_paths
    assert find_plugin(f"{place}fates.py:run", [snapshot])[0].is_relative_to(tmp_path / "code")
    assert code_of(f"{place}fates.py:run", [snapshot])[0] == digest
    copied = {path.name for path in (tmp_path / "code").rglob("*.py")}
    assert copied == {"fates.py", "helper.py", "__init__.py", "part.py"}


@pytest.fixture
def job(tmp_path):
    """Return a function that starts the job of an attempt that goes on, and waits until it has a checkpoint."""
    processes = []

    def start(silence_s=60):
        own, jobs = prepare(tmp_path, "goes on"), tmp_path / "jobs"
        jobs.mkdir()
        main = f"from harness.execution.executors import job; job.SILENCE_S = {silence_s}; job.main()"
        command = [sys.executable, "-c", main, str(own), str(jobs)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        deadline = time.monotonic() + 100
        while not (own / "checkpoint" / "count").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        return process, own, jobs

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, None], ids=str)
def test_a_signal_and_a_driver_that_falls_silent_end_a_job_at_a_checkpoint(job, number):
    process, own, _ = job(silence_s=60 if number else 0.5)
    if number is not None:  # as a cluster does, to all that the job has started
        for pid in (process.pid, *descendants(process.pid)):
            os.kill(pid, number)
    told = Told.from_json(process.stdout.readline().encode())
    assert (told.state, told.kind, read_result(own).state) == (None, PREEMPTED, "interrupted")


@pytest.mark.parametrize("by", ["the end of its launcher", "its driver"])
def test_a_job_is_ended_at_once(job, by):
    process, own, jobs = job()
    if by == "its driver":
        (jobs / "end").touch()
    else:
        process.stdin.close()
        process.stdin = None
    told = Told.from_json(process.stdout.readline().encode())
    assert (told.state, read_result(own)) == ("lost", None)


def test_the_jobs_of_a_driver_that_died_are_ended_by_the_next(tmp_path):
    living, dead = Jobs(tmp_path, 1), Jobs(tmp_path, 1)
    dead.close()  # as its process's end does
    end_orphans(tmp_path)
    assert (living.ending, dead.ending) == (False, True)
    living.close()


def study_of(tmp_path, name, executor):
    prepare(tmp_path, "ends well")
    path = tmp_path / f"{name}.yml"
    path.write_text(STUDY.format(name=name, target="fates.py:run", executor=executor))
    return load_study(path)


def test_the_command_line_goes_before_the_study_and_studies_must_agree(tmp_path):
    slurm = study_of(tmp_path, "one", "{kind: slurm, partition: gpu, minutes: 5}")
    ray = study_of(tmp_path, "two", "ray")
    chosen = chosen_executor([slurm], None, {"minutes": 9})
    assert (chosen.name, chosen.options) == ("slurm", {"partition": "gpu", "minutes": 9})
    assert (chosen.elsewhere, chosen.device) == (True, "cpu")
    assert chosen_executor([slurm, ray], "local", {}).name == "local"
    assert chosen_executor([ray], None, {"gpus": 0.5}).device == "cuda:0"
    with pytest.raises(HarnessError, match="'one' and 'two' name different executors"):
        chosen_executor([slurm, ray], None, {})


def test_slurm_is_refused_where_there_is_none(lab):
    if shutil.which("sbatch") is not None or os.environ.get("SLURM_CONF"):
        pytest.skip("there is a Slurm here")
    pytest.importorskip("submitit", reason="submitit is not installed (extra slurm)")
    lab.own("def run(context):\n    return {'m': 1.0}\n")
    ended = lab.grid("--executor", "slurm")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "sbatch was not found: run this on a machine that can submit jobs to Slurm" in ended.err
    wrong = lab.grid("--executor", "slurm", "--executor-option", "partitoin=gpu")
    assert wrong.err == "Error: the executor 'slurm': unknown key 'partitoin'; did you mean 'partition'?\n"
    assert "takes KEY=VALUE" in lab.grid("--executor", "slurm", "--executor-option", "gpu").err
