"""Two methods over seeds and two networks over images: by hand, and through the commands."""

import json
import math
import re
import struct
from pathlib import Path

import pytest
import scipy.stats
from click.testing import CliRunner
from records import correct

from harness.attempt.messages import Sample
from harness.base.errors import HarnessError
from harness.cli import main
from harness.stats.comparison import (
    corrected,
    difference,
    mcnemar_of,
    methods,
    networks,
    spread,
    unpacked,
)

PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "published" / "mnist.jsonl"
BASELINE, TOPK = "mnist:Baseline", "mnist:Feature pooling (top-k), 50%"


def call(*words, code=0):
    done = CliRunner().invoke(main, ["report", *words, "--from", str(PUBLISHED)])
    assert done.exit_code == code, done.output
    return done


def test_a_spread_by_hand():
    found = spread({0: 0.1, 1: 0.4, 2: 0.2})
    assert (found.seeds, found.mean, found.best) == ((0, 1, 2), pytest.approx(0.7 / 3), 0.4)
    assert found.best_of_two == pytest.approx((0.4 + 0.4 + 0.2) / 3)
    assert spread({0: 0.1, 1: 0.4}, "lower").bias_of_two == pytest.approx(-0.15)
    assert spread({0: 0.1, 1: math.nan}).best == 0.1
    assert (spread({0: 0.1, 1: math.nan}).best_of_two, spread({0: 0.1}).best_of_two) == (None, None)


def test_methods_are_paired_only_where_they_are_alike():
    a, b = {0: 0.1, 1: 0.2, 2: 0.3}, {1: 0.25, 2: 0.31, 3: 0.9}
    paired = methods(a, b, alike=True)
    assert (paired.shared, paired.difference) == ((1, 2), pytest.approx(0.03))
    assert (paired.sign_flip.p, paired.sign_flip.can_tell) == (0.5, False)
    apart = methods(a, b, alike=False)
    assert (apart.shared, apart.sign_flip, apart.student_95) == ((), None, None)
    assert apart.difference == pytest.approx(1.46 / 3 - 0.2)
    expected = scipy.stats.mannwhitneyu([0.1, 0.2, 0.3], [0.25, 0.31, 0.9], method="exact").pvalue
    assert apart.mann_whitney.p == paired.mann_whitney.p == pytest.approx(expected)


def test_a_difference_over_fewer_seeds_than_the_means_says_so():
    partly = methods({0: 0.1, 1: 0.2, 2: 0.3}, {1: 0.25, 2: 0.31, 3: 0.9}, alike=True)
    assert partly.paired_means == (0.25, 0.28)
    assert partly.over == (
        "paired by seed, 2 pairs (seeds 1, 2; over these alone A 0.25, B 0.28: the means above are over all seeds)"
    )
    wholly = methods({0: 0.1, 1: 0.2}, {0: 0.2, 1: 0.3}, alike=True)
    assert (wholly.paired_means, wholly.over) == (None, "paired by seed, 2 pairs")
    assert methods({0: 0.1}, {1: 0.2}, alike=True).over == "not paired: other seeds, protocol or data"


def test_what_tables_and_commands_compare_by_is_one_difference():
    a, b = {0: 0.1, 1: 0.2, 2: 0.3}, {1: 0.25, 2: 0.31, 3: 0.9}
    one, both = difference(a, b), methods(a, b, alike=True)
    assert (one.seeds, one.mean, one.p, one.smallest_p) == ((1, 2), 0.03, 0.5, 0.5)
    assert (one.seeds, one.mean, (one.low_95, one.high_95)) == (both.shared, both.difference, both.student_95)
    assert (one.p, one.smallest_p, one.draws) == (both.sign_flip.p, both.sign_flip.smallest_p, both.sign_flip.draws)
    assert (one.p_holm, one.tests) == (0.5, 1)
    assert difference({0: 0.1}, {1: 0.2}) is None
    broken = difference({0: 0.1}, {0: math.nan})
    found = corrected({"x": one, "y": one, "z": broken})
    assert [(d.p_holm, d.tests) for d in found.values()][:2] == [(1.0, 2), (1.0, 2)]
    assert math.isnan(found["z"].p_holm)


def test_mcnemar_counts_the_same_images_for_tables_and_commands():
    a, b = correct([1, 1, 0, 0, 1, 1, 1, 1, 1, 1]), correct([1, 0, 1, 1, 1, 1, 1, 1, 1, 1])
    pair, both = mcnemar_of(a, b, (3, 5)), networks(a, b)
    assert (pair.seed, pair.against_seed, pair.only_this, pair.only_against) == (3, 5, 2, 1)
    assert (pair.only_this, pair.only_against, pair.p) == (both.only_b, both.only_a, both.mcnemar)


