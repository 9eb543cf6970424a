"""Tables 2 and 3: all that the paper prints, and the counts that its configurations give."""

from pathlib import Path

import pytest

from harness.report import render, table_document
from harness.report.printing import in_unit, printed
from harness.report.tables.cells import table_cells
from harness.report.tables.expected import expected_configs
from harness.report.tables.table_file import load_paper_table
from harness.store.merge import open_results
from harness.store.queries import snapshot

PUBLISHED = Path(__file__).resolve().parents[3] / "results" / "published"

PRINTED = {  # the paper's lines: row, blocks with a mark, accuracy, parameters, FLOPs
    2: """\
Baseline [16] |           | 93.25% | 14.06M | 2.949e7
Baseline+FP1  | 1         | 93.53% | 14.02M | 2.941e7
Baseline+FP2  | 2         | 93.33% | 13.92M | 2.919e7
Baseline+FP3  | 3         | 93.60% | 13.50M | 2.831e7
Baseline+FP4  | 4         | 93.55% | 12.93M | 2.713e7
Baseline+FP5  | 5         | 93.68% | 14.05M | 2.947e7
Baseline+2FP  | 3 4       | 93.56% | 12.37M | 2.595e7
Baseline+3FP  | 3 4 5     | 93.69% | 12.36M | 2.593e7
Baseline+4FP  | 2 3 4 5   | 93.41% | 12.22M | 2.563e7
Baseline+5FP  | 1 2 3 4 5 | 93.21% | 12.19M | 2.556e7""",
    3: """\
Baseline [16] |           | 93.25% | 14.06M | 2.949e7
Baseline+FP1  | 1         | 93.61% | 14.01M | 2.937e7
Baseline+FP2  | 2         | 93.43% | 13.85M | 2.904e7
Baseline+FP3  | 3         | 93.65% | 13.22M | 2.772e7
Baseline+FP4  | 4         | 93.67% | 12.37M | 2.595e7
Baseline+FP5  | 5         | 93.6%  | 14.05M | 2.946e7
Baseline+2FP  | 3 4       | 93.44% | 11.53M | 2.418e7
Baseline+3FP  | 3 4 5     | 93.65% | 11.51M | 2.415e7
Baseline+4FP  | 2 3 4 5   | 93.25% | 11.30M | 2.371e7
Baseline+5FP  | 1 2 3 4 5 | 92.55% | 11.25M | 2.360e7""",
}
STRIDE = {2: 2, 3: 4}
BLOCKS = [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]  # channels and convolutions of VGG-16
SLIP = (3, "Baseline+FP1", "flops")  # 2.9377e7 printed as 2.937e7


def lines(number):
    for line in PRINTED[number].splitlines():
        label, blocks, *texts = (field.strip() for field in line.split("|"))
        yield label, [int(b) for b in blocks.split()], texts


@pytest.mark.parametrize("number", [2, 3])
def test_all_that_the_paper_prints(number):
    table = load_paper_table(number)
    assert [(c.label, c.unit, c.rounding) for c in table.columns] == [
        ("Accuracy", "percent", "round"),
        ("Parameters", "M", "truncate"),
        ("FLOPs", "count", "round"),
    ]
    assert [row.label for row in table.rows] == [label for label, _, _ in lines(number)]
    for row, (_, blocks, texts) in zip(table.rows, lines(number), strict=True):
        assert [row.paper[key].text for key in ("accuracy", "parameters", "flops")] == texts
        spatial = {"kind": "spatial", "stride": STRIDE[number]}
        assert row.compressors == {f"conv{block}": spatial for block in blocks}
        assert (row.seeds, row.also, row.select_by) == (None, ("cifar-fast",), "accuracy")
    best = max(table.rows, key=lambda row: row.paper["accuracy"].value)
    assert [(row, key) for row in table.rows for key, value in row.paper.items() if value.bold] == [(best, "accuracy")]


@pytest.mark.parametrize("number", [2, 3])
def test_rows_name_the_trials_of_the_study(number):
    names = [row.trial.name for row in load_paper_table(number).rows]
    places = ["FP1", "FP2", "FP3", "FP4", "FP5", "2FP", "3FP", "4FP", "5FP"]
    assert names == ["Baseline", *(f"{place}, stride {STRIDE[number]}" for place in places)]
    assert {row.trial.study for row in load_paper_table(number).rows} == {"cifar"}


def counts(blocks, stride):
    """Variables and paper FLOPs of the paper's VGG-16 with feature pooling behind some blocks, by plain arithmetic."""
    weights, channels, read = 0, 0, 3
    for number, (made, depth) in enumerate(BLOCKS, 1):
        for _ in range(depth):
            weights += 9 * read * made
            channels += made
            read = made
        read //= stride if number in blocks else 1
    weights += 4 * read * 10
    return weights + 10 + 4 * (channels + 10), 2 * weights + 6 * (channels + 10)


@pytest.mark.parametrize("number", [2, 3])
def test_counts_print_as_the_paper_prints_them_but_for_one_slip(number):
    table = load_paper_table(number)
    for row, (label, blocks, _) in zip(table.rows, lines(number), strict=True):
        for key, count in zip(("parameters", "flops"), counts(blocks, STRIDE[number]), strict=True):
            column = table.column(key)
            same = printed(in_unit(count, column), column) == row.paper[key].text
            assert same == ((number, label, key) != SLIP)
            assert bool(row.paper[key].note) == ((number, label, key) == SLIP)


@pytest.mark.parametrize("number", [2, 3])
def test_rows_resolve_to_the_papers_recipe(number):
    configs = expected_configs(load_paper_table(number))
    assert len({str(config) for config in configs.values()}) == 10
    for config in configs.values():
        assert config["model"] == {"kind": "vgg16"}
        assert (config["protocol"]["epochs"], config["protocol"]["batch_size"]) == (180, 250)


@pytest.mark.parametrize("number", [2, 3])
def test_the_disagreements_are_noted(number):
    assert [note.misprint for note in load_paper_table(number).notes] == [13, 14, 15, 19]


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("stored", [True, False])
def test_all_counts_are_there_whatever_is_stored(number, stored):
    """They are counts of a network: no run is needed, and what is published need not hold any."""
    table = load_paper_table(number)
    with open_results([PUBLISHED / ("cifar.jsonl" if stored else "mnist.jsonl")]) as store:
        found = snapshot(store)
    cells = [c for c in table_cells(found, table, expected_configs(table)) if c.column in ("parameters", "flops")]
    assert len(cells) == 20
    for cell, (blocks, key) in zip(cells, ((b, k) for _, b, _ in lines(number) for k in (0, 1)), strict=True):
        column = table.column(cell.column)
        assert printed(cell.ours, column) == printed(in_unit(counts(blocks, STRIDE[number])[key], column), column)
        assert (cell.match, cell.runs, cell.device) == ("exact", 0, None)


def test_what_only_torch_can_count_is_said():
    table = load_paper_table(2)
    configs = expected_configs(table)
    foreign = {**configs["Baseline+FP1"], "model": {"kind": "torchvision:resnet18"}}
    with open_results([PUBLISHED / "mnist.jsonl"]) as store:
        found = snapshot(store)
    text = render(table_document(found, table, {**configs, "Baseline+FP1": foreign}), "md")
    assert "Not counted, as no trial of such a network is stored and only torch can count it: Baseline+FP1." in text
    assert "Not counted" not in render(table_document(found, table, configs), "md")
