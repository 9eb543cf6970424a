"""How many digits a table prints: enough to tell its values apart, whatever their size."""

import csv
import io
import json
import re

import pytest
from click.testing import CliRunner

import harness
from harness.cli import main
from harness.report.printing import count_text, difference, fitted, number, printed
from harness.report.tables.table import Column, NumberFormat

FOUR = NumberFormat(digits=4)
CODE = "def run(context, *, x):\n    return {'y': 1e-9 * (3 + x / 10 + context.seed / 100 + x * context.seed / 1000)}\n"
STUDY = {
    "study": "s",
    "task": "function",
    "target": "f.py:run",
    "metrics": {"y": "maximize"},
    "seeds": [0, 1, 2, 3, 4, 5, 6, 7],
    "trials": [{"name": "x {arguments.x}", "grid": {"arguments.x": [1, 2]}}],
}
TABLE = """\
table: small
caption: A metric of a billionth
match: by name
study: s
expect: {task: function}
select: mean
columns:
  - {key: y, label: Y, source: result, metric: y, unit: count, format: {digits: 4}, better: higher, bold: true}
rows:
  - label: "x {x}"
    grid: {x: [1, 2]}
"""


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ((0.9787, 0.9791), ("0.9787", "0.9791")),  # four digits are enough
        ((0.97871, 0.97874), ("0.97871", "0.97874")),
        ((3e-9, 3.1e-9), ("3.00e-9", "3.10e-9")),
        ((3e-9, 3.0001e-9), ("3.0000e-9", "3.0001e-9")),
        ((3e-9, 3e-9), ("3.00e-9", "3.00e-9")),
        ((1.0, 1.0 + 1e-15), ("1.0000", "1.0000")),  # the rounding of floats is no spread
        ((0.5, 3e-9), ("0.5000", "3.00e-9")),
        ((0.0, 0.0), ("0.0000", "0.0000")),
        ((0.5, float("nan")), ("0.5000", "nan")),
        ((12_345.0, 12_346.0), ("12345.0000", "12346.0000")),
        ((1e-300, 2e-300), ("1.00e-300", "2.00e-300")),
    ],
)
def test_values_are_printed_apart_and_nothing_as_zero_but_zero(values, texts):
    form = fitted(FOUR, values)
    assert tuple(number(value, form) for value in values) == texts


def test_a_count_that_its_unit_would_print_as_zero():
    column = Column(key="p", label="P", source="cost", metric="parameters", unit="M", better="lower",
                    format=NumberFormat(digits=2, suffix="M"), rounding="truncate")  # fmt: skip
    assert printed(0.004799, column) == "4.79e-3M"
    assert difference(0.004799, "0.01M", column) == "−0.00521M"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store with two trials of eight seeds, whose metric is of the order of 1e-9."""
    at = tmp_path_factory.mktemp("digits")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(at)
        patch.delenv("HARNESS_DB", raising=False)
        (at / "f.py").write_text(CODE)
        (at / "small.yml").write_text(TABLE)
        harness.run(STUDY, executor="in-process", progress=False)
    return at


def tables(folder, *words):
    done = CliRunner().invoke(main, ["report", "tables", *words, "--from", str(folder / "results" / "harness.db")])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_study_of_a_small_metric(folder):
    text = tables(folder, "--study", "s")
    first, second = (line for line in text.splitlines() if line.startswith("| x "))
    assert "3.14e-9 ± 2.69e-11 (n = 8, best 3.18e-9)" in first
    assert "**3.24e-9 ± 2.94e-11 (n = 8, best 3.28e-9)**" in second
    assert "**" not in first
    assert "0.0000" not in text


def test_the_table_of_a_small_metric(folder):
    words = ["--file", str(folder / "small.yml")]
    text = tables(folder, *words)
    assert re.search(r"^\| x 1 +\| +3\.14e-9 \|$", text, re.MULTILINE)
    assert re.search(r"^\| x 2 +\| +\*\*3\.24e-9\*\* \|$", text, re.MULTILINE)
    assert "+1.04e-10 [+1.01e-10, +1.06e-10] | 0.0078 (0.0078)" in text
    assert "0.0000" not in text
    cells = json.loads(tables(folder, *words, "--format", "json"))
    d = cells[1]["statistics"]["difference"]
    assert (d["p"], d["smallest_p"], d["draws"]) == (2 / 2**8, 2 / 2**8, None)
    assert d["sd"] == pytest.approx(2.4495e-12, rel=1e-3)
    assert d["mean"] == pytest.approx(1.035e-10)
    assert 0 < d["low_95"] < d["mean"] < d["high_95"]
    (_, row) = csv.DictReader(io.StringIO(tables(folder, *words, "--format", "csv")))
    assert float(row["Y [count] mean difference"]) == pytest.approx(1.035e-10)


@pytest.mark.parametrize(
    ("count", "million", "text"),
    [
        (12_855_498, 2**20, "12.26 M"),
        (12_855_498, 10**6, "12.86 M"),
        (884_000, 10**6, "0.8840 M"),
        (52_138, 10**6, "52,138"),
        (0, 10**6, "0"),
        (4_111_514_624, 10**6, "4.112 G"),
    ],
)
def test_a_count_has_four_digits_and_a_small_one_all_of_them(count, million, text):
    assert count_text(count, million) == text
