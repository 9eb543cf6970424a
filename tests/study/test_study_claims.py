"""`claims:` of a study file: which trials, seeds and evaluation each is about, and what is refused in one line."""

import pytest

from harness.base.errors import SpecError
from harness.study.study import load_study

FUNCTION = "def run(context, *, kind='a', width=1):\n    return {'score': 1.0, 'loss': 1.0}\n"
STUDY = """study: own
task: function
target: train.py:run
metrics: {score: maximize, loss: minimize}
seeds: [0, 1, 2]
baseline: "a 1"
trials:
  - {name: "{arguments.kind} {arguments.width}", grid: {arguments.kind: [a, b, c], arguments.width: [1, 2]}}
claims:
  - {id: one, a: "b 1", b: "a 1", metric: score, says: better, by: 0.01}
  - {id: group, a: {arguments.kind: b}, b: {arguments.kind: c}, metric: loss, says: not_worse, by: 1}
"""


@pytest.fixture
def load(tmp_path):
    (tmp_path / "train.py").write_text(FUNCTION)

    def loaded(text=STUDY):
        (tmp_path / "own.yml").write_text(text)
        return load_study(tmp_path / "own.yml")

    return loaded


def pairs(claim):
    return [(a.name, b.name) for a, b in claim.pairs]


def test_two_trials_and_two_groups_that_are_paired_by_everything_else(load):
    one, group = load().claims
    assert pairs(one) == [("b 1", "a 1")]
    assert pairs(group) == [("b 1", "c 1"), ("b 2", "c 2")]
    assert group.content()["better"] == "lower"
    assert (one.seeds, one.metric.name, load().baseline) == ((0, 1, 2), "score", "a 1")


def test_a_group_against_one_trial_has_it_in_every_pair(load):
    text = STUDY.replace("b: {arguments.kind: c}", 'b: "a 1"')
    assert pairs(load(text).claims[1]) == [("b 1", "a 1"), ("b 2", "a 1")]


def test_seeds_of_its_own_are_those_alone(load):
    text = STUDY.replace("says: better", "seeds: [2], says: better")
    assert [claim.seeds for claim in load(text).claims] == [(2,), (0, 1, 2)]


def test_claims_of_an_included_study_stay_its_own(load, tmp_path):
    load()
    (tmp_path / "more.yml").write_text("study: more\ninclude: own.yml\n")
    more = load_study(tmp_path / "more.yml")
    assert (len(more.trials), more.claims, more.baseline) == (6, (), None)


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ('a: "b 1"', 'a: "b1"', 10, "no trial is called 'b1'; did you mean 'b 1'?"),
        ('a: "b 1"', 'a: "a 1"', 10, "'a 1' is on both sides of the claim"),
        ("metric: score", "metric: scor", 10, "'b 1' has no metric 'scor'; did you mean 'score'?"),
        ("says: better", "says: best", 10, "'says' must be 'better', 'not_worse', 'equal' or 'worse', not 'best'"),
        ("by: 0.01", "by: 0", 10, "'by' must be greater than 0, not 0"),
        ("by: 0.01", "by: 0.01, wy: x", 10, "unknown key 'wy'; did you mean 'why'?"),
        ("says: better", "on: {sigma: 5}, says: better", 10, "the trials of 'one' have no evaluation that 'on' means"),
        ("says: better", "seeds: [7], says: better", 10, "the trials of 'one' have no shared seeds among [7]"),
        ("id: group", "id: one", 11, "two claims are called 'one'"),
        ("{arguments.kind: c}", "{arguments.kin: c}", 11, "'arguments.kin' leads nowhere: no trial sets it; did you"),
        ("{arguments.kind: c}", "{arguments.kind: d}", 11, "no trial of the study has arguments.kind d"),
        (
            "{arguments.kind: c}",
            "{arguments.kind: [a, c]}",
            11,
            "'b 1' has several partners in b (a 1, c 1); trials are",
        ),
        ("id: group, a: {arguments.kind: b}", 'id: two, a: "b 1"', 11, None),
        ('baseline: "a 1"', "baseline: a", 6, "no trial is called 'a'"),
    ],
)
def test_what_cannot_be_tested_is_refused_with_its_line(load, old, new, line, message):
    text = STUDY.replace(old, new, 1)
    if message is None:
        assert pairs(load(text).claims[1]) == [("b 1", "c 1"), ("b 1", "c 2")]
        return
    with pytest.raises(SpecError) as caught:
        load(text)
    assert f"own.yml:{line}: " in str(caught.value)
    assert message in str(caught.value)


def test_two_claims_that_say_the_same_are_refused(load):
    again = (
        '  - {id: again, a: {arguments.kind: b, arguments.width: 1}, b: "a 1", metric: score, says: better, by: 0.01}\n'
    )
    with pytest.raises(SpecError, match="'again' says the same as 'one'"):
        load(STUDY + again)
