"""Workers that die: what is said of it, and that a run which crashes again at the same place is held."""

import signal

import pytest

from harness.execution.executors import guard
from harness.execution.executors.guard import memory_kills

OWN = """
import ctypes
import os
import signal

def run(context, *, how):
    done = int((context.resume() / "count").read_text()) if context.resume() else 0
    for step in range(done, 3):
        with context.checkpoint("count") as file:
            file.write(str(step + 1).encode())
    if how == "segfaults":
        ctypes.string_at(0)
    if how == "exits":
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def crashing(new_lab):
    """Three runs that crash each time, called until nothing of them is left, and once more on request."""
    lab = new_lab().own(OWN, "segfaults", "exits", "is killed")
    return lab, [lab.grid(), lab.grid(), lab.grid(), lab.grid("--retry", "crashed", "--only", "exits"), lab.grid()]


def test_it_is_said_how_a_worker_died_and_where_its_output_is(crashing):
    lab, (first, *_) = crashing
    assert first.code == 1
    assert "segfaults, seed 0: lost (its worker process was killed by SIGSEGV; output: " in first.err
    assert "exits, seed 0: lost (its worker process ended itself with exit code 0)" in first.err
    assert "is killed, seed 0: lost (its worker process was killed by SIGKILL, possibly because memory" in first.err
    outputs = [path.read_text() for path in lab.artifacts.glob("*/output.txt")]
    assert len(outputs) == 2  # of the segfault that was made twice
    assert all("Segmentation fault" in text and "own.py" in text for text in outputs)


def test_a_run_that_crashes_twice_at_the_same_place_is_held_until_it_is_named(crashing):
    lab, (_, second, third, retried, last) = crashing
    assert second.err.count("resumes") == 3
    assert "in all 0 done, 0 left, 3 held (3 crashed)" in second.out
    assert "add --retry crashed to run them" in second.err
    assert (third.code, third.out) == (1, "nothing to do: 0 done, 0 left, 3 held (3 crashed)\n")
    assert "exits, seed 0: resumes" in retried.err
    assert (last.code, last.out) == (1, third.out)
    assert lab.query("SELECT state, error_kind, count(*) FROM attempt GROUP BY 1, 2") == [("lost", "crashed", 7)]


@pytest.mark.parametrize(
    ("cgroups", "file", "text", "count"),
    [
        ("0::/job\n", "job/memory.events", "low 0\noom 3\noom_kill 2\n", 2),
        ("0::/outside/of/this/container\n", "memory.events", "oom_kill 4\n", 4),
        ("1:cpu:/\n4:memory:/job\n0::/\n", "memory/job/memory.oom_control", "under_oom 0\noom_kill 5\n", 5),
        ("4:cpu,memory:/\n", "memory/memory.oom_control", "oom_kill 6\n", 6),
        ("0::/job\n", "job/memory.events", "low 0\n", None),
        ("0::/job\n", "elsewhere", "oom_kill 1\n", None),
        ("", "memory.events", "oom_kill 1\n", None),
    ],
)
def test_the_kernel_says_how_often_it_killed_for_memory(tmp_path, cgroups, file, text, count):
    (tmp_path / "cgroup").write_text(cgroups)
    (tmp_path / "mounted" / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "mounted" / file).write_text(text)
    assert memory_kills(tmp_path / "cgroup", tmp_path / "mounted") == count


@pytest.mark.parametrize(
    ("before", "after", "code", "state"),
    [
        (1, 2, -signal.SIGKILL, "oom"),
        (1, 1, -signal.SIGKILL, "lost"),
        (None, None, -signal.SIGKILL, "lost"),
        (1, 2, -signal.SIGSEGV, "lost"),  # the kernel killed another process meanwhile
        (1, 2, 1, "lost"),
    ],
)
def test_a_worker_that_the_kernel_killed_for_memory_is_out_of_memory(monkeypatch, before, after, code, state):
    monkeypatch.setattr(guard, "memory_kills", lambda: after)
    told = guard._Watch(0, None, 0, 0, None, before)._by(code)
    assert told.state == state
    assert told.kind == (None if state == "oom" else "crashed")
    assert ("kernel" in told.error) == (state == "oom")


MUTE = """
import sys

def run(context, *, method="__str__", base="BaseException"):
    raise type("Mute", (getattr(__builtins__, base, None) or __builtins__[base],), {method: sys.exit})(28)
"""
MUTES = """\
trials:
  - {name: mute}
  - {name: mute of the system, arguments: {base: OSError}}
  - {name: shut, arguments: {method: __getattribute__}}
"""


def test_what_raises_if_it_is_asked_for_its_message_has_failed_and_is_named(lab):
    lab.own(MUTE)
    study = lab.folder / "study.yml"
    study.write_text(study.read_text().partition("trials:")[0] + MUTES)
    ended = lab.grid()
    assert (ended.code, lab.states()) == (1, ["failed"] * 3)
    assert ended.err.count("failed (Mute: (its message cannot be read); trace: ") == 2
    assert "shut, seed 0: failed (Mute: 28; trace: " in ended.err
    assert lab.query("SELECT DISTINCT error_kind FROM attempt") == [("Mute",)]
