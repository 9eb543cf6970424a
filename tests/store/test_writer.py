"""What is written is read back, once, whole or not at all."""

import math
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from harness.attempt.messages import Point, ResultValue
from harness.base.errors import HarnessError
from harness.store.queries import artifacts, curve, in_state, samples, snapshot
from harness.store.writer import add_study, end_attempt, finish_attempt, set_costs, start_attempt


def test_a_study_is_read_back(lab):
    lab.study(lab.row(4, position=1), lab.row(2, position=0))
    found = snapshot(lab.store)
    assert [(s.study, s.name, s.seeds, s.protocol_name) for s in found.study_trials] == [
        ("mnist", "pool 2", (0, 1), "mnist-paper"),
        ("mnist", "pool 4", (0, 1), "mnist-paper"),
    ]
    assert found.trials[lab.row(4).key].config == lab.config(4)
    assert {d.split for d in found.datasets.values()} == {"train", "test"}


def test_a_study_added_again_replaces_its_text_and_the_newest_of_a_name_is_last(lab):
    lab.study(lab.row(2, "pool", 5))
    lab.study(lab.row(4, "pool", 0), created="2026-02-01T00:00:00.000+00:00")
    found = snapshot(lab.store).study_trials
    assert [s.trial_key for s in found] == [lab.row(2).key, lab.row(4).key]
    assert {s.created for s in found} == {"2026-02-01T00:00:00.000+00:00"}
    assert [s.added == s.created for s in found] == [False, True]
    lab.study(lab.row(2, "pool", 0), created="2026-03-01T00:00:00.000+00:00")  # back to the first
    assert [s.trial_key for s in snapshot(lab.store).study_trials] == [lab.row(4).key, lab.row(2).key]
    assert lab.count("study") == 1


def test_adding_a_study_is_all_or_nothing(lab):
    bad = replace(lab.row(4), protocol_name=None)
    with pytest.raises(Exception, match="NOT NULL"):
        add_study(lab.store, name="s", spec_yaml="x", created="t", trials=[lab.row(2), bad])
    assert lab.count("study") == lab.count("trial") == lab.count("dataset") == 0


def test_an_attempt_is_running_until_it_ends(lab):
    request = lab.start("u1", seed=3, supersedes="u0", weights_from="w0")
    (only,) = in_state(lab.store, "running")
    assert (only.uid, only.seed, only.supersedes, only.weights_from) == ("u1", 3, "u0", "w0")
    assert only.ended is None
    assert not only.accepted
    assert set(snapshot(lab.store).evaluations) == {e.key for e in request.evaluations}
    finish_attempt(lab.store, lab.result("u1"))
    assert in_state(lab.store, "running") == ()


def test_no_attempt_ends_before_it_started_though_the_clock_was_set_back(lab):
    for uid in ("u1", "u2"):
        lab.start(uid, started="2026-01-02T00:00:00.000+00:00")
    finish_attempt(lab.store, replace(lab.result("u1"), ended="2026-01-01T00:00:00.000+00:00"))
    end_attempt(lab.store, "u2", "lost", "lost", "it died", "2026-01-01T00:00:00.000+00:00")
    assert [a.ended for a in snapshot(lab.store).attempts] == ["2026-01-02T00:00:00.000+00:00"] * 2


def test_everything_an_attempt_found_is_read_back(lab, clean, noisy):
    lab.attempt("u1", "nan")
    given = lab.result("u1")
    (found,) = snapshot(lab.store).attempts
    assert (found.state, found.device, found.threads, found.code_digest) == ("nan", "cpu", 2, "code1")
    assert found.environment == given.environment
    assert found.execution == given.execution
    assert found.results == {(clean.key, "accuracy"): 0.9885, (noisy.key, "psnr_db"): -math.inf}
    assert found.measures == {"train_s_per_epoch": 1.25, "peak_memory_bytes": 1e9}
    assert curve(lab.store, "u1") == tuple(sorted(given.curve, key=lambda p: (p.split, p.name, p.step)))
    assert samples(lab.store, "u1") == given.samples
    assert artifacts(lab.store, "u1") == given.artifacts


def test_numbers_that_nobody_flagged_and_numpys_are_stored_as_numbers(lab, clean):
    points = (
        Point("a", "x", 1, math.nan),
        Point("a", "x", np.int64(2), np.float32(0.5)),
        Point("a", "x", 3, -math.inf),
    )
    results = (ResultValue(clean.key, "accuracy", math.nan),)
    lab.attempt("u1", finding={"curve": points, "results": results})
    assert [(p.step, p.value, p.flag) for p in curve(lab.store, "u1")] == [
        (1, None, "nan"),
        (2, 0.5, "ok"),
        (3, None, "-inf"),
    ]
    assert math.isnan(snapshot(lab.store).attempts[0].results[clean.key, "accuracy"])


