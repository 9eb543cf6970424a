"""Each benchmark once, with the smallest sizes, as a person types it; how fast anything is decides nothing here."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from harness.attempt.messages import Execution
from harness.bench.bare import Nothing, run
from harness.bench.ops import FORMS
from harness.bench.store import commands
from harness.cli import main
from harness.training.process import configure


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(main, ["bench", *map(str, arguments)])
        assert result.exit_code == code, result.output
        return result

    yield invoke
    configure(Execution(threads=threads, deterministic=False))


@pytest.mark.parametrize("stride", [2, 4])
@pytest.mark.parametrize("op", FORMS)
def test_all_forms_of_an_operator_compute_the_same(op, stride):
    x = torch.randn(2, 8, 3, 5, generator=torch.Generator().manual_seed(0))
    expected = x.view(2, 8 // stride, stride, 3, 5).amax(2) if op == "spatial" else x.topk(8 // stride, 1).values
    for form in FORMS[op].values():
        for maps in (x, x.contiguous(memory_format=torch.channels_last)):
            assert torch.equal(form(maps, stride), expected)


FIELDS = {"op", "impl", "shape", "stride", "layout", "dtype", "pass", "seconds", "ratio_to_clone"}


def test_ops_prints_the_fields_that_were_promised(call):
    arguments = ("--shape", "2x8x3x5", "--stride", 2, "--layout", "nhwc", "--threads", 1, "--quick")
    result = call("ops", *arguments, "--plot", "p.svg", "--out", "b", "--format", "json")
    rows = json.loads(result.stdout)
    assert {frozenset(row) for row in rows} == {frozenset(FIELDS)}
    assert [(row["op"], row["impl"]) for row in rows if "backward" not in row["pass"]] == [
        (op, name) for op, forms in FORMS.items() for name in forms
    ]
    assert {row["pass"] for row in rows} == {"forward", "forward+backward"}
    assert all(row["shape"] == [2, 8, 3, 5] and row["seconds"] > 0 and row["ratio_to_clone"] > 0 for row in rows)
    assert "<svg" in Path("p.svg").read_text()
    call("report", "--from", "b", "--out", "r.md")
    table = Path("r.md").read_text()
    assert "## Pooling across channels" in table
    assert "![Pooling across channels](r-ops.svg)" in table
    assert Path("r-ops.svg").read_bytes() == Path("p.svg").read_bytes()
    (line,) = (line for line in table.splitlines() if "| spatial | 2×8×3×5 | 2 | nhwc | float32 | forward |" in line)
    stored = json.loads(Path("b/ops.json").read_text())["rows"]
    forward = {r["impl"]: r["seconds"] for r in stored if r["op"] == "spatial" and "backward" not in r["pass"]}
    ours = forward.pop("harness")
    best = min(forward, key=forward.__getitem__)
    assert line.endswith(f"| {best} | {1000 * forward[best]:.2f} | {forward[best] / ours:.1f} |")


def test_a_dtype_that_a_form_does_not_have_is_left_out_and_said(call, monkeypatch):
    def missing(x, stride):
        raise RuntimeError("not implemented for 'Half'")

    monkeypatch.setitem(FORMS, "spatial", {"missing": missing, "harness": FORMS["spatial"]["harness"]})
    arguments = ("--shape", "2x8x3x5", "--stride", 2, "--layout", "nchw", "--threads", 1, "--quick", "--format", "json")
    result = call("ops", *arguments)
    assert "spatial missing, float32 on cpu: not implemented for 'Half'" in result.stderr
    assert "missing" not in {row["impl"] for row in json.loads(result.stdout)}


@pytest.mark.parametrize("shape", ["2x8x3", "axbxcxd", "0x8x3x5"])
def test_a_wrong_shape_is_refused(call, shape):
    assert "--shape is written NxCxHxW" in call("ops", "--shape", shape, code=2).output


def test_an_epoch_by_both_loops(call):
    arguments = ("--case", "digits", "--images", 100, "--workers", 1, "--threads", 1)
    ours, usual = json.loads(call("epoch", *arguments, "--format", "json", "--out", "b").stdout)
    assert (ours["loop"], usual["loop"], ours["images"], usual["images"]) == ("harness", "usual", 100, 100)
    assert usual["ratio"] == 1
    assert ours["ratio"] == pytest.approx(ours["images_per_s"] / usual["images_per_s"])
    assert all(0 <= row["accuracy"] <= 1 for row in (ours, usual))
    assert "| digits | harness | fp32 | cpu |" in call("report", "--from", "b").stdout


def test_the_store_of_a_few_runs(call):
    arguments = ("--trials", 3, "--seeds", 2, "--metrics", 4)
    rows = json.loads(call("store", *arguments, "--format", "json", "--out", "b").stdout)
    whole = list(commands([Path("s.yml")]))
    assert [row["step"] for row in rows] == ["write", "export", "merge", "plan", "render", *whole]
    assert [row["peak_mib"] is None for row in rows] == [row["step"] not in whole for row in rows]
    assert all(row["cpu_s"] > 0 for row in rows)
    assert {(row["runs"], row["metric_rows"]) for row in rows} == {(6, 24)}
    call("report", "--from", "b", "--out", "r.md")
    assert "| render | 6 | 24 |" in Path("r.md").read_text()


@pytest.mark.parametrize("work", ["compute", "wait"])
def test_overhead_of_a_function(call, work):
    extent = ("--seconds", 0.1, "--runs", 1, "--rounds", 1, "--threads", 1)
    arguments = ("--task", "function", "--work", work, *extent)
    (row,) = json.loads(call("overhead", *arguments, "--format", "json").stdout)
    assert row["runs"] == 1
    assert row["amount"] == 2 or work == "compute"  # rounds of 0.05 s
    assert row["bare_seconds"] > 0
    assert row["overhead"] == pytest.approx(row["grid_seconds"] / row["bare_seconds"] - 1)


def test_the_function_does_the_same_work_with_nothing_around_it():
    assert run(Nothing(0), rounds=3) == run(Nothing(0), rounds=3) != run(Nothing(1), rounds=3)


def test_dispatch_counts_the_processor_time_of_workers_too(call):
    (row,) = json.loads(call("dispatch", "--runs", 2, "--jobs", 1, "--format", "json").stdout)
    assert (row["runs"], row["jobs"]) == (2, 1)
    assert row["cpu_ms_per_run"] * row["runs_per_s_and_core"] == pytest.approx(1000)


def test_startup_of_two_commands(call):
    rows = json.loads(call("startup", "--repetitions", 1, "--format", "json").stdout)
    assert [row["command"] for row in rows] == ["harness --help", "harness results list"]
    assert all(row["cpu_seconds"] > 0 for row in rows)


def test_a_report_of_nothing_is_refused(call):
    assert "holds no figures" in call("report", "--from", "nowhere", code=2).output
