"""Optuna's dashboard of a search, made from the store."""

import json

import pytest

from harness.base.errors import HarnessError
from harness.search.dashboard import dashboard, get
from harness.search.ledger import Ledger
from harness.store.connection import open_reader


def test_each_known_placement_is_a_trial_of_the_dashboard(desk):
    pytest.importorskip("optuna_dashboard")
    result = desk.run("sampler=brute")
    with open_reader(desk.db) as store:
        app = dashboard(Ledger(desk.search("sampler=brute"), store, desk.options()))
    (summary,) = json.loads(get(app, "/api/studies"))["study_summaries"]
    assert (summary["study_name"], summary["directions"]) == ("small", ["maximize", "minimize"])
    trials = json.loads(get(app, f"/api/studies/{summary['study_id']}?after=0"))["trials"]
    assert len(trials) == result.members == 6
    shown = {trial["params"][0]["param_external_value"]: trial["values"] for trial in trials}
    assert [float(value) for value in shown["8"]] == pytest.approx([0.75, 800.0])
    assert {trial["state"] for trial in trials} == {"Complete"}
    with pytest.raises(HarnessError, match="404"):
        get(app, "/api/nothing")


def test_what_failed_is_shown_as_failed(desk, executor):
    pytest.importorskip("optuna_dashboard")
    desk.run("sampler=brute", executor=executor(lambda request: "failed" if request.config["compressors"] else 0.5))
    with open_reader(desk.db) as store:
        app = dashboard(Ledger(desk.search("sampler=brute"), store, desk.options()))
    trials = json.loads(get(app, "/api/studies/0?after=0"))["trials"]
    assert sorted(trial["state"] for trial in trials) == ["Complete", *["Fail"] * 5]
