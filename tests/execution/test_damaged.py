"""Damaged checkpoints, failures that are no fault of the code, files that are saved: as a person meets them."""

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.attempt.checkpoints import sealed_open
from harness.attempt.messages import CHECKPOINT_FILE
from harness.base.sealed import unseal
from harness.execution.jobs import make_job, resumable
from harness.execution.options import Options
from harness.execution.plan import PlannedRun
from harness.store.verify import verify
from harness.study.study import load_study


@pytest.fixture
def left(tmp_path):
    """Two attempts that left a checkpoint each, the newer one first."""
    folders = [tmp_path / "artifacts" / (name * 32) for name in "ba"]
    for folder in folders:
        folder.mkdir(parents=True)
        with sealed_open(folder / CHECKPOINT_FILE) as file:
            file.write(b"x" * 1000)
    return folders


@pytest.fixture
def asked(left, tmp_path, study_file):
    """Return a function that gives the request of a run that may resume, and what else it may resume from."""
    study = load_study(study_file("quickstart"))
    item = study.trials[0]
    newer, older = (folder.name for folder in left)
    run = PlannedRun(study.name, item.name, item.trial, 0, "left", resume_from=newer, or_from=(older,))

    def ask(**options):
        job = make_job(run, [study], Options(db=tmp_path / "h.db", data_root=tmp_path, **options))
        return job.request, job.or_from

    return ask


def test_a_run_resumes_from_the_newest_checkpoint_that_is_good(left, asked, caplog):
    newer, older = left
    request, or_from = asked()
    assert resumable(request, or_from) == request
    (newer / CHECKPOINT_FILE).write_bytes(b"rubbish")
    with caplog.at_level(logging.WARNING):
        chosen = resumable(request, or_from)
    assert chosen == replace(request, resume_from=older.name, resume_folder=str(older))
    said = "the checkpoint of attempt bbbbbbbb is damaged (checkpoint.pt is cut off or overwritten): it resumes from"
    assert f"{request.label}: {said} that of attempt aaaaaaaa" in caplog.text
    (older / CHECKPOINT_FILE).write_bytes(b"rubbish")
    with caplog.at_level(logging.WARNING):
        chosen = resumable(request, or_from)
    assert (chosen.resume_from, chosen.resume_folder) == (None, None)
    assert "the checkpoint of attempt aaaaaaaa is damaged" in caplog.text
    assert caplog.text.rstrip().endswith("it starts afresh")


def test_from_start_leaves_checkpoints_alone(asked, caplog):
    request, or_from = asked(from_start=True)
    assert (request.resume_from, request.resume_folder) == (None, None)
    assert resumable(request, or_from) == request
    assert caplog.text == ""


CODE = """
import os
from pathlib import Path

FATES = {
    "fails": lambda: 1 / 0,
    "full": lambda: open("/dev/full", "w").write("x" * 10**6),
    "read-only": lambda: (_ for _ in ()).throw(PermissionError(13, "Permission denied", "/somewhere")),
    "is killed": lambda: os.kill(os.getpid(), 9),
}

def run(context, *, fate="fails"):
    done, total = 0, 0.0
    if folder := context.resume():
        done, total = eval((folder / "state").read_text())
    elif fate == "is killed":
        Path("first.txt").write_text("from before the crash")
        context.save("first", "first.txt")
    for step in range(done, 6):
        total += context.rng("draw", step).random()
        context.report(step, **{"val/acc": total})
        with context.checkpoint("state") as file:
            file.write(repr((step + 1, float(total))).encode())
        if step == 3 and Path("broken").exists():
            FATES.get(fate, int)()
    if fate == "is killed":
        (context.checkpoints / "best.pt").write_bytes(b"weights")
        context.save("best", context.checkpoints / "best.pt")
    return {"acc,none": total, "made": 6 - done}
"""
STUDY = """\
study: damaged
task: function
target: run.py:run
metrics: {"acc,none": maximize}
seeds: [0]
execution: {threads: 1}
trials:
"""


@pytest.fixture
def broken(lab):
    """Return a function that writes a study of functions that break in the middle, for as long as there is a file."""

    def write(*fates):
        (lab.folder / "run.py").write_text(CODE)
        trials = [f"  - {{name: {fate}, arguments: {{fate: {fate}}}}}\n" for fate in fates]
        (lab.folder / "study.yml").write_text(STUDY + "".join(trials))
        (lab.folder / "broken").touch()
        return lab

    return write


