"""Statistics beside the cells: which runs are paired, which networks compared, and what is said where none can be."""

import json
import math
from dataclasses import replace

import pytest
from records import EVALUATION, attempt, changed, correct, entry, snapshot, table1, train

from harness.attempt.messages import Sample
from harness.report import expected_configs, expected_settings, render, table_document

CONFIGS = expected_configs(table1())
SPATIAL, TOPK = "Feature pooling (spatial pooling), 50%", "Feature pooling (top-k), 50%"
BASE = CONFIGS["Baseline"]


def document(stored, samples=None, **options):
    return table_document(stored, table1(), CONFIGS, expected_settings(table1()), samples=samples, **options)


def statistics(stored, label=SPATIAL, samples=None, **options):
    (small,) = document(stored, samples, **options).statistics
    return small.data[[row.label for row in table1().rows].index(label)]


def notes(stored, **options):
    return " ".join(document(stored, **options).statistics[0].notes)


def runs(label, *accuracies, config=None):
    return [train(f"{label[-12:]} {seed}", config or CONFIGS[label], seed, a) for seed, a in enumerate(accuracies)]


def stored(**by_row):
    """A snapshot of rows by name: spatial=(0.98, 0.97) and so on, with the baseline's runs under `baseline`."""
    labels = {"baseline": "Baseline", "spatial": SPATIAL, "topk": TOPK}
    attempts = [run for name, values in by_row.items() for run in runs(labels[name], *values)]
    return snapshot([entry(labels[name]) for name in by_row], attempts)


def test_differences_are_paired_by_seed():
    found = statistics(stored(baseline=(0.97, 0.98), spatial=(0.975, 0.983)))
    assert (found.seeds, found.mean, found.against) == ((0, 1), 0.979, "Baseline")
    d = found.difference
    assert (d.seeds, d.mean, d.p, d.smallest_p) == ((0, 1), 0.004, 0.5, 0.5)
    assert d.sd == pytest.approx(0.002 / math.sqrt(2), abs=1e-9)  # of 0.005 and 0.003, not of the runs
    reach = 12.706204736 * 0.001
    assert (d.low_95, d.high_95) == pytest.approx((0.004 - reach, 0.004 + reach), abs=1e-8)


def test_all_stored_seeds_count_though_the_cell_shows_the_better_of_the_stated_two():
    known = stored(baseline=(0.97, 0.98, 0.9, 0.91, 0.92), spatial=(0.975, 0.983, 0.95, 0.96, 0.97))
    made = document(known)
    cell = next(c for c in made.cells if (c.row, c.column) == (SPATIAL, "accuracy"))
    assert (cell.ours, cell.values) == (0.983, (0.975, 0.983))
    found = statistics(known)
    assert (found.seeds, found.difference.seeds) == ((0, 1, 2, 3, 4), (0, 1, 2, 3, 4))
    assert found.difference.p == 2 / 2**5
    assert made.statistics[0].rows[1][1] == "0–4"


def test_a_network_of_a_seed_that_is_not_stated_is_compared_too():
    known = stored(baseline=(0.97, 0.98, 0.9), spatial=(0.975, 0.983, 0.95))
    found = statistics(known, samples=lambda uid: (correct([1, 0, int("pool" in uid)]),))
    assert [pair.seed for pair in found.mcnemar_by_seed] == [0, 1, 2]


def test_the_baseline_stands_alone():
    found = statistics(stored(baseline=(0.97, 0.98), spatial=(0.975, 0.983)), "Baseline")
    assert (found.mean, found.against, found.difference, found.note) == (0.975, None, None, None)


def test_only_seeds_that_both_have_are_paired():
    known = stored(baseline=(0.97, 0.98), spatial=(0.975, 0.983))
    one = replace(known, attempts=known.attempts[1:])  # without the baseline's seed 0
    found = statistics(one)
    assert (found.seeds, found.difference.seeds, found.difference.mean) == ((0, 1), (1,), 0.003)
    assert (found.difference.low_95, found.difference.p) == (None, 1.0)
    assert "1 seed cannot tell" in notes(one)
    said = f"{SPATIAL}: the difference is over seed 1, which Baseline has too; each mean is over all seeds of its row."
    assert said in notes(one)
    assert found.paired_means == (0.983, 0.98)
    assert statistics(known).paired_means is None
    assert "each mean is over all seeds" not in notes(known)
    none = replace(known, attempts=(known.attempts[0], known.attempts[3]))
    assert statistics(none).difference is None
    assert f"Not compared, as it has no seed in common with the row that it is compared with: {SPATIAL}." in notes(none)


def test_without_the_baseline_nothing_is_compared():
    known = stored(spatial=(0.975, 0.983))
    assert (statistics(known).mean, statistics(known).difference) == (0.979, None)
    assert "nothing is stored of the row that it is compared with" in notes(known)


def test_another_protocol_is_not_compared():
    other = changed(CONFIGS[SPATIAL], precision="bf16")
    known = snapshot(
        [entry("Baseline"), entry(SPATIAL, other)], [*runs("Baseline", 0.97), *runs(SPATIAL, 0.99, config=other)]
    )
    assert statistics(known).difference is None
    assert "its protocol or data are not those of the row that it is compared with" in notes(known)


def test_holm_is_over_the_rows_that_are_compared():
    known = stored(baseline=(0.97, 0.98), spatial=(0.975, 0.983), topk=(0.98, 0.96))
    assert [(d.p, d.p_holm, d.tests) for d in (statistics(known, row).difference for row in (SPATIAL, TOPK))] == [
        (0.5, 1.0, 2),
        (1.0, 1.0, 2),
    ]
    assert "correction over the 2 rows compared" in notes(known)
    assert "2 seeds cannot tell: even if all differences pointed one way, p would be 0.5 (1 after" in notes(known)


