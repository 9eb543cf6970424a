"""A driver dies of nothing that a worker or a file does: garbage, removed folders, killed helpers, missing streams."""

import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from harness.attempt.messages import PROGRESS_FILE, read_progress
from harness.execution.intake import take_in

OWN = r"""
import os
import shutil
import time
from pathlib import Path

HERE = Path(__file__).parent
GARBAGE = ("{", "[]", "null", '{"step": "x"}', '{"step": 1, "metrics": 5}', '{"step": 1}', "\x00" * 100, "[" * 100000)


def run(context, *, how):
    return globals()[how](context)


def sound(context):
    (HERE / "sound").touch()
    while not (HERE / "over").exists() and not context.should_stop():
        time.sleep(0.05)
    return None if context.should_stop() else {"m": 1}


def plain(context):
    return {"m": 1}


def garbage(context):
    file = context.checkpoints.parent / "progress.json"
    for text in GARBAGE:
        file.write_text(text)
        time.sleep(0.3)
    file.write_bytes(b"\xff\xfe")
    time.sleep(0.3)
    file.unlink()
    file.mkdir()
    time.sleep(0.3)
    (HERE / "over").touch()
    return {"m": 1}


def removes(context):
    while not (HERE / "sound").exists():  # it reads its request from there first
        time.sleep(0.05)
    shutil.rmtree(context.checkpoints.parents[1])
    (HERE / "removed").touch()
    while not context.should_stop():
        time.sleep(0.05)
"""


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"[]", b"1", b"null", b"\xff\xfe", b"[" * 100_000, b'{"step": 1}', b'{"step": true, "metrics": {}}',
        b'{"step": -1, "metrics": {}}', b'{"step": 1, "metrics": {"a": "x"}}', b'{"step": 1, "metrics": []}',
        b'{"step": 1, "epoch": 0, "epochs": "1", "steps": 1}', b'{"step": 1, "metrics": {}}' + b" " * 10**6 + b"x",
    ],
)  # fmt: skip
def test_progress_that_is_none_says_nothing(tmp_path, text):
    (tmp_path / PROGRESS_FILE).write_bytes(text)
    said = read_progress(tmp_path)
    assert said is None or said == {"step": 1, "metrics": {}}  # of a long file what counts is its beginning


def test_progress_is_what_a_worker_says(tmp_path):
    for said in (
        {"step": 3, "metrics": {"loss": 0.5, "other": None}},
        {"step": 3, "epoch": 1, "epochs": 2, "steps": 6, "loss": None, "metric": 0.5, "images_per_s": 10.0},
    ):
        (tmp_path / PROGRESS_FILE).write_text(json.dumps(said))
        assert read_progress(tmp_path) == said
    assert read_progress(tmp_path / "missing") is None


def test_garbage_in_a_progress_file_harms_nobody(own):
    lab = own("garbage", "sound")
    ended = lab.grid("--jobs", 2)
    assert (ended.code, lab.states()) == (0, ["done", "done"]), ended.err


def test_a_removed_artifacts_folder_takes_no_other_worker_along_and_ctrl_c_still_stops(own, wait_until):
    lab = own("sound", "removes")
    process = lab.start("run", "grid", "study.yml", "--jobs", 2)
    wait_until(lambda: (lab.folder / "sound").exists() and (lab.folder / "removed").exists())
    process.send_signal(signal.SIGINT)
    ended = lab.finish(process)
    assert ended.code == 130
    assert set(lab.states()) <= {"interrupted", "failed"}  # each by itself, with its result
    assert "its result cannot be" not in ended.err


def test_a_killed_fork_server_ends_nothing(own, wait_until):
    lab = own("sound", "garbage")
    process = lab.start("run", "grid", "study.yml")
    wait_until((lab.folder / "sound").exists)
    (server,) = (pid for pid in lab.processes() if b"forkserver" in cmdline(pid) and parent(pid) == process.pid)
    os.kill(server, signal.SIGKILL)
    (lab.folder / "over").touch()
    ended = lab.finish(process)
    assert (ended.code, lab.states()) == (0, ["done", "done"])
    assert "Aborted" not in ended.err