def test_a_point_that_comes_twice_counts_as_it_came_last(lab):
    lab.attempt("u1", finding={"curve": (Point("a", "x", 1, 0.25), Point("a", "x", 1, 0.5))})
    assert curve(lab.store, "u1") == (Point("a", "x", 1, 0.5),)


def test_a_result_is_taken_in_once(lab):
    lab.attempt("u1")
    before = snapshot(lab.store)
    assert not finish_attempt(lab.store, lab.result("u1", "failed"))
    assert snapshot(lab.store) == before


def test_a_result_may_follow_a_lost_one_but_no_other(lab):
    for uid, state in (("u1", "lost"), ("u2", "failed")):
        lab.start(uid)
        assert end_attempt(lab.store, uid, state, "Killed", "gone", "2026-01-02T00:30:00.000+00:00")
    assert finish_attempt(lab.store, lab.result("u1"))
    assert not finish_attempt(lab.store, lab.result("u2"))
    first, second = snapshot(lab.store).attempts
    assert (first.state, first.error) == ("done", None)
    assert (second.state, second.error_kind, second.error) == ("failed", "Killed", "gone")


def test_only_a_running_attempt_can_be_ended(lab):
    lab.attempt("u1")
    assert not end_attempt(lab.store, "u1", "lost", None, None, "t")
    assert snapshot(lab.store).attempts[0].state == "done"


def test_an_attempt_that_reports_what_nobody_asked_for_changes_nothing(lab):
    lab.start("u1")
    result = lab.result("u1", results=(ResultValue("0" * 32, "accuracy", 1.0),))
    with pytest.raises(HarnessError, match="an evaluation that nobody asked for"):
        finish_attempt(lab.store, result)
    assert in_state(lab.store, "running")[0].uid == "u1"
    assert lab.count("metric") == lab.count("env") == 0


def test_unknown_and_repeated_attempts_are_refused(lab):
    with pytest.raises(HarnessError, match="attempt u1 is not in the store"):
        finish_attempt(lab.store, lab.result("u1"))
    request = lab.start("u1")
    with pytest.raises(HarnessError, match="attempt u1 is in the store already"):
        start_attempt(lab.store, request, exclusive=False, started="t")


def test_one_environment_is_stored_once(lab):
    lab.attempt("u1")
    lab.attempt("u2", seed=1)
    assert lab.count("env") == 1
    assert lab.store.db.conn.execute("SELECT git_sha, dirty, host FROM env").fetchone() == (
        "0f1e2d",
        0,
        "lab-7",
    )


def test_costs_are_replaced_by_name(lab):
    lab.study()
    key = lab.row().key
    set_costs(lab.store, key, {"parameters": 10, "macs": np.int64(5)})
    set_costs(lab.store, key, {"parameters": 12})
    assert snapshot(lab.store).trials[key].costs == {"parameters": 12.0, "macs": 5.0}
    with pytest.raises(HarnessError, match="no trial with key"):
        set_costs(lab.store, "f" * 32, {"parameters": 1})


KILLED = """
import os, sys
from harness.store import rows, writer
from harness.store.connection import open_store
from harness.attempt.messages import AttemptResult, Point
curve = tuple(Point("train", "loss", n, 1.0) for n in range(5000))
put = writer.put_findings
def put_and_die(*given):
    put(*given)
    os._exit(9)  # everything is written, nothing is committed
writer.put_findings = put_and_die
result = AttemptResult("u2", "done", "t", "t", {}, {"host": "x"}, None, curve=curve)
writer.finish_attempt(open_store(sys.argv[1]), result)
"""


def test_a_writer_killed_within_a_transaction_loses_nothing_and_leaves_nothing(lab, path):
    lab.attempt("u1")
    lab.start("u2", seed=1)
    before = snapshot(lab.store)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], env={**os.environ}, check=False)
    assert killed.returncode == 9
    assert snapshot(lab.store) == before
    assert curve(lab.store, "u2") == ()
    assert finish_attempt(lab.store, lab.result("u2"))
    assert lab.store.db.conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_of_an_error_of_megabytes_a_person_gets_the_beginning(lab):
    """All of it is in the attempt's trace."""
    lab.start("u1")
    assert finish_attempt(lab.store, replace(lab.result("u1", "failed"), error="x" * 50_000_000))
    lab.start("u2", seed=1)
    assert end_attempt(lab.store, "u2", "failed", "E", "y" * 50_000_000, "2026-01-02T00:30:00.000+00:00")
    errors = [str(a.error) for a in snapshot(lab.store).attempts]
    assert [error[0] for error in errors] == ["x", "y"]
    assert all(len(error) < 2_100 and "50,000,000 characters" in error for error in errors)
