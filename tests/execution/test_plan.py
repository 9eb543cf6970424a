"""What is done, left and held, as a table of histories; no torch, no processes."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.attempt.messages import CHECKPOINT_FILE, WEIGHTS_FILE
from harness.base.keys import KEY_SCHEME
from harness.execution.plan import HELD, HELD_STATES, plan
from harness.store.queries import accepted
from harness.store.records import AttemptRecord, Snapshot, TrialRecord
from harness.study.study import load_study
from harness.trial.attempt_digest import attempt_digest

STUDY = """\
study: {name}
task: classification
dataset: digits
model: mnist_cnn
protocol: digits-quick
seeds: {seeds}
trials:
  - name: Baseline
"""
NOTHING = Snapshot(datasets={}, trials={}, study_trials=(), evaluations={}, attempts=())


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies")

    def load(name="first", seeds="[0]", more=""):
        path = folder / f"{name}.yml"
        path.write_text(more + STUDY.format(name=name, seeds=seeds))
        return load_study(path)

    return load


class History:
    """Attempts at the run of a study's only trial, told in the order of their starts."""

    def __init__(self, study, artifacts):
        self.trial = study.trials[0].trial
        self.artifacts = artifacts
        self.digest = attempt_digest(self.trial.config, self.trial.data)
        self.attempts = []

    def add(self, uid, state, *, kind="train", digest=None, left=(), evaluated=None, **fields):
        """Add an attempt; `left` are the files in its folder."""
        ended_well = state in {"done", "nan"}
        evaluated = ended_well and kind != "timing" if evaluated is None else evaluated
        key = self.trial.evaluations[0].key
        self.attempts.append(
            AttemptRecord(
                uid=uid,
                kind=kind,
                state=state,
                trial_key=self.trial.key,
                seed=fields.pop("seed", 0),
                device="cpu",
                threads=1,
                exclusive=False,
                execution={},
                environment={},
                code_digest=digest or self.digest,
                started=f"{len(self.attempts):04}",
                ended=None if state == "running" else "t",
                results={(key, "accuracy"): 0.9} if evaluated else {},
                **fields,
            )
        )
        (self.artifacts / uid).mkdir(exist_ok=True)
        for file in left:
            (self.artifacts / uid / file).touch()
        return self

    def plan(self, studies, retry=()):
        chosen = accepted(self.attempts)
        records = tuple(replace(a, accepted=a.uid in chosen) for a in self.attempts)
        trials = {a.trial_key: TrialRecord(a.trial_key, KEY_SCHEME, {"protocol": {}}) for a in records}
        return plan(studies, replace(NOTHING, trials=trials, attempts=records), self.artifacts, retry)


@pytest.fixture
def history(study, tmp_path):
    return History(study(), tmp_path)


def decided(history, study, retry=()):
    (run,) = history.plan([study()], retry).runs
    return run


def test_a_run_without_history_is_left(history, study):
    run = decided(history, study)
    assert (run.status, run.kind, run.resume_from, run.supersedes) == ("left", "train", None, None)
    assert run.evaluations == history.trial.evaluations
    assert run.label == "first: Baseline, seed 0"


def test_what_two_studies_ask_of_one_run_is_evaluated_once_each(history, study):
    third = study("third", more="evaluate: [{split: train}, {split: test}]\n")
    (run,) = history.plan([study(), third]).runs
    assert [evaluation.split for evaluation in run.evaluations] == ["test", "train"]
    (again,) = history.add("a", "done", left=(WEIGHTS_FILE,)).plan([study(), third]).runs
    assert (again.status, again.kind) == ("left", "evaluate")
    assert [evaluation.split for evaluation in again.evaluations] == ["train"]


@pytest.mark.parametrize("state", ["done", "nan"])
def test_a_run_that_ended_is_done_be_it_a_number_or_not(history, study, state):
    assert decided(history.add("a", state), study).status == "done"


@pytest.mark.parametrize("state", ["interrupted", "lost", "pruned"])
@pytest.mark.parametrize(("files", "resume"), [((CHECKPOINT_FILE,), "a"), ((), None)])
def test_what_was_cut_short_is_left_from_its_checkpoint(history, study, state, files, resume):
    run = decided(history.add("a", state, left=files), study)
    assert (run.status, run.resume_from) == ("left", resume)