def test_very_many_seeds_say_how_many_draws_their_p_rests_on():
    a = {seed: 0.5 + seed % 7 / 100 for seed in range(60)}
    b = {seed: value + (-1) ** (seed % 3) * 0.003 for seed, value in a.items()}
    found = methods(a, b, alike=True)
    assert found.sign_flip.draws == 9_999
    assert re.fullmatch(r"p 0\.0\d+ ± 0\.00\d+ \(smallest attainable 0\.0001; 9,999 draws\)", str(found.sign_flip))


def test_networks_are_compared_image_by_image():
    found = networks(correct([1, 1, 0, 0, 1, 1, 1, 1, 1, 1]), correct([1, 0, 1, 1, 1, 1, 1, 1, 1, 1]))
    assert (found.images, found.a, found.b, found.only_a, found.only_b) == (10, 0.8, 0.9, 1, 2)
    assert (found.mcnemar, found.difference) == (1.0, pytest.approx(0.1))
    assert found.error_a == pytest.approx(math.sqrt(0.8 * 0.2 / 10))
    low, high = found.bootstrap_95
    assert low < 0 < found.difference < high


def test_values_that_are_no_bits_have_no_mcnemar():
    def psnr(*values):
        return Sample("e", "psnr_db", len(values), "float32", struct.pack(f"<{len(values)}f", *values))

    assert unpacked(psnr(30.5, 31.0)) == [30.5, 31.0]
    found = networks(psnr(30.0, 31.0), psnr(30.5, 31.5))
    assert (found.difference, found.mcnemar, found.error_a, found.bootstrap_95) == (0.5, None, None, None)
    found = networks(psnr(*[30.0] * 6), psnr(*[30.5] * 6))
    assert found.bootstrap_95 == pytest.approx((0.5, 0.5))
    with pytest.raises(HarnessError, match="on the same images and metric alone"):
        networks(psnr(30.0, 31.0), psnr(30.0))


def test_two_trials_are_two_methods():
    text = call("compare", BASELINE, TOPK, "--metric", "accuracy").stdout
    assert "Two methods, over their seeds. Not whether two networks differ." in text
    assert "sign flips, paired: too few runs to tell (smallest attainable p 0.5)" in text
    assert "Mann-Whitney, unpaired: too few runs to tell (smallest attainable p 0.33)" in text
    assert "McNemar" not in text
    assert "loss" not in text
    whole = json.loads(call("compare", BASELINE, TOPK, "--format", "json").stdout)
    found = whole["metrics"]["mnist/test accuracy"]
    assert (whole["kind"], found["shared"], found["sign_flip"]["can_tell"]) == ("methods", [0, 1], False)
    assert whole["metrics"]["mnist/test loss"]["a"]["bias_of_two"] < 0 < found["a"]["bias_of_two"]


def test_two_runs_are_two_networks():
    whole = json.loads(call("compare", f"{BASELINE}:0", f"{TOPK}:0", "--format", "json").stdout)
    (found,) = whole["metrics"].values()
    assert (whole["kind"], found["images"]) == ("networks", 10_000)
    b, c = found["only_a"], found["only_b"]
    assert found["mcnemar"] == pytest.approx(scipy.stats.binomtest(b, b + c).pvalue)
    assert found["difference"] == pytest.approx((c - b) / 10_000)
    text = call("compare", f"{BASELINE}:0", f"{TOPK}:0").stdout
    assert "Not whether two methods differ." in text
    assert f"right in A alone {b}, in B alone {c}" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((f"{BASELINE}:0", TOPK), "is a method and 'mnist:Baseline:0' a single network"),
        ((BASELINE, TOPK, "--metric", "psnr_db"), "the two have no psnr_db in common"),
        ((f"{BASELINE}:0", f"{TOPK}:7"), "no accepted run with seed 7"),
        (("mnist:Bsline", BASELINE), "study 'mnist' has no trial 'Bsline'; did you mean 'Baseline'?"),
        (("Baseline", TOPK), "'Baseline' is a trial: write mnist:Baseline"),
        (("minst:Baseline", BASELINE), "no study 'minst' is stored; did you mean 'mnist'?"),
    ],
)
def test_what_cannot_be_compared_is_one_line(words, message):
    done = call("compare", *words, code=2)
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_statistics_of_a_table():
    rows = json.loads(call("statistics", "1", "--format", "json").stdout)
    assert [row["column"] for row in rows] == ["Accuracy"] * 7
    assert (rows[0]["against"], rows[0]["compared"]) == (None, None)
    assert rows[1]["against"] == "Baseline"
    assert rows[1]["compared"]["mann_whitney"]["smallest_p"] == pytest.approx(1 / 3)
    accuracy = rows[0]["spread"]["mean"]
    assert rows[0]["error"] == pytest.approx(math.sqrt(accuracy * (1 - accuracy) / 10_000))
    text = call("statistics", "1").stdout
    assert "Accuracy [fraction]" in text
    assert text.count("too few runs to tell") == 12
    assert call("statistics", "2").stdout == "no run of table 2 is stored; --from names other results\n"
