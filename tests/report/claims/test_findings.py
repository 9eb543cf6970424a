"""Findings on records made by hand, arithmetic over cells, and each of the paper's disagreements with itself."""

import json
import math

import numpy as np
import pytest
import scipy.stats
from records import entry, snapshot, table1, train

from harness.attempt.messages import Point
from harness.base.errors import HarnessError, SpecError
from harness.report.claims.arithmetic import evaluate
from harness.report.claims.document import evidence, findings_json, findings_markdown, summary, verdict_of
from harness.report.claims.findings import findings
from harness.report.claims.gap_tests import bound_of, points, question_of, rule
from harness.report.claims.load import load_claims
from harness.report.claims.misprints import load_misprints
from harness.report.claims.values import Stored, of_curve
from harness.report.figures.results import Maps, Series
from harness.report.tables.expected import expected_configs
from harness.report.tables.table_file import PAPER, load_paper_table
from harness.stats.verdicts import p_fails, p_holds

SPATIAL = "Feature pooling (spatial pooling), 50%"
TOPK = "Feature pooling (top-k), 50%"
CURVE = Series((100, 200, 300, 400), (0.9, 0.96, 0.97, 0.98))


@pytest.mark.parametrize(
    ("gain", "seeds", "beats", "loses_not"),
    [
        (0.005, 10, "supported", "supported"),
        (-0.005, 10, "contradicted", "contradicted"),
        (0.0002, 10, "too small", "supported"),
        (0.005, 8, "undecided", "undecided"),
    ],
)
def test_verdicts(gain, seeds, beats, loses_not):
    configs = expected_configs(table1())
    runs = [train(f"b-{s}", configs["Baseline"], s, 0.98 + s / 10_000) for s in range(seeds)]
    runs += [train(f"s-{s}", configs[SPATIAL], s, 0.98 + s / 10_000 + gain) for s in range(seeds)]
    stored = snapshot([entry("Baseline"), entry(SPATIAL)], runs, seeds=tuple(range(seeds)))
    found = {finding.id: finding for finding in findings(stored, load_claims())}
    assert found["spatial-50-beats-baseline"].verdict == beats
    assert found["spatial-50-does-not-lose"].verdict == loses_not
    assert found["spatial-50-beats-baseline"].smallest_p == 22 / 2**seeds
    assert found["spatial-75-beats-baseline"].verdict == "not run"
    assert found["spatial-50-halves-parameters"].verdict == "supported"


def test_of_very_many_seeds_a_finding_says_that_its_p_is_from_draws():
    configs = expected_configs(table1())
    runs = [train(f"b-{s}", configs["Baseline"], s, 0.98 + s / 10_000) for s in range(45)]
    gains = [0.003 if s % 3 else -0.001 for s in range(45)]
    runs += [train(f"s-{s}", configs[SPATIAL], s, 0.98 + s / 10_000 + gain) for s, gain in enumerate(gains)]
    stored = snapshot([entry("Baseline"), entry(SPATIAL)], runs, seeds=tuple(range(45)))
    found = {finding.id: finding for finding in findings(stored, load_claims())}["spatial-50-beats-baseline"]
    assert (found.draws, found.smallest_p, found.verdict) == (9_999, pytest.approx(22 / 10_000), "supported")
    assert found.error > 0
    assert "from 9,999 random sign flips: the standard error of each p before Holm is at most" in evidence(found)
    assert "exact" not in found.rule


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("steps to 97%", 300),
        ("area under the curve", 0.9525),
        ("area under the loss", 0.9525),
        ("hidden mean", 0.975),
        ("rise in the last epoch", 0.975 - 0.93),
        ("hidden variance, last epoch over first", 0.975 / 0.93),
        ("successive deviation", math.nan),
    ],
)
def test_numbers_of_a_curve_by_hand(word, value):
    """Of two epochs, 200 steps each."""
    assert of_curve(word, CURVE, 200) == pytest.approx(value, nan_ok=True)


