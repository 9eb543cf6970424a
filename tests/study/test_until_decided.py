"""`seeds: {until: decided, …}` of a study file: what it stands for, what is stored of it, and what is refused."""

import pytest

from harness.base.errors import SpecError
from harness.store.claims import claim_fault
from harness.study.grid import Override
from harness.study.study import load_study

STUDY = """study: own
task: function
target: train.py:run
metrics: {score: maximize}
seeds: {until: decided, at_most: 20, looks: [10, 13, 16, 20]}
trials:
  - {name: "{arguments.kind}", grid: {arguments.kind: [a, b, c]}}
claims:
  - {id: one, a: b, b: a, metric: score, says: better, by: 0.01}
  - {id: two, a: c, b: a, metric: score, says: better, by: 0.01}
"""


@pytest.fixture
def load(tmp_path):
    (tmp_path / "train.py").write_text("def run(context, *, kind='a'):\n    return {'score': 1.0}\n")

    def loaded(text=STUDY, overrides=()):
        (tmp_path / "own.yml").write_text(text)
        return load_study(tmp_path / "own.yml", overrides)

    return loaded


def test_it_has_all_seeds_that_there_may_be_and_its_claims_their_looks(load):
    study = load()
    assert all(item.seeds == tuple(range(20)) for item in study.trials)
    content = study.claims[0].content()
    assert content["looks"] == {"alpha": 0.05, "at": [10, 13, 16, 20], "spending": "obrien-fleming"}
    assert content["seeds"] == list(range(20))
    assert claim_fault(content) is None
    fresh = load(STUDY.replace("20, looks", "20, first: 100, looks"))
    assert fresh.claims[0].seeds == tuple(range(100, 120))


@pytest.mark.parametrize("at", [[], [0, 20], [20, 10], [10, 10, 20], [10, 40], ["10"], [10.0, 20]])
def test_looks_that_come_from_anywhere_are_checked(load, at):
    content = load().claims[0].content()
    assert claim_fault({**content, "looks": {**content["looks"], "at": at}}) == "has no 'looks' that can be used"
    assert claim_fault({**content, "looks": {**content["looks"], "alpha": 0.5}}) is not None


def test_what_set_makes_says_its_own_seeds(load):
    with pytest.raises(SpecError, match=r"own\.yml:5: --set makes trials that no claim is about: say how many seeds"):
        load(overrides=[Override("arguments.kind", "d")])
    one = load(overrides=[Override("arguments.kind", "d"), Override("seeds", [3])])
    assert (one.until, one.claims, one.trials[0].seeds) == (None, None, (3,))


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("[10, 13,", "[9, 13,", 5, "a look at 9 seeds cannot decide any of the 2 claims: the next that can is 10"),
        (" 16, 20]}", " 16]}", 5, "the last look is the one at 'at_most', 20 seeds, not 16"),
        ("[10, 13, 16, 20]", "[13, 10, 20]", 5, "looks must go up, not [13, 10, 20]"),
        ("20, looks: [10, 13, 16, 20]", "4, looks: [4]", 5, "a look at 4 seeds cannot decide any of the 2 claims: no"),
        ("at_most: 20, looks: [10, 13, 16, 20]", "at_most: 40, looks: [40]", 5, "at_most' must be less than or equal"),
        (", looks: [10, 13, 16, 20]", "", 5, "'seeds.looks' is missing"),
        ("until: decided", "until: bored", 5, "'seeds.until' must be 'decided', not 'bored'"),
        ("until: decided, ", "untill: decided, ", 5, "unknown key 'untill'"),
        ("at_most: 20", "at_most: twenty", 5, "'seeds.at_most' must be a whole number"),
        ("seeds: {until: decided, at_most: 20, looks: [10, 13, 16, 20]}", "seeds: twenty", 5, "'seeds' must be a list"),
        ("{id: one,", "{id: one, seeds: [1],", 9, "run until the claims are decided are those of all claims"),
        ("b, c]}}", "b]}}\n  - {name: c, arguments: {kind: c}, seeds: [0, 1]}", 11, "'c' has seeds of its own"),
        ('kind}", grid', 'kind}", seeds: {until: decided}, grid', 7, "'seeds' must be a list"),
    ],
)  # fmt: skip
def test_what_is_refused(load, old, new, line, message):
    assert old in STUDY
    with pytest.raises(SpecError) as error:
        load(STUDY.replace(old, new, 1))
    assert f"own.yml:{line}: " in str(error.value)
    assert message in str(error.value)


def test_a_study_without_claims_has_nothing_to_decide(load):
    with pytest.raises(SpecError, match=r"own\.yml:5: 'until: decided' needs claims to decide"):
        load(STUDY[: STUDY.index("claims:")])
