"""What is stored by code that has changed since: one run shows that it is today's, or all are made anew."""

import shutil
import sqlite3
from contextlib import closing

import pytest

TEXT = """\
study: tiny
task: classification
dataset: digits
model: mnist_cnn
protocol: {kind: digits-quick, epochs: 1, batch_size: 250}
seeds: [0, 1, 2]
execution: {threads: 1}
trials:
  - {name: Narrow, at: conv2, compressor: {kind: width, stride: 16}}
"""


@pytest.fixture(scope="module")
def made(new_lab):
    """A store with three runs, whose code has changed since."""
    lab = new_lab()
    (lab.folder / "study.yml").write_text(TEXT)
    assert lab.grid().code == 0
    change(lab.db, "UPDATE attempt SET code_digest = 'older'")
    return lab.folder


@pytest.fixture
def stale(lab, made):
    shutil.copytree(made, lab.folder, dirs_exist_ok=True)
    return lab


def change(db, statement):
    with closing(sqlite3.connect(db)) as conn:
        conn.execute(statement)
        conn.commit()


def test_one_run_with_equal_bits_shows_that_all_are_todays(stale):
    planned = stale.here("run", "renew", "study.yml", "--dry-run")
    assert (planned.code, planned.err) == (0, "")
    assert "\n3 stale runs can be made on " in planned.out
    assert ": 1 to repeat first, " in planned.out
    assert "0 done, 0 left, 3 held (3 stale)" in stale.here("run", "grid", "study.yml", "--dry-run").out
    ended = stale.here("run", "renew", "study.yml")
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[-1] == "3 runs were stale: 1 made again, 2 shown to be today's"
    assert "3 done, 0 left, 0 held" in stale.here("run", "grid", "study.yml", "--dry-run").out
    assert stale.here("run", "renew", "study.yml").out == "nothing is stale\n"


def test_a_run_with_other_bits_has_all_made_anew(stale):
    change(stale.db, "UPDATE result SET value = value + 0.001 WHERE name = 'accuracy'")
    ended = stale.here("run", "renew", "study.yml")
    assert ended.code == 0, ended.err
    assert "not shown by equal bits: 2 more runs are made again" in ended.out
    assert ended.out.splitlines()[-1] == "3 runs were stale: 3 made again, 0 shown to be today's"
    assert "3 done, 0 left, 0 held" in stale.here("run", "grid", "study.yml", "--dry-run").out


def test_runs_of_another_model_of_device_stay(stale):
    change(stale.db, "UPDATE env SET device = 'Another CPU'")
    ended = stale.here("run", "renew", "study.yml")
    assert (ended.code, ended.err) == (0, "")
    assert "Another CPU" in ended.out
    assert ": 0 to repeat first, 0 s; if all of them differ, 0 s in all; 3 stay as they are" in ended.out
    found = stale.here("results", "verify", "--db", stale.db).out
    assert "Another CPU: 3 of code that has changed since" in found