def claim(**changes):
    made = next(c for c in load_claims().families[0].claims if c.id == "spatial-50-beats-baseline")
    return made.model_copy(update={"effect": 1.0, **changes})


@pytest.mark.parametrize(
    ("changes", "gaps", "holds", "fails", "way"),
    [
        ({}, [2.0] * 4, 1 / 16, 1.0, True),
        ({}, [-2.0] * 4, 1.0, 1 / 16, False),
        ({"direction": "less"}, [-2.0] * 4, 1 / 16, 1.0, True),
        ({}, [0.5] * 4, 1 / 16, 1 / 16, True),  # above nothing, and short of the smallest effect that matters
        ({"hypothesis": "superiority_by_margin"}, [2.0] * 4, 1 / 16, 1.0, True),
        ({"hypothesis": "superiority_by_margin"}, [0.5] * 4, 1.0, 1 / 16, False),  # a gain, short of the size
        ({"hypothesis": "non_inferiority"}, [-0.5] * 4, 1 / 16, 1.0, True),
        ({"hypothesis": "non_inferiority"}, [-1.5] * 4, 1.0, 1 / 16, False),
        ({"hypothesis": "equivalence", "direction": "either"}, [0.5, -0.5] * 2, 1 / 16, 1.0, True),
        ({"hypothesis": "equivalence", "direction": "either"}, [-1.5] * 4, 1.0, 2 / 16, False),
        ({"scale": "ratio", "effect": 0.5, "direction": "less"}, [math.log(0.4)] * 4, 1 / 16, 1.0, True),
        ({}, [], 1.0, 1.0, None),
        ({}, [2.0, math.nan], 1.0, 1.0, None),
    ],
)
def test_the_tests_of_a_claim_by_hand(changes, gaps, holds, fails, way):
    made = claim(**changes)
    asked = question_of(made)
    assert (p_holds(asked, gaps), p_fails(asked, gaps)) == (holds, fails)
    assert points(made, sum(gaps) / len(gaps) if gaps else math.nan) is way


def test_no_difference_points_no_way():
    assert points(claim(), 0.0) is None


def test_a_rule_is_a_sentence():
    assert rule(claim(), 0.05) == (
        "one-sided exact sign flips of differences paired by seed: above no difference, and a mean of at least 1;"
        " p < 0.05 after Holm over the family"
    )
    counted = next(c for c in load_claims().families[0].claims if c.id == "spatial-50-halves-parameters")
    assert rule(counted, 0.05) == "the count, as a ratio, at most 0.51; no test of chance"


def runs_of(*labels, seeds=2):
    configs = expected_configs(table1())
    made = [train(f"{label[-12:]} {s}", configs[label], s, 0.98) for label in labels for s in range(seeds)]
    return snapshot([entry(label) for label in labels], made, seeds=tuple(range(seeds)))


def found_of(stored, **sources):
    return {finding.id: finding for finding in findings(stored, load_claims(), **sources)}


def test_maps_are_read():
    """Maps of stripes vary at every pixel; those of the baseline are the same at both seeds."""
    stripes = np.tile([0.0, 1.0], (2, 3, 4, 2))
    halves = np.repeat([0.0, 1.0], 2)[None, None, None].repeat(2, 0).repeat(3, 1).repeat(4, 2)
    kept = {"pooling), 50%": halves, "(top-k), 50%": stripes, "Baseline": halves}

    def maps(attempt):
        return next(Maps(stripes, m, stripes) for label, m in kept.items() if attempt.uid.startswith(label[-12:]))

    found = found_of(runs_of("Baseline", SPATIAL, TOPK), maps=maps)
    assert found["spatial-50-maps-smoother"].effect == pytest.approx(1 / 3)
    assert found["spatial-50-maps-closer"].effect == pytest.approx(1.0)
    assert found["spatial-maps-as-similar"].effect == pytest.approx(0.0)
    assert found["top-k-maps-as-similar"].effect == pytest.approx(-1.0)
    assert found["top-k-maps-as-similar-in-pairs"].effect == pytest.approx(-1.0)
    assert found_of(runs_of("Baseline", SPATIAL))["spatial-50-maps-smoother"].why == (
        "no map is stored of mnist/Feature pooling (spatial pooling), 50% and of mnist/Feature pooling (top-k), 50%;"
        " needs 9 seeds"
    )


