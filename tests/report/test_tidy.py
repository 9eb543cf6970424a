"""The tidy table: a row per run; settings with their defaults, metrics, costs and times are columns of one type."""

import csv
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import harness
from harness.base.errors import HarnessError
from harness.cli import main
from harness.report.tidy import TIDY

PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "published"
CODE = """\
def run(context, *, rate, momentum=0.5, kind="sgd", seconds=1):
    context.report(0, loss=rate)
    return {"score": rate * momentum + context.seed, "state": 1.0, "extra": 2}
"""
STUDY = {
    "study": "own",
    "task": "function",
    "target": "slope.py:run",
    "metrics": {"score": "maximize", "state": "minimize"},
    "seeds": [0, 1],
    "arguments": {"seconds": 1},
    "trials": [
        {
            "name": "{arguments.rate} {arguments.momentum} {arguments.kind}",
            "grid": {"arguments.rate": [0.1, 0.2], "arguments.momentum": [0, 0.5], "arguments.kind": ["sgd", "adam"]},
        }
    ],
}


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    (folder / "slope.py").write_text(CODE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        harness.run(STUDY, db="h.db", executor="in-process", progress=False)
    return folder / "h.db"


def call(*words):
    return CliRunner().invoke(main, ["results", "export", *map(str, words)])


def test_an_argument_at_its_default_has_its_value(db):
    frame = harness.load(db).tidy()
    settings = ["arguments.rate", "arguments.momentum", "arguments.kind"]
    assert frame.attrs["settings"] == settings
    found = frame.set_index("trial")[settings].drop_duplicates()
    assert {name: " ".join(map(str, row)) for name, *row in found.itertuples()} == {
        f"{rate} {momentum} {kind}": f"{rate} {float(momentum)} {kind}"
        for rate in (0.1, 0.2)
        for momentum in (0, 0.5)
        for kind in ("sgd", "adam")
    }
    assert set(frame["arguments.seconds"]) == {1}


def test_a_row_is_a_run_with_its_metrics_and_times(db):
    frame = harness.load(db).tidy("own")
    assert (len(frame), list(frame.columns)[: len(TIDY)]) == (16, list(TIDY))
    assert (frame.score == frame["arguments.rate"] * frame["arguments.momentum"] + frame.seed).all()
    assert set(frame["state"]) == {"done"}
    assert set(frame["result.state"]) == {1.0}, "a metric that is called like a column of every run"
    assert set(frame.extra) == {2}
    assert (frame.run_s >= 0).all()
    assert list(frame.attrs["metrics"]) == ["score", "result.state"], "extra is not declared"
    assert frame.attrs["metrics"]["result.state"]["better"] == "lower"


def test_csv_and_parquet_hold_the_same(db, tmp_path):
    frame = harness.load(db).tidy()
    for name in ("t.csv", "t.parquet"):
        assert call("--db", db, "--rows", "tidy", "--out", tmp_path / name).stdout == (
            f"{tmp_path / name}: 16 rows of tidy\n"
        )
    written = pd.read_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(written.drop(columns="started"), frame.drop(columns="started"), check_dtype=False)
    with (tmp_path / "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(frame.columns)
    assert [float(row["score"]) for row in rows] == list(frame.score)


def test_networks_have_compressors_costs_and_a_dataset():
    frame = harness.load(PUBLISHED / "mnist.jsonl").tidy()
    assert frame.attrs["settings"] == ["at", "compressor.kind", "compressor.stride"]
    assert set(frame.dataset) == {"mnist"}
    pooled = frame[frame.trial == "Feature pooling (top-k), 75%"].iloc[0]
    assert (pooled["at"], pooled["compressor.kind"], pooled["compressor.stride"]) == ("conv2", "topk", 4)
    assert frame[frame.trial == "Baseline"].parameters.unique() == [12_855_498]
    assert {"train_seconds", "macs", "accuracy", "loss"} <= set(frame.columns)


def test_several_evaluations_have_a_column_each():
    frame = harness.load(PUBLISHED / "denoise-classical.jsonl").tidy()
    assert "psnr_db" not in frame.columns
    assert "kodak24[:8]/test psnr_db (kind gaussian, sigma 30.0)" in frame.columns
    both = harness.load([PUBLISHED / "mnist.jsonl", PUBLISHED / "cifar-small.jsonl"]).tidy()
    assert both.accuracy.notna().all(), "one result per run: one column, whatever the data are"
    assert set(both.dataset) == {"mnist", "cifar10"}


def test_what_is_not_there(db, tmp_path):
    with pytest.raises(HarnessError, match="no study 'owm' is stored; did you mean 'own'"):
        harness.load(db).tidy("owm")
    assert "no study 'owm' is stored" in call("--db", db, "--study", "owm", "--rows", "tidy", "--out", "x.csv").stderr
    assert list(tmp_path.iterdir()) == []
