"""Cells: how near, which run, and from which attempt."""

import math
from dataclasses import replace

import pytest
from records import attempt, changed, entry, snapshot, table1, timing, train, whole

from harness.base.errors import HarnessError
from harness.report.tables.cells import table_cells
from harness.report.tables.expected import expected_configs
from harness.trial.datasets import DATASETS

CONFIGS = expected_configs(table1())
SPATIAL = "Feature pooling (spatial pooling), 50%"
CONFIG = CONFIGS[SPATIAL]


def cell(stored, column="accuracy", row=SPATIAL, table=None, **options):
    found = table_cells(stored, table or table1(), CONFIGS, **options)
    return next(c for c in found if (c.row, c.column) == (row, column))


def with_row(**changes):
    """Table 1 with fields of the spatial row changed."""
    table = table1()
    rows = tuple(r.model_copy(update=changes) if r.label == SPATIAL else r for r in table.rows)
    return table.model_copy(update={"rows": rows})


def two(first, second, config=CONFIG, **changes):
    return snapshot([entry(SPATIAL, config)], [train("a", config, 0, first), train("b", config, 1, second)])


def test_best_of_two_beside_the_papers_value():
    found = cell(two(0.9885, 0.9871))
    assert (found.ours, found.paper, found.match, found.runs) == (0.9885, 0.9891, "exact", 2)
    assert (found.select, found.values, found.unit) == ("best", (0.9885, 0.9871), "fraction")
    assert (found.protocol, found.dataset, found.device, found.note) == (
        "mnist-paper",
        "mnist",
        "Test CPU",
        None,
    )


def test_nothing_stored():
    found = cell(snapshot([], []))
    assert (found.ours, found.match, found.runs, found.values) == (None, None, 0, (None, None))
    assert found.paper == 0.9891


def test_mean_and_median():
    assert cell(two(0.98, 0.97), select="mean").ours == pytest.approx(0.975)
    three = with_row(seeds=(0, 1, 2))
    stored = two(0.98, 0.97)
    stored = replace(stored, attempts=(*stored.attempts, train("c", CONFIG, 2, 0.99)))
    assert cell(stored, table=three, select="median").ours == 0.98


def test_other_seeds_than_the_stated_do_not_count():
    stored = two(0.98, 0.97)
    stored = replace(stored, attempts=(*stored.attempts, train("c", CONFIG, 2, 0.999)))
    assert cell(stored).ours == 0.98


def test_what_is_infinite_is_never_the_best_and_is_said():
    found = cell(two(0.98, math.inf))
    assert (found.ours, found.note) == (0.98, "inf: seed 1")
    assert cell(two(-math.inf, 0.98), select="median").ours != -math.inf


def test_missing_seed_is_said():
    stored = snapshot([entry(SPATIAL)], [train("a", CONFIG, 1, 0.98)])
    found = cell(stored)
    assert (found.ours, found.values, found.runs) == (0.98, (None, 0.98), 1)
    assert "1 of 2 runs" in found.note


def test_nan_is_never_the_best_but_is_said():
    found = cell(two(math.nan, 0.5))
    assert found.ours == 0.5
    assert "nan: seed 0" in found.note
    assert math.isnan(cell(two(math.nan, 0.5), select="mean").ours)
    assert math.isnan(cell(two(math.nan, math.nan)).ours)


def test_a_run_that_diverged_without_a_result_is_nan_not_missing():
    stored = snapshot([entry(SPATIAL)], [train("a", CONFIG, 0, None, state="nan"), train("b", CONFIG, 1, 0.5)])
    found = cell(stored)
    assert (found.ours, found.runs, found.note) == (0.5, 2, "nan: seed 0")


def test_all_measured_cells_come_from_the_run_that_select_by_picks():
    table = table1()
    loss = table.column("accuracy").model_copy(update={"key": "loss", "metric": "loss", "better": "lower"})
    table = table.model_copy(update={"columns": (*table.columns, loss)})
    stored = two(0.98, 0.98)
    key = next(iter(stored.evaluations))
    losses = {"a": 0.9, "b": 0.1}
    stored = replace(
        stored,
        attempts=tuple(replace(a, results={**a.results, (key, "loss"): losses[a.uid]}) for a in stored.attempts),
    )
    assert cell(stored, "loss", table=table).ours == 0.9  # equal accuracies: the smaller seed, not the smaller loss


def test_a_later_evaluation_of_the_weights_counts():
    stored = snapshot([entry(SPATIAL)], [train("a", CONFIG, 0, None)])
    key = next(iter(stored.evaluations))
    later = attempt(
        "e", CONFIG, 0, kind="evaluate", weights_from="a", results={(key, "accuracy"): 0.97}, accepted=False
    )
    assert cell(replace(stored, attempts=(*stored.attempts, later))).ours == 0.97


def test_precision_alone_is_marked():
    found = cell(two(0.98, 0.97, changed(CONFIG, precision="bf16")))
    assert (found.match, found.ours, found.paper) == ("other-precision", 0.98, 0.9891)
    assert "bf16" in found.note


def test_exact_goes_before_other_precision():
    near = changed(CONFIG, precision="bf16")
    stored = snapshot(
        [entry(SPATIAL), entry(SPATIAL, near)],
        [train("a", CONFIG, 0, 0.97), train("b", near, 0, 0.99), train("c", near, 1, 0.99)],
    )
    found = cell(stored)
    assert (found.match, found.ours) == ("exact", 0.97)