def test_a_claim_on_one_trial_is_held_against_nothing():
    def curves(uid):
        values = {"hidden_mean": 0.5, "hidden_variance": 0.5} if "ooling)" in uid else {}
        return [
            Point("test[:1000]", name, step, 1.0 if step <= 600 else value)
            for name, value in values.items()
            for step in (600, 1200, 1800, 2400, 3000)
        ]

    found = found_of(runs_of(SPATIAL, seeds=9), curves=curves)
    assert found["spatial-mean-diminishes"].effect == pytest.approx(0.5)
    assert found["spatial-mean-diminishes"].verdict == "supported"
    assert found["spatial-mean-diminishes"].p == 9 / 512
    assert found["top-k-mean-diminishes"].verdict == "not run"


def test_a_trial_without_seeds_stands_against_each_and_a_margin_is_a_difference_of_differences():
    family = next(f for f in load_claims().families if f.table == 6)
    claims = {c.id: c for c in family.claims}
    psnr = {
        ("2FP", 20): {0: 31.0, 1: 32.0},
        ("2FP", 60): {0: 27.0, 1: 28.5},
        ("BM3D", 20): {0: 30.0},
        ("BM3D", 60): {0: 25.0},
    }

    class Given(Stored):
        def keys(self, _, quantity):
            return {name: f"{name} {quantity.where['task.sigma']}" for name in ("2FP", "BM3D")}

        def _values(self, *words):
            return psnr[words[1], int(words[3].split()[-1])]

    stored = Given(snapshot([], []), lambda _: (), lambda _: None)
    one = stored.measure(family, claims["bsd500-2fp-beats-bm3d-20"])
    assert (one.seeds, one.gaps) == ((0, 1), (1.0, 2.0))
    grows = stored.measure(family, claims["bsd500-advantage-grows"])
    assert grows.gaps == (27 - 31 - (25 - 30), 28.5 - 32 - (25 - 30))


def test_beside_the_papers_flops_stand_the_multiply_accumulates_that_decide_nothing():
    entries = [
        (*entry(label)[:3], {**entry(label)[3], "macs": macs}) for label, macs in (("Baseline", 8), (SPATIAL, 5))
    ]
    found = found_of(snapshot(entries, []))["spatial-50-halves-flops"]
    assert (found.verdict, found.beside) == ("supported", "multiply-accumulates 0.625")
    assert "also measured, not part of the test: multiply-accumulates 0.625" in evidence(found)


def test_a_test_over_seeds_has_both_p_and_the_interval_of_its_effect():
    configs = expected_configs(table1())
    gains = [0.001, -0.0005, 0.0002, 0.0, 0.0011, -0.0002, 0.0004, 0.0003, 0.0007]
    runs = [train(f"b-{s}", configs["Baseline"], s, 0.98) for s in range(9)]
    runs += [train(f"s-{s}", configs[SPATIAL], s, 0.98 + gain) for s, gain in enumerate(gains)]
    stored = snapshot([entry("Baseline"), entry(SPATIAL)], runs, seeds=tuple(range(9)))
    found = found_of(stored)["spatial-50-beats-baseline"]
    expected = scipy.stats.ttest_1samp(gains, 0).confidence_interval(0.95)
    assert found.interval == pytest.approx(tuple(expected), abs=1e-8)
    tests = load_claims().families[0].tests
    made = next(c for c in load_claims().families[0].claims if c.id == "spatial-50-beats-baseline")
    assert found.p == pytest.approx(min(1, tests * p_holds(question_of(made), gains)))
    assert found.p_against == pytest.approx(min(1, tests * p_fails(question_of(made), gains)))
    assert "95%" in evidence(found)
    assert "p for the claim" in evidence(found)


