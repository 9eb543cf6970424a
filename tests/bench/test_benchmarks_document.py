"""`harness bench report` of figures that are known: the paragraph in front, a row a case, and what has no rival."""

import json

import pytest

from harness.base.errors import HarnessError
from harness.bench.overhead import row as overhead_row
from harness.bench.report import benchmarks_document

MACHINE = {"processor": "P", "cores": 2, "threads": 2, "gpu": None, "python": "3", "torch": "2", "load": 0}


def op(impl, seconds, *, name="spatial", both="forward+backward", stride=2):
    case = {"op": name, "shape": [1, 4, 2, 2], "stride": stride, "layout": "nchw", "dtype": "float32", "device": "cpu"}
    ratios = {"ratio_to_clone": seconds / 0.001, "ratio_to_best": 1.0, "ratio_to_bytes": 1.0}
    return {**case, "pass": both, "impl": impl, "seconds": seconds, **ratios}


@pytest.fixture
def store(tmp_path):
    def write(name, rows):
        found = {
            "benchmark": name,
            "command": f"harness bench {name}",
            "machine": {**MACHINE, "date": "2020-01-01"},
            "rows": rows,
        }
        (tmp_path / f"{name}.json").write_text(json.dumps(found))
        return tmp_path

    return write


def test_each_case_stands_beside_the_fastest_other_form(store):
    rows = [op("harness", 0.002), op("max", 0.010), op("amax", 0.008), op("harness", 0.003, stride=4)]
    text = benchmarks_document(store("ops", rows), {"ops": "plot.svg"})
    head, two, four = (line for line in text.splitlines() if line.startswith(("| op", "| spatial")))
    assert head.endswith("| best other | its ms | times faster |")
    assert two.endswith("| 2.00 | 2.00 | 1.00 | amax | 8.00 | 4.0 |")
    assert four.endswith("| 3.00 | 3.00 | 1.00 | – | – | – |"), "no other form ran"
    assert "![Pooling across channels](plot.svg)" in text


def test_the_first_paragraph_says_what_the_ratios_come_to(store):
    rows = [op("harness", 0.002), op("amax", 0.008), op("harness", 0.001, stride=4), op("max", 0.006, stride=4)]
    forward = [op("harness", 0.009, both="forward"), op("amax", 0.001, both="forward")]
    store("ops", [*rows, *forward])
    folder = store("overhead", [{"task": "function", "runs": 1, "bare_seconds": 10.0, "grid_seconds": 10.1,
                                 "seconds_a_run_more": 0.1, "overhead": 0.01}])  # fmt: skip
    first = benchmarks_document(folder).split("\n\n")[1]
    assert "feature pooling takes 1.0 to 2.0 times as long as a copy of its tensor and is 4.0 to 6.0 times" in first
    assert "top-k" not in first
    assert first.endswith("torch (forward alone: 0.1 to 0.1 times)."), "a single round is left to its table"


def test_an_overhead_of_several_rounds_stands_with_its_interval(store):
    folder = store("overhead", [overhead_row("function", 2, 10, [50.0, 100.0, 50.0], [51.0, 102.2, 51.1])])
    text = benchmarks_document(folder)
    assert "adds to its time: +2.2% [+1.8%, +2.4%] (function).\n" in text
    assert "| 3 | +2.2% [+1.8%, +2.4%] |" in text


def test_an_overhead_that_noise_hides_is_not_measurable_also_where_it_was_stored_without_an_interval(store):
    hidden = overhead_row("function", 2, 10, [50.0, 100.0, 50.0], [51.0, 99.0, 52.0])
    older = {name: value for name, value in hidden.items() if not name.endswith(("_95", "measurable", "noise"))}
    negative = {**older, "task": "classification", "overhead": -0.05, "overhead_least": -0.099, "overhead_most": -0.022}
    text = benchmarks_document(store("overhead", [hidden, older, negative]))
    assert "not measurable (±9.9%) (classification)" in text
    assert "| – | 3 | not measurable (±4.0%) |" in text
    assert "-5.0%" not in text, "no overhead is negative"
    assert text.count("not measurable (±") == 2 * 3


def large(impl, seconds, part, **how):
    return op(impl, seconds, **how) | {"shape": [1024, 32, 64, 64], "device": "cuda:0", "ratio_to_bytes": 100 / part}


def test_on_a_gpu_the_first_paragraph_says_what_part_of_a_copys_bandwidth_is_reached(store):
    small = op("harness", 0.001) | {"device": "cuda:0", "ratio_to_bytes": 100.0}
    rows = [large("harness", 0.0004, 98), large("max", 0.0012, 30), large("harness", 0.0004, 90, stride=4), small]
    text = benchmarks_document(store("ops-gpu", rows))
    assert "On a GPU, forward and backward, feature pooling reaches 90 to 98% at 32 channels of a copy's" in text
    assert "and is 3.0 to 3.0 times faster" in text, "what has no rival counts for nothing"
    assert "| 0.4000 | 0.40 | 1.02 | max | 1.2000 | 3.0 |" in text
    assert "## Pooling across channels, on a GPU" in text


def test_an_epoch_on_a_gpu_says_what_part_of_the_peak_it_reaches(store):
    row = {"case": "cifar", "loop": "harness", "precision": "bf16", "device": "cuda:0", "threads": 1, "workers": 0,
           "images": 9, "seconds": 1.0, "images_per_s": 9.0, "ratio": 12.0, "accuracy": 0.5}  # fmt: skip
    usual = row | {"loop": "usual", "ratio": 1.0, "of_peak": None}
    text = benchmarks_document(store("epoch-gpu", [row | {"of_peak": 0.188}, usual]))
    assert "| 12.00 | 0.5000 | 19% |" in text
    assert "| 1.00 | 0.5000 | – |" in text
    assert "An epoch (cifar, bf16, cuda:0): 12.00 times" in text


def test_a_folder_without_figures_is_refused(tmp_path):
    with pytest.raises(HarnessError, match="holds no figures"):
        benchmarks_document(tmp_path)
