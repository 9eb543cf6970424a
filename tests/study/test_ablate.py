"""`ablate:` of a study: trials, names, baseline and a family of claims from switches and a design."""

import pytest

from harness.base.errors import SpecError
from harness.study.study import load_study

HEAD = """study: own
task: function
target: train.py:run
metrics: {score: maximize}
seeds: [0, 1, 2, 3, 4, 5, 6]
"""
SIX = HEAD + "ablate:\n  metric: score\n  by: 0.1\n  switches:\n" + "".join(f"    arguments.{n}: 0\n" for n in "abcdef")
THREE = "{metric: score, by: 0.1, design: DESIGN, switches: {arguments.a: 0, arguments.b: 0, c: {arguments.c: 0}}}\n"


@pytest.fixture
def load(tmp_path):
    def loaded(text):
        (tmp_path / "train.py").write_text(
            f"def run(context, {', '.join(f'{n}=1' for n in 'abcdef')}):\n    return {{}}\n"
        )
        (tmp_path / "own.yml").write_text(text)
        return load_study(tmp_path / "own.yml")

    return loaded


def of_design(design):
    return HEAD + "ablate: " + THREE.replace("DESIGN", design)


def trials(study):
    return {item.name: dict(item.trial.config["arguments"]) for item in study.trials}


def pairs(study):
    return {claim.id: [(a.name, b.name) for a, b in claim.pairs] for claim in study.claims}


def test_leave_one_out_of_six_switches(load):
    study = load(SIX)
    assert len(study.trials) == 7
    assert trials(study)["without c"] == {"c": 0}
    assert (trials(study)["whole"], study.baseline) == ({}, "whole")
    assert pairs(study) == {name: [("whole", f"without {name}")] for name in "abcdef"}
    assert {(claim.entry.says, claim.entry.by, claim.entry.family) for claim in study.claims} == {
        ("better", 0.1, "contributions")
    }


def test_leave_one_out_of_six_switches_in_eight_lines(load):
    inside = ", ".join(f"arguments.{n}: 0" for n in "abcdef")
    text = HEAD + f"ablate: {{metric: score, by: 0.1, switches: {{{inside}}}}}\n"
    assert len(text.splitlines()) <= 8
    assert pairs(load(text)) == pairs(load(SIX))


def test_add_one_in(load):
    study = load(of_design("add-one-in"))
    assert trials(study) == {
        "bare": {"a": 0, "b": 0, "c": 0},
        "a alone": {"b": 0, "c": 0},
        "b alone": {"a": 0, "c": 0},
        "c alone": {"a": 0, "b": 0},
    }
    assert (study.baseline, pairs(study)["b"]) == ("bare", [("b alone", "bare")])


def test_one_at_a_time(load):
    switches = "{arguments.a: [2, 3], arguments.b: [5]}"
    study = load(HEAD + f"ablate: {{metric: score, by: 0.1, design: one-at-a-time, switches: {switches}}}\n")
    assert trials(study) == {"whole": {}, "a 2": {"a": 2}, "a 3": {"a": 3}, "b 5": {"b": 5}}
    assert pairs(study)["a-3"] == [("whole", "a 3")]


def test_a_factorial_has_each_effect_and_interaction_as_one_contrast(load):
    study = load(of_design("factorial"))
    assert len(study.trials) == 8
    assert trials(study)["without a, c"] == {"a": 0, "c": 0}
    found = pairs(study)
    assert list(found) == ["a", "b", "c", "a-by-b", "a-by-c", "b-by-c"]
    assert all("a" not in one.removeprefix("without ").split(", ") for one, _ in found["a"])
    assert all("a" in other.removeprefix("without ").split(", ") for _, other in found["a"])
    plus = {name for name, _ in found["a-by-b"]}
    assert plus == {"whole", "without c", "without a, b", "without a, b, c"}


def test_half_a_factorial_says_what_each_effect_is_aliased_with(load):
    study = load(of_design("fractional"))
    assert list(trials(study)) == ["whole", "without b, c", "without a, c", "without a, b"]
    assert [claim.entry.why for claim in study.claims] == [f"aliased with {x}" for x in ("b × c", "a × c", "a × b")]


def test_more_trials_claims_and_a_base_of_ones_own(load):
    claim = "{id: other, a: other, b: full, metric: score, says: worse, by: 1}"
    more = f"trials:\n  - {{name: other, arguments: {{f: 9}}}}\nclaims:\n  - {claim}\n"
    study = load(of_design("leave-one-out").replace("{metric", "{name: full, base: {arguments.d: 5}, metric") + more)
    assert list(trials(study)) == ["other", "full", "without a", "without b", "without c"]
    assert trials(study)["without a"] == {"a": 0, "d": 5}
    assert [claim.id for claim in study.claims] == ["other", "a", "b", "c"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("arguments.a: 0", "argument.a: 0", "'argument.a' leads nowhere; did you mean 'arguments'?"),
        ("metric: score", "metric: scor", "has no metric 'scor'; did you mean 'score'?"),
        ("c: {arguments.c: 0}", "b: {arguments.c: 0}", "two switches are called 'b': give them names"),
        ("leave-one-out", "leave-one", "'ablate.design' must be 'leave-one-out', 'add-one-in',"),
        ("leave-one-out", "one-at-a-time", "one-at-a-time takes a list of values of 'arguments.a'"),
        (", arguments.b: 0, c: {arguments.c: 0}", "", None),
    ],
)
def test_what_a_design_cannot_take_is_refused_in_a_line(load, old, new, message):
    text = of_design("leave-one-out").replace(old, new)
    if message is None:
        text, message = text.replace("leave-one-out", "factorial"), "a factorial design takes 2 to 8 switches, not 1"
    with pytest.raises(SpecError) as caught:
        load(text)
    assert "own.yml:6: " in str(caught.value)
    assert message in str(caught.value)
