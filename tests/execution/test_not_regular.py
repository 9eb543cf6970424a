"""A pipe, a socket or an endless device in place of an attempt's file: refused in a line, never waited for."""

import logging
import os
import signal
import socket
import sys
from contextlib import chdir

import pytest

from harness.attempt.checkpoints import Mark, check_checkpoint, check_file
from harness.attempt.messages import read_curve, read_progress, read_result
from harness.base.errors import DamagedError
from harness.base.files import open_regular, read_regular
from harness.base.locks import holder, is_held
from harness.base.sealed import crcs_hold, sha256_of
from harness.execution.intake import unknown_results
from harness.store.verify import verify

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")

OWN = """
import os
from pathlib import Path

HERE = Path(__file__).parent


def run(context, *, how):
    if context.resume():
        return {"m": float((context.checkpoints / "s.json").read_text())}
    with context.checkpoint("s.json") as file:
        file.write(b"7")
    if not (HERE / "died").exists():
        (HERE / "died").touch()
        os._exit(1)
    return {"m": 1}
"""


@pytest.fixture(autouse=True)
def _no_waiting():
    """End a test that waits for a pipe, or reads a device without an end."""
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it waits"))
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


def _listen(path):
    with chdir(path.parent), socket.socket(socket.AF_UNIX) as listening:  # a socket's name has few characters
        listening.bind(path.name)


MADE = {"pipe": os.mkfifo, "device": lambda path: path.symlink_to("/dev/zero"), "socket": _listen}


@pytest.fixture(params=MADE)
def put(request):
    """Return a function that puts something else in the place of a file."""

    def put(path):
        path.unlink(missing_ok=True)
        MADE[request.param](path)

    return put


READERS = {
    "result.json": read_result,
    "mark.json": Mark.read,
    "checkpoint.pt": check_checkpoint,
    "curve.jsonl": lambda folder: read_curve(folder / "curve.jsonl"),
    "x.pt": lambda folder: check_file(folder / "x.pt"),
    "x.zip": lambda folder: crcs_hold(folder / "x.zip"),
    "weights.pt": lambda folder: sha256_of(folder / "weights.pt"),
    "x": lambda folder: read_regular(folder / "x"),
}


@pytest.mark.parametrize("name", READERS)
def test_what_is_read_of_an_attempt_is_a_file(tmp_path, put, name):
    put(tmp_path / name)
    with pytest.raises(DamagedError, match=f"^{name} is not a regular file$"):
        READERS[name](tmp_path)


def test_a_folder_is_what_it_is(tmp_path):
    with pytest.raises(IsADirectoryError, match="Is a directory"):
        open_regular(tmp_path)


def test_what_only_helps_is_passed_over(tmp_path, put):
    attempt = tmp_path / ("a" * 32)
    attempt.mkdir()
    for name in ("progress.json", "lock", "request.json"):
        put(attempt / name)
    (attempt / "result.json").touch()
    assert (read_progress(attempt), holder(attempt / "lock"), is_held(attempt / "lock")) == (None, None, False)
    assert unknown_results(tmp_path, ()) == []


@pytest.mark.parametrize("name", ["checkpoint/s.json", "mark.json"])
def test_a_run_starts_afresh_if_its_checkpoint_is_no_file(own, lab, put, caplog, name):
    own("a")
    lab.grid()
    (folder,) = lab.artifacts.iterdir()
    put(folder / name)
    named = name.rpartition("/")[2]
    (fault,) = verify([lab.db]).faults
    assert fault.endswith(f"what attempt {folder.name} left to resume from is damaged: {named} is not a regular file")
    with caplog.at_level(logging.WARNING):
        ended = lab.grid()
    assert (ended.code, lab.states(), lab.query("SELECT value FROM result")) == (0, ["lost", "done"], [(1.0,)])
    assert f"is damaged ({named} is not a regular file): it starts afresh" in caplog.text


def test_a_result_that_is_no_file_is_named_and_its_run_made_again(own, lab, put):
    own("a")
    lab.grid()
    (folder,) = lab.artifacts.iterdir()
    put(folder / "result.json")
    (fault,) = verify([lab.db]).faults
    assert "is damaged, and not taken in: result.json is not a regular file" in fault
    ended = lab.grid()
    assert (ended.code, lab.states(), lab.query("SELECT value FROM result")) == (0, ["lost", "done"], [(7.0,)])