def cmdline(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def parent(pid):
    return int(re.search(r"PPid:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


def test_a_place_that_cannot_be_written_to_ends_the_call_in_one_line(own):
    lab = own("garbage")
    lab.artifacts.parent.mkdir()
    lab.artifacts.write_text("a file")
    ended = lab.grid()
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert str(lab.artifacts) in ended.err
    assert lab.states() == []


def test_a_hang_up_ends_at_a_checkpoint_and_says_how_to_go_on(own, wait_until):
    lab = own("sound", "garbage")
    process = lab.start("run", "grid", "study.yml")
    wait_until((lab.folder / "sound").exists)
    os.killpg(process.pid, signal.SIGHUP)  # as a shell does that ends: to the server of workers, too
    os.killpg(process.pid, signal.SIGHUP)
    ended = lab.finish(process)
    assert (ended.code, lab.states()) == (130, ["interrupted"])
    assert "interrupted: what was done is kept, the same command resumes from the checkpoints" in ended.err
    assert not lab.processes()


def test_under_nohup_a_hang_up_ends_nothing(own, wait_until):
    lab = own("sound")
    lab.main = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); {lab.main}"
    process = lab.start("run", "grid", "study.yml")
    wait_until((lab.folder / "sound").exists)
    os.killpg(process.pid, signal.SIGHUP)
    (lab.folder / "over").touch()
    ended = lab.finish(process)
    assert (ended.code, lab.states()) == (0, ["done"])


def test_a_terminal_that_is_closed_ends_at_a_checkpoint_and_nothing_that_is_printed_is_an_error(own, wait_until):
    lab = own("sound", "garbage")
    pid, terminal = os.forkpty()
    if not pid:
        os.chdir(lab.folder)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HARNESS_")}
        os.execve(sys.executable, [sys.executable, "-c", lab.main, "run", "grid", "study.yml"], kept)  # noqa: S606
    wait_until((lab.folder / "sound").exists)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
    assert lab.states() == ["interrupted"]
    wait_until(lambda: not lab.processes())


@pytest.mark.parametrize("missing", ["2>&-", ">&- 2>&- <&-"])
def test_without_stderr_or_stdout_a_study_runs_all_the_same(own, missing):
    lab = own("plain")
    ended = lab.finish(lab.start("run", "grid", "study.yml", streams=missing))
    assert (ended.code, ended.err) == (0, "")
    assert ("1 done" in ended.out) == (missing == "2>&-")
    assert lab.states() == ["done"]


@pytest.fixture
def attempt(own):
    """An attempt whose result is still to be taken in, with its store and its folder."""
    from harness.store.connection import open_store

    lab = own("plain")
    assert lab.grid().code == 0
    (folder,) = lab.artifacts.iterdir()
    for table in ("result", "metric", "measure"):
        write(lab, f"DELETE FROM {table}")  # noqa: S608
    write(lab, "UPDATE attempt SET state = 'running', ended = NULL")
    with open_store(lab.db) as store:
        yield lab, store, folder


def write(lab, sql):
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(lab.db)) as connection, connection:
        connection.execute(sql)


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", '{"uid": 1}', "1" * 5000])
def test_a_result_that_is_none_loses_its_attempt_alone(attempt, text):
    lab, store, folder = attempt
    (folder / "result.json").write_text(text)
    taken = take_in(store, folder.name, folder, without=("lost", "it died"))
    assert (taken.state, lab.states()) == ("lost", ["lost"])
    assert "its result is damaged: " in taken.error


def test_a_result_that_cannot_be_read_now_is_taken_in_by_a_later_driver(attempt):
    lab, store, folder = attempt
    kept = (folder / "result.json").rename(folder / "kept")
    (folder / "result.json").mkdir()
    assert take_in(store, folder.name, folder, without=("lost", "it died")).state == "lost"
    (folder / "result.json").rmdir()
    kept.rename(folder / "result.json")
    assert "nothing to do: 1 done" in lab.grid().out