@pytest.mark.parametrize("state", sorted(HELD_STATES))
def test_what_failed_is_held_until_it_is_named(history, study, state):
    history.add("a", state, left=[CHECKPOINT_FILE])
    run = decided(history, study)
    assert (run.status, run.reason) == ("held", state)
    for other in set(HELD) - {state}:
        assert decided(history, study, [other]).status == "held"
    run = decided(history, study, [state])
    assert (run.status, run.kind, run.resume_from, run.supersedes) == ("left", "train", "a", None)
    assert run.evaluations == history.trial.evaluations


def test_a_timeout_does_not_hide_the_checkpoint_before_it(history, study):
    history.add("a", "timeout", left=[CHECKPOINT_FILE]).add("b", "timeout", resumed_from="a")
    assert decided(history, study, ["timeout"]).resume_from == "a"
    history.add("c", "lost", resumed_from="a")
    run = decided(history, study)
    assert (run.status, run.resume_from) == ("left", "a")


def test_doing_it_anew_may_take_too_long_and_go_on(history, study):
    history.add("a", "done", digest="other").add("b", "timeout", supersedes="a", left=[CHECKPOINT_FILE])
    run = decided(history, study, ["stale"])
    assert (run.status, run.supersedes, run.resume_from) == ("left", "a", "b")


def test_a_retry_that_was_cut_short_resumes_and_falls_back_on_older_checkpoints(history, study):
    history.add("a", "lost", left=[CHECKPOINT_FILE]).add("b", "failed", left=[CHECKPOINT_FILE], resumed_from="a")
    history.add("c", "interrupted", resumed_from="b")
    run = decided(history, study)
    assert (run.resume_from, run.or_from) == ("b", ("a",))
    history.add("d", "oom", left=[CHECKPOINT_FILE], resumed_from="b")
    run = decided(history, study, ["oom"])
    assert (run.resume_from, run.or_from) == ("d", ("b", "a"))


def test_what_began_afresh_hides_the_checkpoints_before_it(history, study):
    """Else a run of --from-start that is killed would come back to what it was to leave alone."""
    history.add("a", "failed", left=[CHECKPOINT_FILE]).add("b", "lost")
    assert decided(history, study).resume_from is None
    history.add("c", "interrupted", left=[CHECKPOINT_FILE])
    run = decided(history, study)
    assert (run.resume_from, run.or_from) == ("c", ())


def test_what_failed_while_stale_results_are_made_anew_begins_afresh(history, study):
    history.add("a", "done", digest="other").add("b", "failed", supersedes="a", left=[CHECKPOINT_FILE])
    run = decided(history, study, ["stale"])
    assert (run.status, run.supersedes, run.resume_from) == ("left", "a", None)


def test_an_attempt_that_died_early_does_not_hide_the_checkpoint_before_it(history, study):
    history.add("a", "interrupted", left=[CHECKPOINT_FILE])
    history.add("b", "lost", resumed_from="a").add("c", "lost", resumed_from="b")
    run = decided(history, study)
    assert (run.status, run.resume_from) == ("left", "a")


def test_what_was_done_with_other_code_is_stale_until_it_is_named(history, study):
    history.add("a", "done", digest="other")
    run = decided(history, study)
    assert (run.status, run.reason) == ("held", "stale")
    assert decided(history, study, ["weights"]).status == "held"
    run = decided(history, study, ["stale"])
    assert (run.status, run.kind, run.supersedes, run.resume_from) == ("left", "train", "a", None)


def test_what_is_shown_to_give_the_same_bits_is_done(history, study):
    history.add("a", "done", digest="other")
    (attempt,) = history.attempts
    history.attempts[0] = replace(attempt, same_code=frozenset({"other", history.digest}))
    assert decided(history, study).status == "done"
    history.attempts[0] = replace(attempt, same_code=frozenset({"other", "a third"}))
    assert decided(history, study).reason == "stale"


def test_stale_done_anew_is_done(history, study):
    history.add("a", "done", digest="other").add("b", "done", supersedes="a")
    assert decided(history, study).status == "done"


def test_doing_it_anew_can_itself_be_cut_short(history, study):
    history.add("a", "done", digest="other")
    history.add("b", "interrupted", supersedes="a", left=[CHECKPOINT_FILE])
    run = decided(history, study)
    assert (run.status, run.reason) == ("held", "stale")
    run = decided(history, study, ["stale"])
    assert (run.status, run.supersedes, run.resume_from) == ("left", "a", "b")