def test_other_recipe_only_where_the_row_lists_it():
    config = changed(CONFIG, epochs=2)
    stored = snapshot([entry(SPATIAL, config, "mnist-fast")], [train("a", config, 0, 0.9)])
    assert cell(stored).ours is None
    found = cell(stored, table=with_row(also=("mnist-fast",)))
    assert (found.match, found.ours, found.protocol) == ("other-recipe", 0.9, "mnist-fast")


def test_other_recipe_and_precision_is_other_recipe():
    config = changed(CONFIG, epochs=2, precision="bf16")
    stored = snapshot([entry(SPATIAL, config, "mnist-fast")], [train("a", config, 0, 0.9)])
    assert cell(stored).match is None
    assert cell(stored, table=with_row(also=("mnist-fast",))).match == "other-recipe"


def test_stand_in_only_where_listed_and_without_the_papers_value():
    config = {**CONFIG, "data": {"train": DATASETS["digits"].splits["train"].fingerprint}}
    test_set = DATASETS["digits"].splits["test"]
    stored = snapshot([entry(SPATIAL, config)], [train("a", config, 0, 0.9)])
    record = next(iter(stored.evaluations.values()))
    on_digits = replace(record, dataset="digits", fingerprint=test_set.fingerprint)
    stored = replace(stored, evaluations={record.key: on_digits})
    assert cell(stored).ours is None
    found = cell(stored, table=with_row(stand_ins=("digits",)))
    assert (found.match, found.ours, found.paper, found.dataset) == ("stand-in", 0.9, None, "digits")


def test_another_compressor_never_matches_even_under_the_rows_name():
    other = CONFIGS["Feature pooling (top-k), 50%"]
    stored = snapshot([entry(SPATIAL, other)], [train("a", other, 0, 0.9)])
    assert cell(stored, table=with_row(also=("mnist-paper",), stand_ins=("digits",))).ours is None


def test_names_do_not_make_a_match_nor_prevent_it():
    stored = two(0.98, 0.97)
    renamed = replace(stored, study_trials=tuple(replace(r, name="x", study="y") for r in stored.study_trials))
    assert cell(renamed).match == "exact"


def test_an_evaluation_on_other_data_under_the_datasets_name_does_not_count():
    stored = two(0.98, 0.97)
    other = {key: replace(e, fingerprint="0" * 32) for key, e in stored.evaluations.items()}
    assert cell(replace(stored, evaluations=other)).ours is None


def test_times_are_the_newest_timing_of_default_execution():
    stored = snapshot(
        [entry(SPATIAL)],
        [
            train("a", CONFIG, 0, 0.9, measures={"train_s_per_epoch": 1.0}),
            timing("t", CONFIG, 5.0, started="2020-01-01T00:00:01Z"),
            timing("tt", CONFIG, 6.0, started="2020-01-01T00:00:02Z"),
            timing("kernels", CONFIG, 7.0, started="2020-01-01T00:00:03Z", execution={"kernels": "triton"}),
            timing("beside", CONFIG, 8.0, started="2020-01-01T00:00:04Z", exclusive=False),
        ],
    )
    found = cell(stored, "training time")
    assert (found.ours, found.match, found.device, found.paper) == (6.0, "other-device", "Test CPU", 4.14)
    assert cell(stored, "testing time").ours == 0.6


def test_a_time_in_the_papers_composition_stands_beside_ours():
    plain = {"kernels": "torch", "order": "as_written"}
    runs = [timing("t", CONFIG, 5.0), timing("p", CONFIG, 9.0, execution=plain)]
    elsewhere = timing("q", CONFIG, 20.0, execution=plain, environment={"device": "Other CPU"})
    found = cell(snapshot([entry(SPATIAL)], [*runs, elsewhere]), "training time")
    assert found.ours == 5.0
    assert "9 by plain torch in the paper's order" in found.note
    assert "paper's order" not in cell(snapshot([entry(SPATIAL)], [runs[0], elsewhere]), "training time").note
    alone = cell(snapshot([entry(SPATIAL)], [runs[1]]), "training time")
    assert alone.ours == 9.0
    assert "; by plain torch in the paper's order" in alone.note


def test_times_are_of_one_device():
    gpu = {"environment": {"device": "NVIDIA GeForce GTX 1070"}}
    baseline = CONFIGS["Baseline"]
    stored = snapshot(
        [entry("Baseline"), entry(SPATIAL)],
        [
            timing("t", baseline, 5.0),
            timing("tt", CONFIG, 4.0, **gpu),
            timing("ttt", baseline, 3.0, **gpu),
        ],
    )
    found = cell(stored, "training time")
    assert (found.ours, found.match, found.note) == (4.0, "exact", None)
    assert cell(stored, "training time", device="Test CPU").ours is None
    assert cell(stored, "training time", "Baseline", device="Test CPU").ours == 5.0


def test_counts_need_no_run_and_equal_what_is_printed():
    stored = whole()
    for found in table_cells(stored, table1(), CONFIGS):
        if found.column in {"parameters", "flops"}:
            assert (found.ours, found.match, found.runs, found.select) == (found.paper, "exact", 0, None)


def test_a_row_without_a_configuration_is_refused():
    with pytest.raises(HarnessError, match="table 1: row 'Baseline' has no expected configuration"):
        table_cells(snapshot([], []), table1(), {})
