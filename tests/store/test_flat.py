"""Rows for other programs: CSV and Parquet hold what `harness.load` gives, under the same names."""

import csv
import math
import sys
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

import harness
from harness.attempt.messages import ResultValue, Sample
from harness.base.errors import HarnessError
from harness.store.flat import COLUMNS, ROWS, write_csv, write_parquet
from harness.store.flat import rows as rows_of
from harness.store.merge import open_results
from harness.store.writer import set_costs
from harness.trial.overrides import protocol_in_words

rows = partial(rows_of, protocol_in_words=protocol_in_words)

PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "published" / "mnist.jsonl"


@pytest.fixture
def full(lab):
    lab.study(lab.row(2, 'two, of "three"', 0), lab.row(4, "four", 1))
    set_costs(lab.store, lab.row(2).key, {"parameters": 12})
    lab.attempt("a1")
    lab.attempt("a2", "nan", stride=4, seed=1)
    lab.attempt("e1", kind="evaluate", weights_from="a1")
    lab.attempt("t1", kind="timing", finding={"results": (), "samples": (), "curve": ()})
    lab.attempt("f1", "failed", seed=1)
    return lab


def test_csv_holds_all_that_counts(full, tmp_path):
    path = tmp_path / "results.csv"
    assert write_csv(path, COLUMNS["results"], rows(full.store, "results", studies=None)) == 4
    with path.open(newline="") as file:
        read = list(csv.DictReader(file))
    (accuracy,) = (row for row in read if row["attempt"] == "a1" and row["metric"] == "accuracy")
    assert accuracy == {
        "study": "mnist", "trial": 'two, of "three"', "seed": "0", "attempt": "a1", "dataset": "mnist",
        "split": "test", "condition": "clean", "metric": "accuracy", "value": "0.9885",
    }  # fmt: skip
    assert {row["value"] for row in read} == {"0.9885", "-inf"}
    assert {row["attempt"] for row in read} == {"a1", "a2"}


@pytest.mark.parametrize("what", ["results", "curves", "items"])
def test_parquet_holds_what_load_gives(what, tmp_path):
    pytest.importorskip("pyarrow")
    file = tmp_path / "rows.parquet"
    with open_results(PUBLISHED) as store:
        count = write_parquet(file, COLUMNS[what], rows(store, what, studies=None))
    written = pd.read_parquet(file)
    loaded = getattr(harness.load(PUBLISHED), what)()
    assert len(written) == count > 0
    pd.testing.assert_frame_equal(written, loaded[list(written)], check_dtype=False)


def test_frames_are_these_rows(full, path, clean):
    """Also of conditions without a kind, and of later evaluations, of which one that failed does not count."""
    wrong = (ResultValue(clean.key, "accuracy", 0.1),)
    full.attempt("e2", "failed", kind="evaluate", weights_from="a2", stride=4, seed=1, finding={"results": wrong})
    results = harness.load(path)
    for what in ("results", "curves", "runs"):
        columns = list(COLUMNS[what])
        expected = pd.DataFrame(list(rows(full.store, what, studies=None)), columns=columns)
        frame = getattr(results, what)()
        same = [name for name in columns if name not in {"started", "ended", "config", "costs"}]
        pd.testing.assert_frame_equal(frame[same], expected[same], check_dtype=False)
    runs = results.runs()
    assert list(runs.columns) == [*(name for name in COLUMNS["runs"] if name != "costs"), "parameters"]
    assert runs.config[0]["compressors"]["conv2"]["stride"] == 2
    assert list(runs.seconds) == [3600.0, 3600.0]
    assert list(runs.resumed) == [False, False]
    assert set(results.results().condition) == {"clean", "clean sigma=25"}


@pytest.mark.parametrize("what", ROWS)
def test_every_table_has_its_columns_also_when_it_is_empty(lab, what, tmp_path):
    pytest.importorskip("pyarrow")
    lab.study()
    assert write_csv(tmp_path / "x.csv", COLUMNS[what], rows(lab.store, what, studies=None)) == 0
    assert write_parquet(tmp_path / "x.parquet", COLUMNS[what], rows(lab.store, what, studies=["mnist"])) == 0
    assert (tmp_path / "x.csv").read_text() == ",".join(COLUMNS[what]) + "\n"
    assert list(pd.read_parquet(tmp_path / "x.parquet")) == list(COLUMNS[what])


def test_measures_are_those_of_runs_and_timings(full):
    found = list(rows(full.store, "measures", studies=None))
    assert {(row[3], row[4]) for row in found} == {("a1", "train"), ("a2", "train"), ("t1", "timing")}
    assert {row[7] for row in found} == {"train_s_per_epoch", "peak_memory_bytes"}


def test_items_are_each_image_once_though_a_later_attempt_evaluated_it_again(full, clean):
    found = [row for row in rows(full.store, "items", studies=None) if row[3] == "a1"]  # b"\xff\xf0", which e1 has too
    assert [row[4:] for row in found] == [("mnist", "test", "clean", "correct", n, 1.0) for n in range(12)]
    again = (Sample(clean.key, "correct", 3, "bits", b"\xa0"),)
    full.attempt("b1", stride=4, seed=0, finding={"samples": again})
    full.attempt("e2", kind="evaluate", weights_from="b1", stride=4, finding={"samples": ()})
    assert [row[9] for row in rows(full.store, "items", studies=None) if row[3] == "b1"] == [1.0, 0.0, 1.0]


def test_the_mean_of_the_items_is_the_result():
    results = harness.load(PUBLISHED.with_name("denoise-25.jsonl"))
    of_one = ["study", "trial", "seed", "dataset", "split", "condition", "metric"]
    items = results.items()
    means = items[items.metric == "psnr_db"].groupby(of_one)["value"].mean()
    found = results.results()
    stored = found[found.metric == "psnr_db"].set_index(of_one)["value"]
    assert len(means) > 0
    pd.testing.assert_series_equal(means, stored[means.index], rtol=1e-6, check_names=False)


def test_runs_hold_configuration_and_costs(full):
    first, second = rows(full.store, "runs", studies=None)
    named = dict(zip(COLUMNS["runs"], first, strict=True))
    assert named["costs"] == '{"parameters":12.0}'
    assert '"stride":2' in named["config"]
    assert second[4] == "nan"


def test_numbers_that_are_none_stay_what_they_are(full):
    values = [row[7] for row in rows(full.store, "curves", studies=None)]
    assert sum(math.isnan(value) for value in values) == 2
    assert sum(value == math.inf for value in values) == 2


def test_a_study_that_is_not_stored_is_named(full):
    with pytest.raises(HarnessError, match="no study 'mnits' is stored; did you mean 'mnist'"):
        list(rows(full.store, "runs", studies=["mnits"]))


def test_without_pyarrow_one_line_says_what_to_install(full, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(HarnessError, match=r"pip install 'ablation-harness\[parquet\]'"):
        write_parquet(tmp_path / "x.parquet", COLUMNS["runs"], rows(full.store, "runs", studies=None))
    assert not (tmp_path / "x.parquet").exists()
