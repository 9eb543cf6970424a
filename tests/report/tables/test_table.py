"""Table files: what the paper prints, and what is refused."""

import pytest
from records import MODEL_COSTS, table1

from harness.base.errors import HarnessError, SpecError
from harness.report.printing import as_printed, difference, in_unit, printed
from harness.report.tables.expected import expected_configs
from harness.report.tables.table import Column
from harness.report.tables.table_file import (
    PAPER,
    load_our_table,
    load_paper_table,
    load_table,
    our_tables,
    paper_tables,
)


def test_table_1_has_the_papers_35_values():
    table = table1()
    assert len(table.rows) == 7
    assert sum(len(row.paper) for row in table.rows) == 35
    assert [c.label for c in table.columns] == [
        "Accuracy",
        "Training time",
        "Testing time",
        "Parameters",
        "Flops",
    ]
    assert [row.label for row in table.rows] == list(MODEL_COSTS)
    bold = [(row.label, key) for row in table.rows for key, value in row.paper.items() if value.bold]
    assert bold == [("Feature pooling (spatial pooling), 75%", "accuracy")]


def test_the_papers_best_is_what_it_prints_in_bold():
    accuracies = {row.label: row.paper["accuracy"] for row in table1().rows}
    best = max(accuracies, key=lambda label: accuracies[label].value)
    assert accuracies[best].bold


@pytest.mark.parametrize("label", MODEL_COSTS)
def test_counts_print_as_the_paper_prints_them(label):
    table = table1()
    row = next(row for row in table.rows if row.label == label)
    for key, count in zip(("parameters", "flops"), MODEL_COSTS[label], strict=True):
        column = table.column(key)
        assert printed(in_unit(count, column), column) == row.paper[key].text
        assert as_printed(in_unit(count, column), column) == row.paper[key].value


def test_table_not_entered():
    assert paper_tables() == [1, 2, 3, 4, 5, 6, 7, 8]
    with pytest.raises(HarnessError, match=r"^table 9 is not entered yet; entered: 1, 2, 3, 4, 5, 6, 7, 8$"):
        load_paper_table(9)


def test_no_such_table_of_ours():
    attacked, others = ["adversarial", "adversarial-cifar"], ["imagenet", "imagenette", "preparations", "rivals"]
    assert our_tables() == [*attacked, "cifar-small", "denoise-any", "denoise-small", *others]
    with pytest.raises(HarnessError, match=r"^there is no table 'rival'; did you mean 'rivals'\?$"):
        load_our_table("rival")


GOOD = """\
table: mine
caption: A table.
expect: {task: classification, dataset: mnist, model: mnist_cnn, protocol: mnist-paper, seeds: [0]}
columns:
  - {key: acc, label: A, source: result, metric: accuracy, unit: percent, format: {digits: 1}, better: higher}
rows:
  - label: one
    trial: {study: s, name: one}
    paper: {acc: {value: 98.5, text: "98.5"}}
"""


def test_a_users_own_table(tmp_path):
    file = tmp_path / "mine.yml"
    file.write_text(GOOD)
    table = load_table(file)
    assert table.rows[0].paper["acc"].value == 98.5
    assert (table.baseline, table.against(table.rows[0])) == ("one", None)


def test_a_model_with_options_and_a_row_with_another(tmp_path):
    file = tmp_path / "mine.yml"
    narrow = "  - label: two\n    trial: {study: s, name: two}\n    model: {kind: vgg16, width: 0.5}\n"
    named = "dataset: cifar10, model: {kind: vgg16, width: 0.25}, protocol: {kind: cifar-fast, epochs: 8}"
    file.write_text(GOOD.replace("dataset: mnist, model: mnist_cnn, protocol: mnist-paper", named) + narrow)
    table = load_table(file)
    one, two = expected_configs(table).values()
    assert (one["model"], two["model"]) == ({"kind": "vgg16", "width": 0.25}, {"kind": "vgg16", "width": 0.5})
    assert one["protocol"]["epochs"] == two["protocol"]["epochs"] == 8
    assert table.expect.protocol_name == "cifar-fast"


GRID = """\
  - label: "{kind}, stride {stride}"
    trial: {study: s, name: t}
    grid: {stride: [2, 4], kind: [max, min]}
    against: "max, stride {stride}"
"""