def test_nan_is_a_result_and_is_said():
    known = stored(baseline=(0.97, 0.98), spatial=(math.nan, 0.983), topk=(0.98, 0.96))
    found = statistics(known)
    assert math.isnan(found.mean)
    assert all(map(math.isnan, (found.difference.mean, found.difference.low_95, found.difference.p)))
    assert statistics(known, TOPK).difference.tests == 1
    assert f"nan among the runs of {SPATIAL}: a run that diverges is a result" in notes(known)
    cell = next(c for c in json.loads(render(document(known), "json")) if c["row"] == SPATIAL)
    assert (cell["statistics"]["mean"], cell["statistics"]["difference"]["p"]) == (None, None)


BITS = {
    "Baseline 0": [1, 1, 0, 0, 1, 1, 1, 1, 1, 1],
    "Baseline 1": [1, 1, 1, 1, 1, 1, 1, 1, 0, 0],
    "pooling), 50% 0"[-14:]: [1, 0, 1, 1, 1, 1, 1, 1, 1, 1],
    "pooling), 50% 1"[-14:]: [1, 1, 1, 0, 0, 0, 0, 0, 0, 0],
}


def of_bits(uid):
    return (correct(BITS[uid]),) if uid in BITS else ()


def test_mcnemar_is_of_the_two_networks_that_are_shown():
    known = stored(baseline=(0.97, 0.98), spatial=(0.99, 0.983))
    found = statistics(known, samples=of_bits)
    shown = found.mcnemar
    assert (shown.seed, shown.against_seed) == (0, 1)  # the better run of each
    assert (shown.only_this, shown.only_against) == (2, 1)  # images 8 and 9; image 1
    assert shown.p == 1.0
    assert [(m.seed, m.against_seed, m.only_this, m.only_against) for m in found.mcnemar_by_seed] == [
        (0, 0, 2, 1),
        (1, 1, 0, 5),
    ]
    assert found.mcnemar_by_seed[1].p == 2 / 2**5
    assert document(known, of_bits).statistics[0].rows[1][-1] == "1 (2/1; 0, 1)"


def test_for_a_mean_mcnemar_is_of_the_smallest_seed_that_both_have():
    found = statistics(stored(baseline=(0.97, 0.98), spatial=(0.99, 0.983)), samples=of_bits, select="mean")
    assert (found.mcnemar.seed, found.mcnemar.against_seed) == (0, 0)


def test_without_values_by_image_there_is_no_mcnemar():
    known = stored(baseline=(0.97, 0.98), spatial=(0.99, 0.983))
    assert statistics(known).mcnemar is None
    assert "McNemar" not in notes(known)
    other = replace(correct([1] * 10), evaluation="other")
    assert statistics(known, samples=lambda _: (other,)).mcnemar_by_seed == ()
    longer = {**{uid: (correct(bits),) for uid, bits in BITS.items()}, "Baseline 1": (correct([1] * 12),)}
    found = statistics(known, samples=lambda uid: longer.get(uid, ()))
    assert [m.seed for m in found.mcnemar_by_seed] == [0]


def test_values_by_image_of_a_later_evaluation_count():
    known = stored(baseline=(0.97,), spatial=(0.99,))
    later = attempt("later", CONFIGS[SPATIAL], 0, kind="evaluate", weights_from="pooling), 50% 0"[-14:], accepted=False)
    known = replace(known, attempts=(*known.attempts, later))
    kept = {"Baseline 0": of_bits("Baseline 0"), "later": (correct([1] * 10),)}
    shown = statistics(known, samples=lambda uid: kept.get(uid, ())).mcnemar
    assert (shown.only_this, shown.only_against) == (2, 0)


def test_bits_behind_the_last_image_do_not_count():
    known = stored(baseline=(0.97,), spatial=(0.99,))
    shown = statistics(known, samples=lambda uid: (correct([0] * 9 if "Base" in uid else [1] * 9),)).mcnemar
    assert (shown.only_this, shown.only_against) == (9, 0)


def test_the_sample_of_the_tests_is_of_table_1s_evaluation():
    assert correct([1, 0]) == Sample(EVALUATION.key, "correct", 2, "bits", b"\x80")


def test_of_very_many_seeds_the_draws_and_their_error_are_said():
    base = [0.97 + i % 7 / 1000 for i in range(45)]
    known = stored(baseline=base, spatial=[value + (0.001 if i % 3 else -0.001) for i, value in enumerate(base)])
    d = statistics(known).difference
    assert d.draws == 9_999
    assert 0 < d.error == pytest.approx(math.sqrt(d.p * (1 - d.p) / 10_000))
    made = document(known)
    assert f"{d.p:.2g} ± {d.error:.1g} (" in made.statistics[0].rows[1][4]
    said = "two-sided sign-flip test by 9,999 choices of signs drawn at random from a fixed seed, as (b + 1)/(B + 1)"
    assert said in notes(known)
    assert "exact two-sided sign-flip test" in notes(stored(baseline=base[:8], spatial=base[:8]))
    found = next(c for c in json.loads(render(made, "json")) if c["row"] == SPATIAL)["statistics"]["difference"]
    assert (found["draws"], found["error"]) == (9_999, d.error)
    assert f",9999,{d.error}," in render(made, "csv")
