"""Trials that ask for executors of their own, in one call beside those that do not."""

import os

import pytest

from harness.base.errors import HarnessError
from harness.execution.executors.base import Ended
from harness.execution.executors.several import Several

OWN = """
import os

def run(context, *, how):
    return {"m": float(os.getpid())}
"""
STUDY = """\
study: own
task: function
target: own.py:run
metrics: {m: maximize}
seeds: [0, 1]
execution: {threads: 1}
trials:
  - {name: in a worker, arguments: {how: 1}}
  - {name: in the driver, arguments: {how: 2}, executor: in-process}
"""


@pytest.fixture
def mixed(lab):
    (lab.folder / "own.py").write_text(OWN)
    (lab.folder / "study.yml").write_text(STUDY)
    return lab


def made_by(lab):
    """Return the process that made each run, by the trial's name."""
    rows = lab.query(
        """SELECT st.name, x.value FROM result x JOIN attempt a ON a.id = x.attempt_id JOIN run r ON r.id = a.run_id
        JOIN study_trial st ON st.trial_id = r.trial_id WHERE x.name = 'm' ORDER BY 1, 2"""
    )
    return {name: {int(value) for other, value in rows if other == name} for name, _ in rows}


def test_each_trial_runs_where_it_asks_to(mixed):
    ended = mixed.grid()
    assert ended.code == 0, ended.err
    found = made_by(mixed)
    assert found["in the driver"] == {os.getpid()}
    assert len(found["in a worker"]) == 2
    assert os.getpid() not in found["in a worker"]
    assert "4 done" in ended.out


def test_the_command_line_decides_for_all(mixed):
    ended = mixed.grid("--executor", "local")
    assert ended.code == 0, ended.err
    assert all(os.getpid() not in pids for pids in made_by(mixed).values())


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("executor: in-proces", "unknown executor 'in-proces'; did you mean 'in-process'?"),
        ("executor: {kind: slurm, minuts: 5}", "the executor 'slurm': unknown key 'minuts'; did you mean 'minutes'?"),
        ("executor: {minutes: 5}", "'executor.kind' is missing"),
    ],
)
def test_one_that_there_is_not_is_refused_before_anything_runs(mixed, written, message):
    (mixed.folder / "study.yml").write_text(STUDY.replace("executor: in-process", written))
    ended = mixed.grid()
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert message in ended.err
    assert not mixed.db.exists()


class Fake:
    """An executor whose attempts end when they are told to."""

    def __init__(self, slots):
        self.slots, self.running, self.ends, self.left = slots, [], [], False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.left = True

    def start(self, folder, timeout_s):
        self.running.append((folder, timeout_s))

    def wait(self, timeout_s):
        ended, self.ends = [Ended(folder) for folder in self.ends], []
        return ended

    def kill(self):
        self.ends = [folder for folder, _ in self.running]


def test_several_are_one(tmp_path):
    here, there = Fake(1), Fake(2)
    a, b, c = (tmp_path / name for name in "abc")
    with Several({"here": here}, {"there": there}.__getitem__) as both:
        assert (both.slots, both.has_room("here")) == (1, True)
        both.start(a, None, "here")
        assert not both.has_room("here")
        assert (both.has_room("there"), both.slots) == (True, 3)
        both.start(b, 5.0, "there")
        both.start(c, 5.0, "there")
        assert not both.has_room("there")
        assert there.running == [(b, 5.0), (c, 5.0)]
        here.ends, there.ends = [a], [c]
        assert {one.folder for one in both.wait(0)} == {a, c}
        assert (both.has_room("here"), both.has_room("there")) == (True, True)
        both.kill()
        assert [one.folder for one in both.wait(0)] == [b, c]
    assert (here.left, there.left) == (True, True)


def test_one_of_which_nobody_has_heard_is_no_secret():
    def make(where):
        raise HarnessError(f"no {where}")

    with Several({}, make) as none, pytest.raises(HarnessError, match="no such"):
        none.has_room("such")