def test_doing_it_anew_in_vain_leaves_the_old_result(history, study):
    history.add("a", "done", digest="other").add("b", "failed", supersedes="a", digest="other")
    run = decided(history, study)
    assert (run.status, run.reason) == ("held", "stale")


def test_a_lacking_evaluation_is_made_from_the_weights(history, study):
    history.add("a", "done", evaluated=False, left=[WEIGHTS_FILE])
    run = decided(history, study)
    assert (run.status, run.kind, run.weights_from, run.supersedes) == ("left", "evaluate", "a", None)
    assert run.evaluations == history.trial.evaluations


def test_an_evaluation_may_stand_on_an_attempt_from_the_weights(history, study):
    history.add("a", "done", evaluated=False, left=[WEIGHTS_FILE]).add("b", "done", kind="evaluate", weights_from="a")
    assert decided(history, study).status == "done"


def test_an_evaluation_of_superseded_weights_does_not_count(history, study):
    history.add("a", "done", digest="other", evaluated=False).add("e", "done", kind="evaluate", weights_from="a")
    history.add("b", "done", supersedes="a", evaluated=False, left=[WEIGHTS_FILE])
    run = decided(history, study)
    assert (run.status, run.kind, run.weights_from) == ("left", "evaluate", "b")


@pytest.mark.parametrize("state", sorted(HELD_STATES))
def test_an_evaluation_that_failed_is_held_too(history, study, state):
    history.add("a", "done", evaluated=False, left=[WEIGHTS_FILE]).add("b", state, kind="evaluate", weights_from="a")
    run = decided(history, study)
    assert (run.status, run.reason) == ("held", state)
    run = decided(history, study, [state])
    assert (run.status, run.kind, run.weights_from) == ("left", "evaluate", "a")


def test_an_evaluation_that_was_lost_is_left(history, study):
    history.add("a", "done", evaluated=False, left=[WEIGHTS_FILE]).add("b", "lost", kind="evaluate", weights_from="a")
    assert decided(history, study).kind == "evaluate"


def test_an_evaluation_whose_weights_are_not_here_is_held(history, study):
    history.add("a", "done", evaluated=False)
    run = decided(history, study)
    assert (run.status, run.reason) == ("held", "weights")
    assert decided(history, study, ["stale"]).status == "held"
    run = decided(history, study, ["weights"])
    assert (run.status, run.kind, run.supersedes) == ("left", "train", "a")


@pytest.mark.parametrize("kind", ["timing", "check"])
def test_other_attempts_do_not_make_a_run_done(history, study, kind):
    assert decided(history.add("a", "done", kind=kind), study).status == "left"


def test_attempts_of_another_seed_are_another_runs(history, study):
    history.add("a", "done", seed=1).add("b", "failed", seed=2)
    runs = history.plan([study("seeds", "[0, 1, 2]")]).runs
    assert [(run.seed, run.status) for run in runs] == [(0, "left"), (1, "done"), (2, "held")]


def test_a_run_in_two_studies_is_one_run(history, study):
    planned = history.plan([study(), study("second", "[0, 1]")])
    assert [(run.study, run.seed) for run in planned.runs] == [("first", 0), ("second", 1)]


def test_all_trials_have_a_seed_before_any_has_the_next(tmp_path):
    text = STUDY.format(name="seeds", seeds="[7, 3]")
    (tmp_path / "s.yml").write_text(text + "  - {name: Pooled, at: conv2, compressor: {kind: spatial, stride: 2}}\n")
    planned = plan([load_study(tmp_path / "s.yml")], NOTHING, tmp_path)
    assert [(run.name, run.seed) for run in planned.runs] == [
        ("Baseline", 7), ("Pooled", 7), ("Baseline", 3), ("Pooled", 3),
    ]  # fmt: skip


def test_where_two_machines_did_one_run_it_is_done_once(history, study):
    history.add("b", "done").add("a", "done")
    assert decided(history, study).status == "done"
    assert accepted(history.attempts) == {"a"}