def results(lab):
    rows = lab.query("SELECT a.state, r.name, r.value FROM attempt a LEFT JOIN result r ON r.attempt_id = a.id")
    return {name: value for state, name, value in rows if state == "done"}


def curve(lab):
    return lab.query(
        """SELECT m.name, step, value FROM metric m JOIN attempt a ON a.id = m.attempt_id WHERE a.state = 'done'
        ORDER BY step"""
    )


@pytest.fixture(scope="module")
def undisturbed(new_lab):
    """The number that comes out, and the curve."""
    lab = new_lab()
    (lab.folder / "run.py").write_text(CODE)
    (lab.folder / "study.yml").write_text(STUDY + "  - {name: fails}\n")
    assert lab.grid().code == 0
    return results(lab)["acc,none"], curve(lab)


def test_a_failure_of_the_environment_is_an_interruption_that_is_said_and_resumed(broken, undisturbed):
    lab = broken("full", "read-only")
    first = lab.grid("--jobs", "2")
    assert (first.code, lab.states()) == (1, ["interrupted", "interrupted"])
    assert "full, seed 0: interrupted (OSError: [Errno 28] No space left on device; trace: " in first.err
    assert "2 runs were interrupted by a failure of disk or permissions (" in first.err
    assert first.err.endswith("nothing else was begun; when that is fixed, the same command resumes them\n")
    assert lab.query("SELECT DISTINCT error_kind FROM attempt ORDER BY 1") == [("OSError",), ("PermissionError",)]
    assert "in all 0 done, 2 left, 0 held" in first.out
    (lab.folder / "broken").unlink()
    assert lab.grid().code == 0
    assert results(lab) == {"acc,none": undisturbed[0], "made": 2}


@pytest.mark.parametrize("form", ["text", "json"])
def test_after_a_failure_of_the_environment_no_other_run_begins(broken, form):
    lab = broken("full", "fails", "read-only")
    first = lab.grid("--format", form)
    assert (first.code, lab.states()) == (1, ["interrupted"])
    said = (
        "1 run was interrupted by a failure of disk or permissions (OSError: [Errno 28] No space left on device), and "
    )
    assert first.err.splitlines()[-1].startswith(f"{said}nothing else was begun; when that is fixed, ")
    begun = first.err.count("begins") if form == "text" else first.out.count('"event": "started"')
    assert begun == 1
    (lab.folder / "broken").unlink()
    assert lab.grid().code == 0
    assert lab.states() == ["interrupted", "done", "done", "done"]


def test_a_run_that_lacks_a_permission_keeps_no_other_from_beginning(broken):
    lab = broken("read-only", "ends well")
    first = lab.grid()
    assert (first.code, lab.states()) == (1, ["interrupted", "done"])
    assert first.err.splitlines()[-1].startswith(
        "1 run was interrupted by a failure of disk or permissions (Permission"
    )
    assert "nothing else was begun" not in first.err


def test_so_it_is_with_timings(broken):
    lab = broken("full")
    first = lab.here("run", "timing", "study.yml")
    assert (first.code, lab.states(), first.out) == (1, ["interrupted"], "0 timed\n")
    assert first.err.splitlines()[-1].startswith("1 run was interrupted by a failure of disk or permissions (OSError")


def test_retry_resumes_and_from_start_does_not(broken, undisturbed):
    lab = broken("fails")
    first = lab.grid()
    assert (first.code, lab.states()) == (1, ["failed"])
    (lab.folder / "broken").unlink()
    kept = lab.folder / "kept"
    shutil.copytree(lab.folder / "results", kept)
    assert lab.grid("--retry", "failed").code == 0
    assert results(lab) == {"acc,none": undisturbed[0], "made": 2}
    assert curve(lab) == undisturbed[1]
    assert lab.query("SELECT count(*) FROM attempt WHERE resumed_from IS NOT NULL") == [(1,)]
    shutil.rmtree(lab.folder / "results")
    kept.rename(lab.folder / "results")
    assert lab.grid("--retry", "failed", "--from-start").code == 0
    assert results(lab) == {"acc,none": undisturbed[0], "made": 6}