def test_seeds_whose_runs_kept_no_maps_are_said():
    halves = np.repeat([0.0, 1.0], 2)[None, None, None].repeat(2, 0).repeat(3, 1).repeat(4, 2)

    def maps(attempt):
        return Maps(halves, halves, halves) if attempt.seed < 2 else None

    found = found_of(runs_of("Baseline", SPATIAL, TOPK, seeds=9), maps=maps)["spatial-50-maps-smoother"]
    assert found.why.startswith(
        "too few runs to tell: 2 seeds (of 9 stored; the others kept nothing of it here) give no p below 1"
    )


def test_no_p_lies_below_the_smallest_that_could_be_attained():
    """Fewer seeds than its neighbour's, which rejects: a claim stands at a later step of Holm's."""
    configs = expected_configs(table1())
    rows = {"Baseline": (13, 0.0), SPATIAL: (13, 0.005), TOPK: (12, 0.005)}
    runs = [
        train(f"{label[-12:]} {s}", configs[label], s, 0.97 + s / 10_000 + gain)
        for label, (seeds, gain) in rows.items()
        for s in range(seeds)
    ]
    found = found_of(snapshot([entry(label) for label in rows], runs, seeds=tuple(range(13))))
    assert all(f.smallest_p <= f.p for f in found.values() if f.p is not None)
    later = found["topk-50-beats-baseline"]
    assert len(later.seeds) == 12
    assert later.smallest_p == later.p < 22 / 2**12


def test_what_was_known_when_a_claim_was_entered_is_said():
    found = found_of(runs_of("Baseline", SPATIAL))
    early, late = found["spatial-50-beats-baseline"], found["spatial-50-testing-speed-similar"]
    assert evidence(early).endswith("; entered 2026-11-22.")
    assert evidence(late).endswith("; entered 2026-11-25, knowing the first times of Table 1.")


def test_what_is_claimed_is_said_in_words():
    assert bound_of(claim(effect=0.001)) == "at least 0.001"
    assert bound_of(claim(effect=0.001, direction="less")) == "at most -0.001"
    assert bound_of(claim(effect=0.9, direction="less", scale="ratio")) == "at most 0.9"
    assert bound_of(claim(effect=0.001, hypothesis="non_inferiority")) == "above -0.001"
    assert bound_of(claim(effect=1.6, hypothesis="equivalence", direction="either", scale="ratio")) == (
        "within a factor of 1.6"
    )


def test_the_document_counts_by_section_and_names_each_claim_once():
    claims = load_claims()
    found = findings(snapshot([], []), claims)
    text = findings_markdown(found, load_misprints(), claims.untested, long=True)
    assert text.startswith(
        "# Findings\n\n204 tests of 40 statements in the paper; 8 of them are questions of our own, on which the paper"
        " claims no outcome. Counts (36): 36 supported. Times, descriptive only (26): 26 not run. Tests over"
        " seeds (142): 142 not run. 16 earlier readings were withdrawn; the reason and the"
        " result of each are kept. Exploratory, written after the results and counted separately (11): 11 not run.\n"
    )
    assert "| Section 4.1 (C), ImageNet | – | 5 | – |" in text
    assert text.index("## Exploratory: written after the results") > text.index("## Section 4.2 (D)")
    titles = [line for line in text.splitlines() if line.startswith("- **")]
    assert len(set(titles)) == len(titles) == 204 + 16 + 11
    assert "- §4.2 (D), sentence 10: “our denoising algorithm can indeed remove adversarial" in text
    short = findings_markdown(found, load_misprints(), claims.untested)
    stand = [line.rpartition(" (")[0] for line in titles if not line.startswith("- **withdrawn")]
    listed = [line for line in short.splitlines() if line.startswith("- **")]
    assert all(line.startswith(claim) for line, claim in zip(listed, stand, strict=True))
    assert "- **supported**: Spatial pooling at 50% halves parameters: ×0.500" in listed
    assert "16 withdrawn readings, 30 statements without a test, 28 places where the paper disagrees" in short
    whole = json.loads(findings_json(found, load_misprints(), claims.untested))
    assert len(whole["untested"]) == len(claims.untested) > 20
    first = whole["claims"][0]
    assert (first["id"], first["place"], first["depends_on"]) == (
        "spatial-50-does-not-lose", "4.1 (A), sentence 11", None,
    )  # fmt: skip


