"""`harness.load`: from a database and from published files the same frames, of classifications too."""

import json
from pathlib import Path

import pandas as pd
import pytest

import harness
from harness.api import CURVES, ITEMS, RESULTS, RUNS
from harness.base.errors import HarnessError
from harness.store.connection import open_store
from harness.store.merge import merge_jsonl

PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "published" / "mnist.jsonl"


@pytest.fixture(scope="module")
def published():
    return harness.load(PUBLISHED)


@pytest.fixture(scope="module")
def lines():
    return [json.loads(line) for line in PUBLISHED.read_text().splitlines()]


def test_a_row_a_run(published, lines):
    runs = published.runs()
    trained = [line for line in lines if line["kind"] == "train"]
    assert sorted(runs.attempt) == sorted(line["uid"] for line in trained)
    assert set(runs.columns) >= {*RUNS, "parameters", "macs"}
    assert set(runs.study) == {"mnist"}
    assert (runs.seconds > 0).all()
    assert str(runs.started.dt.tz) == "UTC"
    assert not runs.duplicated(["trial", "seed"]).any()
    baseline = runs[(runs.trial == "Baseline") & (runs.seed == 0)].iloc[0]
    assert (baseline.model, baseline.protocol, baseline.parameters) == ("mnist_cnn", "mnist-paper", 12_855_498)


def test_a_row_a_metric_and_a_row_a_point(published, lines):
    found, curves = published.results("mnist"), published.curves("mnist")
    for line in lines:
        if line["kind"] != "train":
            continue
        mine = found[found.attempt == line["uid"]]
        assert {(row.metric, row.value) for row in mine.itertuples()} == {(r[1], r[2]) for r in line["results"]}
        assert (curves.attempt == line["uid"]).sum() == len(line["curve"])
    assert set(zip(found.dataset, found.split, found.condition, strict=True)) == {("mnist", "test", "clean")}


def test_a_database_gives_the_same(published, tmp_path):
    db = tmp_path / "h.db"
    with open_store(db) as store:
        merge_jsonl(store, PUBLISHED)
    stored = harness.load(db)
    for name in ("runs", "results", "curves", "items"):
        pd.testing.assert_frame_equal(getattr(stored, name)(), getattr(published, name)())
    assert repr(stored) == f"<results of {db}: {len(published.runs())} runs of 1 studies>"


def test_an_empty_store_has_all_columns(tmp_path, monkeypatch):
    db = tmp_path / "h.db"
    open_store(db).close()
    monkeypatch.setenv("HARNESS_DB", str(db))
    results = harness.load()
    for name, columns in (("runs", RUNS), ("results", RESULTS), ("curves", CURVES), ("items", ITEMS)):
        frame = getattr(results, name)()
        assert (len(frame), list(frame.columns)) == (0, list(columns))
        assert [str(kind) for kind in frame.dtypes] == [
            str(pd.Series([], dtype=kind).dtype) for kind in columns.values()
        ]


def test_what_is_not_there(tmp_path, published):
    with pytest.raises(HarnessError, match=r"nothing\.db"):
        harness.load(tmp_path / "nothing.db")
    with pytest.raises(HarnessError, match="no study 'mnits' is stored; did you mean 'mnist'"):
        published.runs("mnits")