def test_what_is_damaged_is_found_by_verify_said_and_begun_afresh(broken, undisturbed):
    lab = broken("fails")
    lab.grid()
    (lab.folder / "broken").unlink()
    (state,) = lab.artifacts.glob("*/checkpoint/state")
    assert verify([lab.db]).faults == []
    state.write_bytes(state.read_bytes().replace(b"4", b"5"))
    (fault,) = verify([lab.db]).faults
    assert "left to resume from is damaged: 'state' is not what was written: its checksum differs" in fault
    again = lab.run("run", "grid", "study.yml", "--retry", "failed")
    assert again.code == 0
    said = "is damaged ('state' is not what was written: its checksum differs): it starts afresh"
    assert said in again.err
    assert "resumes" not in again.err
    assert results(lab) == {"acc,none": undisturbed[0], "made": 6}


def test_a_checkpoint_that_is_gone_is_found_by_verify_said_and_begun_afresh(broken, undisturbed, caplog):
    lab = broken("is killed")
    lab.grid()
    (lab.folder / "broken").unlink()
    (state,) = lab.artifacts.glob("*/checkpoint/state")
    state.unlink()
    (fault,) = verify([lab.db]).faults
    assert "left to resume from is damaged: 'state', which it had written, is missing" in fault
    assert lab.grid().code == 0
    assert "is damaged ('state', which it had written, is missing): it starts afresh" in caplog.text
    assert results(lab) == {"acc,none": undisturbed[0], "made": 6}
    assert verify([lab.db]).faults == [], "nobody will resume from it any more"


def test_checkpoints_that_the_next_attempt_has_taken_over_are_not_missed(broken, undisturbed, caplog):
    lab = broken("fails")
    lab.grid()
    lab.grid("--retry", "failed")  # goes on behind where it fails
    assert lab.states() == ["failed", "done"]
    assert (verify([lab.db]).faults, "missing" in caplog.text) == ([], False)
    assert results(lab) == {"acc,none": undisturbed[0], "made": 2}


def test_what_was_saved_before_a_crash_or_among_the_checkpoints_belongs_to_the_run(broken):
    lab = broken("is killed")
    assert lab.grid().code == 1
    (lab.folder / "broken").unlink()
    assert lab.grid().code == 0
    assert lab.states() == ["lost", "done"]
    kept = lab.query(
        """SELECT a.uid, f.kind, f.path FROM artifact f JOIN attempt a ON a.id = f.attempt_id
        WHERE state = 'done' ORDER BY f.kind"""
    )
    assert [(kind, (lab.artifacts / uid / path).read_text()) for uid, kind, path in kept] == [
        ("best", "weights"),
        ("first", "from before the crash"),
    ]
    assert (verify([lab.db]).faults, verify([lab.db]).elsewhere) == ([], 0)


def test_checkpoints_of_an_earlier_version_are_not_trusted(broken, undisturbed, caplog):
    lab = broken("fails")
    lab.grid()
    (lab.folder / "broken").unlink()
    (mark,) = lab.artifacts.glob("*/mark.json")
    mark.unlink()
    (fault,) = verify([lab.db]).faults
    assert fault.endswith("left to resume from is damaged: mark.json, with its checksums, is missing")
    request = mark.with_name("request.json")
    request.write_text(json.dumps(unseal(request.read_text())))
    assert verify([lab.db]).faults == [], "there is nothing that it could be compared with"
    assert lab.grid("--retry", "failed").code == 0
    said = "cannot be trusted (an earlier version of harness wrote it, without checksums): it starts afresh"
    assert said in caplog.text
    assert results(lab) == {"acc,none": undisturbed[0], "made": 6}


def test_a_disk_that_is_full_for_the_driver_begins_nothing_and_loses_nothing(broken, monkeypatch, caplog):
    lab = broken("fails", "full")
    (lab.folder / "broken").unlink()
    written = []

    def full(path, _):
        written.append(Path(path).name)
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("harness.execution.driver.atomic_write", full)
        ended = lab.grid()
    assert (ended.code, written, lab.states()) == (1, ["request.json"], [])
    assert "fails, seed 0 cannot begin ([Errno 28] No space left on device: " in caplog.text
    assert lab.grid().code == 0
    assert lab.states() == ["done", "done"]