@pytest.mark.parametrize("entry", load_misprints(), ids=lambda entry: str(entry.number))
def test_each_disagreement_is_shown(entry):
    assert [check.value for check in entry.checks] == [check.gives for check in entry.checks]
    assert entry.checks or len(entry.places) > 1


def test_arithmetic_that_fails_is_refused(tmp_path):
    file = tmp_path / "m.yml"
    text = (PAPER / "misprints.yml").read_text(encoding="utf-8")
    file.write_text(text.replace("gives: 0.11", "gives: 0.12", 1), encoding="utf-8")
    with pytest.raises(SpecError, match=r"gives 0\.11, not 0\.12"):
        load_misprints(file)


@pytest.mark.parametrize("text", ["open('x')", "(1).real", "x + 1", "1 +", "1 / 0", "cell(7, 'DnCNN', 'PSNR, σ=20')"])
def test_only_arithmetic_over_printed_cells_is_evaluated(text):
    with pytest.raises(HarnessError):
        evaluate(text)


def test_each_pair_of_seeds_serves_one_gap():
    """Of five seeds two pairs; the next seed's baseline would serve two gaps each."""
    draw = np.random.default_rng(0)

    def maps(_):
        kept = draw.normal(size=(2, 3, 4, 4))
        return Maps(kept, kept, kept)

    found = found_of(runs_of("Baseline", SPATIAL, TOPK, seeds=5), maps=maps)
    assert found["spatial-maps-as-similar-in-pairs"].seeds == (0, 2)
    assert found["spatial-maps-as-similar"].seeds == (0, 1, 2, 3, 4)


def test_a_bound_that_a_ceiling_hides_is_a_ratio_of_distances():
    """Maps that differ a little from the baseline's: half as far is a ratio of distances, and no 0.05 of similarity."""
    draw = np.random.default_rng(1)
    base, noise = draw.normal(size=(2, 10, 3, 5, 5))
    kept = {"pooling), 50%": base + 0.02 * noise, "(top-k), 50%": base + 0.04 * noise, "Baseline": base}

    def maps(attempt):
        found = next(m for label, m in kept.items() if attempt.uid.startswith(label[-12:]))
        return Maps(found, found, found)

    found = found_of(runs_of("Baseline", SPATIAL, TOPK, seeds=9), maps=maps)
    nearer, closer = found["spatial-50-maps-nearer"], found["spatial-50-maps-closer"]
    assert nearer.effect == pytest.approx(0.25, rel=0.05)  # of squares
    assert (nearer.verdict, nearer.exploratory) == ("supported", True)
    assert (closer.verdict, closer.earlier) == ("withdrawn", "too small")
    assert "withdrawn 2026-11-29: a ceiling: " in evidence(closer)
    assert "; instead: spatial-50-maps-nearer; the verdict was too small: " in evidence(closer)


def test_a_withdrawn_reading_counts_on_in_its_family():
    """Withdrawing one makes no other test easier: the corrected p of all others stay what they were."""
    claims = load_claims()
    before = claims.families[0].model_copy(
        update={"claims": tuple(c.model_copy(update={"withdrawn": None}) for c in claims.families[0].claims)}
    )
    stored = runs_of("Baseline", SPATIAL, TOPK, seeds=9)
    then = findings(stored, claims.model_copy(update={"families": (before,)}))
    now = [f for f in findings(stored, claims) if f.about == "Table 1"]
    assert [(f.id, f.p, f.p_against, f.smallest_p) for f in now] == [
        (f.id, f.p, f.p_against, f.smallest_p) for f in then
    ]