def test_a_grid_is_rows_the_last_word_fastest(tmp_path):
    file = tmp_path / "mine.yml"
    file.write_text(GOOD + GRID)
    table = load_table(file)
    assert [(row.label, table.against(row)) for row in table.rows] == [
        ("one", None),
        ("max, stride 2", "one"),  # what others stand against stands against the baseline
        ("min, stride 2", "max, stride 2"),
        ("max, stride 4", "one"),
        ("min, stride 4", "max, stride 4"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('label: "{kind}, ', 'label: "{kynd}, ', r":10: .* must hold words of the grid alone: {stride}, {kind}"),
        ("kind: [max, min]", "kind: [max, max]", r":10: 'max, stride 2' occurs twice among the rows"),
        ('against: "max', 'against: "mex', r":13: 'mex, stride 2' is not a row; did you mean 'max, stride 2'"),
        ("    trial: {study: s, name: t}\n", "", r":10: 'trial' is missing"),
    ],
)
def test_a_grid_that_does_not_fit_is_refused(tmp_path, old, new, message):
    file = tmp_path / "mine.yml"
    assert GRID.count(old) == 1
    file.write_text(GOOD + GRID.replace(old, new))
    with pytest.raises(SpecError, match=message):
        load_table(file)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("better: higher", "better: upward", r":5: .*better"),
        ("caption: A", "captoin: x\ncaption: A", r":2: unknown key 'captoin'; did you mean 'caption'"),
        ('text: "98.5"', 'text: "98.6"', r":9: the text '98.6' is not the value 98.5"),
        ("paper: {acc:", "paper: {accu:", r":9: 'accu' is not a column; did you mean 'acc'"),
        ("    paper", "    select_by: nothing\n    paper", r":9: 'nothing' is not a column of results"),
        ("seeds: [0]", "seeds: [0, 0]", r"row 'one' has a seed twice"),
        ("columns:", "columns: [", r"not valid YAML"),
        (", seeds: [0]", "", r":3: 'seeds' is missing"),
        (", protocol: mnist-paper", "", r":3: 'protocol' is missing"),
        ("caption:", "baseline: won\ncaption:", r":2: 'won' is not a row; did you mean 'one'"),
        ("caption:", "match: by name\ncaption:", r":2: a table by name needs 'study'"),
        ("caption:", "match: by name\nstudy: s\ncaption:", r":11: 'paper' does not go with match: by name"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line_with_its_place(tmp_path, old, new, message):
    file = tmp_path / "mine.yml"
    assert GOOD.count(old) == 1
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(SpecError, match=message) as error:
        load_table(file)
    assert "\n" not in str(error.value)


def _column(**fields):
    base = {"key": "x", "label": "X", "source": "cost", "metric": "x", "better": "lower", "unit": "count"}
    return Column.model_validate({**base, **fields})


def test_rounding_and_truncation_differ():
    form = {"digits": 2}
    assert printed(14.067, _column(format=form)) == "14.07"
    assert printed(14.067, _column(format=form, rounding="truncate")) == "14.06"
    assert printed(0.125, _column(format=form)) == "0.13"  # half up, as a person rounds, not half to even


def test_scientific_carries_into_the_exponent():
    column = _column(format={"style": "scientific", "digits": 3})
    assert printed(9_999_600.0, column) == "1.000e7"
    assert printed(6_435_360.0, column) == "6.435e6"
    assert printed(0.0, column) == "0.000e0"


def test_difference_is_that_of_what_is_printed():
    column = _column(format={"digits": 4})
    assert difference(0.98849, "0.9891", column) == "−0.0006"
    assert difference(0.9823, "0.982", column) == "+0.0003"
    assert difference(0.98204, "0.982", column) == "="
    sci = _column(format={"style": "scientific", "digits": 3})
    assert difference(2.572e7, "2.571e7", sci) == "+1.000e4"
    assert difference(float("nan"), "0.982", column) == "–"


def test_a_table_is_read_again_once_its_file_has_changed(tmp_path):
    path = tmp_path / "one.yml"
    text = (PAPER / "table1.yml").read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    first = load_table(path)
    assert load_table(path) == first
    path.write_text(text.replace("Baseline", "The Baseline"), encoding="utf-8")
    assert load_table(path).baseline == "The Baseline"
    with pytest.raises(SpecError, match="cannot be read"):
        load_table("a\0b.yml")