def test_what_is_held_is_counted_by_reason(history, study):
    history.add("a", "oom", seed=1).add("b", "oom", seed=2).add("c", "timeout", seed=3)
    planned = history.plan([study("seeds", "[0, 1, 2, 3]")])
    assert planned.held_by_reason() == {"oom": 2, "timeout": 1}
    assert [run.seed for run in planned.of("left")] == [0]


STATES = ["done", "nan", "failed", "oom", "timeout", "pruned", "interrupted", "lost"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(STATES), max_size=6), st.sets(st.sampled_from(HELD)))
def test_whatever_happened_a_run_is_done_left_or_held(study_and_folder, states, retry):
    """Done exactly where something ended well; held exactly where the last attempt failed and is not named."""
    loaded, folder = study_and_folder
    history = History(loaded, folder)
    for number, state in enumerate(states):
        history.add(f"{number}", state)
    (run,) = history.plan([loaded], retry).runs
    if {"done", "nan"} & set(states):
        assert run.status == "done"
    elif states and states[-1] in HELD_STATES - retry:
        assert (run.status, run.reason) == ("held", states[-1])
    else:
        assert (run.status, run.kind) == ("left", "train")


@pytest.fixture(scope="module")
def study_and_folder(study, tmp_path_factory):
    return study(), Path(tmp_path_factory.mktemp("artifacts"))


CRASHED = {"state": "lost", "error_kind": "crashed"}


def point(step):
    return f'{{"split": "train", "name": "loss", "step": {step}, "value": 1.0, "flag": "ok"}}\n'


@pytest.mark.parametrize(
    ("steps", "held"),
    [
        ((None, None), True),
        ((7, 7), True),
        ((7, 3), True),
        ((7, 8), False),
        ((None, 0), False),
        ((1, 9, 9), True),
        ((9, 9, 10), False),
        ((9,), False),
    ],
)
def test_a_run_that_crashed_twice_in_a_row_is_held_unless_it_got_further(history, study, steps, held):
    for number, step in enumerate(steps):
        history.add(f"{number}", **CRASHED, left=[CHECKPOINT_FILE])
        if step is not None:
            text = "".join(map(point, range(step + 1)))
            (history.artifacts / f"{number}" / "curve.jsonl").write_text(text)
    run = decided(history, study)
    assert (run.status, run.reason) == (("held", "crashed") if held else ("left", None))
    run = decided(history, study, ["crashed"])
    assert (run.status, run.resume_from) == ("left", f"{len(steps) - 1}")


@pytest.mark.parametrize("between", ["lost", "interrupted", "timeout", "failed"])
def test_what_ended_otherwise_between_two_crashes_makes_them_none_in_a_row(history, study, between):
    history.add("a", **CRASHED).add("b", between).add("c", **CRASHED)
    assert decided(history, study).status == "left"


def test_a_driver_that_died_is_no_crash(history, study):
    history.add("a", "lost", error_kind="lost").add("b", "lost", error_kind="lost")
    assert decided(history, study).status == "left"


def test_a_curve_that_cannot_be_read_says_nothing(history, study):
    for uid in "ab":
        history.add(uid, **CRASHED)
        (history.artifacts / uid / "curve.jsonl").write_text("[]\n")
    assert decided(history, study).reason == "crashed"


@pytest.mark.parametrize(("written", "crashes", "held"), [(1, 2, False), (-1, 2, True), (1, 5, True)])
def test_without_a_curve_a_checkpoint_of_its_own_shows_that_a_function_got_further(
    history, study, written, crashes, held
):
    for number in range(crashes):
        history.add(f"{number}", **CRASHED, left=["request.json"])
        folder = history.artifacts / f"{number}"
        (folder / "checkpoint").mkdir()
        (folder / "checkpoint" / "state.pt").touch()
        os.utime(folder / "checkpoint" / "state.pt", (1000 + written, 1000 + written))
        os.utime(folder / "request.json", (1000, 1000))
    assert decided(history, study).status == ("held" if held else "left")


def test_an_evaluation_that_crashes_twice_is_held(history, study):
    history.add("a", "done", evaluated=False, left=[WEIGHTS_FILE])
    evaluates = {"kind": "evaluate", "weights_from": "a", **CRASHED}
    assert decided(history.add("b", **evaluates), study).status == "left"
    run = decided(history.add("c", **evaluates), study)
    assert (run.status, run.reason) == ("held", "crashed")
    assert decided(history, study, ["crashed"]).kind == "evaluate"