def test_what_is_exploratory_or_withdrawn_or_ours_is_counted_apart():
    found = findings(runs_of("Baseline", SPATIAL, seeds=9), load_claims())
    text = summary([f for f in found if f.id in {"spatial-50-loses-little", "spatial-50-beats-baseline"}])
    assert text.startswith("1 test of 1 statement in the paper. Tests over seeds (1): 1 contradicted.")
    assert text.endswith("Exploratory, written after the results and counted separately (1): 1 supported.")
    by_id = {f.id: f for f in found}
    assert verdict_of(by_id["spatial-50-loses-little"]) == "supported (exploratory)"
    assert verdict_of(by_id["spatial-50-beats-width"]) == "not run (a question of ours)"
    assert verdict_of(by_id["spatial-50-maps-closer"]) == "withdrawn (was not run)"


def test_counts_need_no_run():
    """All sixteen count claims of Tables 2 and 3, and those read again, are decided on a store of nothing."""
    asked = []

    def counts(config):
        asked.append(config)
        scale = 1000 - sum(options["stride"] for options in config["compressors"].values()) * 20
        return {"parameters": scale, "variables": scale, "paper_flops": scale, "macs": scale}

    found = findings(snapshot([], []), load_claims(), counts=counts)
    counted = [f for f in found if f.test == "arithmetic" and f.section == "4.1 (B)" and f.verdict != "withdrawn"]
    assert len(counted) == 16
    assert {f.verdict for f in counted} <= {"supported", "contradicted"}
    networks = [str((config["model"], config["compressors"])) for config in asked]
    assert len(set(networks)) == len(networks), "each is counted once, whatever trains it"
    assert {config["model"]["kind"] for config in asked} == {"vgg16", "mnist_cnn", "denoiser"}
    assert [f for f in found if f.test == "arithmetic" and f.verdict == "not run"] == []


def test_a_stored_count_is_not_counted_again():
    def counts(_):
        raise AssertionError("it is stored")

    stored = snapshot([entry("Baseline"), entry(SPATIAL)], [])
    family = load_claims().families[0]
    claim = next(c for c in family.claims if c.id == "spatial-50-halves-parameters")
    assert Stored(stored, lambda _: (), lambda _: None, counts).measure(family, claim).gaps == (
        pytest.approx(math.log(6_432_970 / 12_855_498)),
    )


def test_peak_memory_is_compared_on_one_device_by_as_many_threads():
    configs = expected_configs(table1())
    memory = {"Baseline": 1000.0, SPATIAL: 800.0}
    runs = [
        train(f"{label[-12:]} {s}", configs[label], s, 0.98, measures={"peak_memory_bytes": bytes_},
              threads=2 if (s, label) == (3, SPATIAL) else 1)
        for label, bytes_ in memory.items() for s in range(10)
    ]  # fmt: skip
    found = found_of(snapshot([entry(label) for label in memory], runs, seeds=tuple(range(10))))[
        "spatial-50-saves-memory"
    ]
    assert found.seeds == (0, 1, 2, 4, 5, 6, 7, 8, 9)
    assert (found.verdict, found.effect, found.exploratory) == ("supported", pytest.approx(0.8), True)


@pytest.mark.parametrize("number", [4, 5])
def test_the_gain_that_a_note_rounds_is_that_of_the_table(number):
    gains = [
        evaluate(f"cell(4, 'Baseline+2FP', 'PSNR, σ={s}') - cell(4, 'Baseline', 'PSNR, σ={s}')")
        for s in range(20, 61, 10)
    ]
    text = " ".join(note.text for note in load_paper_table(number).notes)
    assert f"{min(gains):.1f} to {max(gains):.1f} dB" in text
