"""Seeds that run until the claims of a study are decided, by the commands: look by look, resumed, and never twice."""

import json
from contextlib import chdir
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.report.claims.study_claims import study_findings
from harness.store.connection import open_store
from harness.store.queries import snapshot

TRAIN = """GAINS = {
    "good": [5.0, 2.8, 4.5, 5.5, 4.2, 4.4, 1.0, 4.0],
    "same": [0.1, -1.6, 0.9, -0.4, 0.4, 1.3, -1.0, -0.3],
    "slow": [-0.4, 3.0, 1.3, -1.2, -1.6, 1.8, 3.1, 0.2],
}


def run(context, *, kind="base"):
    gain = GAINS[kind][context.seed] if kind in GAINS else 0
    return {"score": 50 + 3 * context.seed + gain}
"""
STUDY = """study: own
task: function
target: train.py:run
metrics: {score: maximize}
seeds: {until: decided, at_most: 8, looks: [6, 7, 8]}
baseline: base
trials:
  - {name: "{arguments.kind}", grid: {arguments.kind: [base, good, same]}}
claims:
  - {id: good, a: good, b: base, metric: score, says: better, by: 1, family: one}
  - {id: same, a: same, b: base, metric: score, says: equal, by: 1.5, family: other}
"""


@pytest.fixture
def lab(tmp_path):
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "own.yml").write_text(STUDY)
    with chdir(tmp_path):
        yield tmp_path


def call(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)


def run(*more):
    return call("run", "grid", "own.yml", "--executor", "in-process", *more)


def runs():
    """Return how many runs each trial has, and how many attempts there are."""
    with open_store("results/harness.db") as store:
        found = snapshot(store)
    names = {place.trial_key: place.name for place in found.study_trials}
    return {name: len(found.runs(key)) for key, name in names.items()}, len(found.attempts)


def findings():
    with open_store("results/harness.db") as store:
        return {(f.id, f.withdrawn is None): f for f in study_findings(snapshot(store), "own")}


def test_rows_stop_when_they_are_decided_and_the_baseline_last(lab):
    assert [row["left"] for row in json.loads(run("--dry-run", "--format", "json").stdout)] == [6, 6, 6]
    done = run()
    assert done.exit_code == 0
    assert runs() == ({"base": 7, "good": 6, "same": 7}, 20)
    assert "claim good: supported at look 1 of 3 (6 seeds), sequential p 0.05\nclaim same: supported at" in done.stdout
    assert "4 runs fewer than all seeds would take" in done.stdout
    assert "[20/20]" in done.stderr
    good, same = findings()["good", True], findings()["same", True]
    assert (good.seeds, good.looks, good.looked) == (tuple(range(6)), (6, 7, 8), 6)
    assert (same.looked, same.p, same.p_against, same.exploratory) == (7, 0.025, None, False)
    assert (same.p_all, good.p_all) == (0.05, 0.1)
    short = call("report", "findings", "--study", "own", "--check")
    assert short.exit_code == 0
    assert "]; at look 2 of 3 (7 seeds), sequential p 0.025\n" in short.stdout
    printed = call("report", "findings", "--study", "own", "--long")
    decided = "decided at look 2 of 3 (at 6, 7, 8 seeds); sequential p for the claim 0.025, against it above 0.05"
    assert decided in printed.stdout
    assert "(95%, repeated), seeds 0–6" in printed.stdout
    assert "nothing to do: 20 done, 0 left, 0 held" in run().stdout
    assert runs()[1] == 20


def test_a_second_call_runs_only_what_is_missing_within_a_look_and_between(lab):
    run("--limit", 7)
    assert (sum(runs()[0].values()), findings()["good", True].verdict) == (7, "undecided")
    stopped = run("--limit", 12)  # ends in the second look
    assert runs()[1] == 19
    assert "claim same: undecided after look 1 of 3 (6 seeds)" in stopped.stdout
    assert "this call: 12 done; in all 19 done, 1 left, 0 held" in stopped.stdout
    assert call("report", "findings", "--study", "own", "--check").exit_code == 3
    run()
    assert runs() == ({"base": 7, "good": 6, "same": 7}, 20)


def test_seeds_that_have_run_beyond_a_look_decide_nothing(lab):
    run()
    decided = findings()["good", True]
    more = STUDY[: STUDY.index("claims:")].replace("study: own", "study: more")
    Path("own.yml").write_text(more.replace("{until: decided, at_most: 8, looks: [6, 7, 8]}", "[7, 6]"))
    run()
    assert runs()[0]["good"] == 8
    assert findings()["good", True] == decided


def test_other_looks_are_another_claim_which_is_exploratory(lab):
    run()
    Path("own.yml").write_text(STUDY.replace("[6, 7, 8]", "[7, 8]"))
    run()
    new, old = findings()["good", True], findings()["good", False]
    assert (new.looked, new.exploratory, new.looks) == (7, True, (7, 8))
    assert (old.verdict, old.earlier, old.looked, old.replaced) == ("withdrawn", "supported", 6, True)


def test_a_run_that_fails_keeps_its_claims_from_the_look_and_no_others(lab):
    Path("train.py").write_text(
        TRAIN.replace("    gain =", "    assert (kind, context.seed) != ('good', 4)\n    gain =")
    )
    failed = run()
    assert failed.exit_code == 1
    assert runs()[0] == {"base": 7, "good": 5, "same": 7}
    assert (findings()["good", True].looked, findings()["same", True].looked) == (0, 7)
    assert "claim good: undecided before its first look (6 seeds)" in failed.stdout


def test_a_claim_with_a_nan_takes_no_further_seeds(lab):
    never = "(kind, context.seed) == ('same', 2)"
    Path("train.py").write_text(
        TRAIN.replace("    return", f"    gain = float('nan') if {never} else gain\n    return")
    )
    run()
    assert runs()[0] == {"base": 6, "good": 6, "same": 6}
    assert findings()["same", True].why == "a run gave nan, so that no number of seeds decides it"


def test_the_most_seeds_end_it(lab):
    Path("own.yml").write_text(STUDY.replace("good", "slow"))
    done = run("--only", "[bs][al][so]*")
    assert runs()[0]["slow"] == 8
    assert "claim slow: undecided after look 3 of 3 (8 seeds)" in done.stdout
    assert findings()["slow", True].why == "neither the claim nor its opposite is shown"
