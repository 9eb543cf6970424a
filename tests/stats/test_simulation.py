"""`harness claims simulate`: what counts as wrong and as right, and that it is what real studies would give."""

import json

import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.stats.sequential import Followed, Looks, follow
from harness.stats.simulation import GAPS, Setting, Simulated, cases, is_right, simulate, wrong_verdicts
from harness.stats.verdicts import Question

LOOKS = Looks((6, 7, 8))


def test_a_simulated_study_is_followed_as_a_real_one():
    import numpy as np

    setting = Setting(Question("superiority", 1.5), (0.0, 1.0), LOOKS)
    found = simulate(setting, 20, seed=3)
    draw, seeds, right = np.random.default_rng(3), [], 0
    for _ in range(20):
        noise = GAPS["normal"](draw, (2, 8))
        gaps = {truth: (1.5 * truth + of).tolist() for truth, of in zip((0.0, 1.0), noise, strict=True)}
        made = follow({truth: Followed(setting.question, of, LOOKS) for truth, of in gaps.items()})
        seeds.append([of.seeds for of in made.values()])
        right += (made[0.0].verdict in {"contradicted", "too small"}) + (made[1.0].verdict == "supported")
    assert found.right == right / 40 > 0.2
    assert found.seeds == np.mean(seeds) < 8
    assert found.runs == np.mean([sum(of) + max(of) for of in seeds])


@pytest.mark.parametrize(
    ("hypothesis", "truth", "verdict", "right"),
    [
        ("superiority", 0, "contradicted", True),
        ("superiority", 0.5, "too small", True),
        ("superiority", 1, "supported", True),
        ("superiority", 1, "contradicted", False),
        ("non_inferiority", -1, "contradicted", True),
        ("non_inferiority", -0.9, "supported", True),
        ("equivalence", 1, "supported", False),
        ("equivalence", -0.9, "undecided", False),
    ],
)
def test_what_is_right(hypothesis, truth, verdict, right):
    (made,) = follow({"a": Followed(Question(hypothesis, 1.0), [], LOOKS)}).values()
    made = type(made)(verdict, "", 6, None, None, (None, None))
    assert is_right(Question(hypothesis, 1.0), truth, made) is right


def test_gaps_that_are_skewed_themselves_are_wrong_more_often():
    fair, skewed = (
        wrong_verdicts(("superiority", gaps, (1,)), 1, LOOKS, 1.0, 400)["wrong"]
        for gaps in ("normal", "gaps skewed up")
    )
    assert fair < 0.05 + 3 * 0.011 < skewed


def test_the_upper_limit_is_that_of_clopper_and_pearson():
    assert Simulated(20_000, 1000, 0, 0, 0).upper == pytest.approx(0.0537, abs=1e-4)
    assert Simulated(10, 0, 0, 0, 0).upper == pytest.approx(1 - 0.01**0.1)
    assert Simulated(10, 10, 0, 0, 0).upper == 1


def test_the_command_prints_both_tables_and_refuses_looks_that_no_study_could_have():
    def call(*words):
        return CliRunner().invoke(main, ["claims", "simulate", "--studies", "10", *words])

    found = json.loads(call("--looks", "6,8", "--format", "json").stdout)
    assert len(found["wrong"]) == len(cases(1)) == 9
    assert {row["gaps"] for row in found["wrong"]} == set(GAPS)
    assert [row["difference"] for row in found["right"]] == [0, 1.25, 1.5, 2]
    text = call("--looks", "6,8").stdout
    assert "claims say" in text
    assert "8 seeds at once" in text
    for looks, why in {
        "8,6": "go up",
        "6,x": "whole numbers",
        "0,8": "go up",
        "4,8": "cannot decide",
        "9,40": "at most 20",
    }.items():
        refused = call("--looks", looks)
        assert refused.exit_code == 2
        assert why in refused.stderr
