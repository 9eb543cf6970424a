"""Documents and formats: golden files, and what every escape must keep.

`UPDATE_GOLDEN=1` writes the golden files anew.
"""

import csv
import io
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import entry, snapshot, table1, timing, train, whole, whole_samples

from harness.base.errors import HarnessError, printable
from harness.report import (
    expected_configs,
    expected_settings,
    render,
    stale_remarks,
    study_document,
    table_document,
)
from harness.report.document import _letters
from harness.report.render.latex import escape as latex_escape
from harness.report.render.markdown import escape as markdown_escape

GOLDEN = Path(__file__).parent / "golden"
CONFIGS = expected_configs(table1())
ROWS = list(CONFIGS)


def paper_document(stored, **options):
    return table_document(stored, table1(), CONFIGS, expected_settings(table1()), **options)


def whole_document():
    return paper_document(whole(), samples=whole_samples)


def study(stored=None):
    return study_document(whole() if stored is None else stored, "mnist", {"mnist": None})


@pytest.mark.parametrize("kind", ["md", "latex", "csv", "json"])
@pytest.mark.parametrize("name", ["table1", "study"])
def test_golden(name, kind):
    text = render(whole_document() if name == "table1" else study(), kind)
    file = GOLDEN / f"{name}.{'tex' if kind == 'latex' else kind}"
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def test_json_is_the_list_of_cells():
    cells = json.loads(render(whole_document(), "json"))
    assert len(cells) == 35
    assert list(cells[0]) == (
        [
            "table",
            "row",
            "column",
            "paper",
            "ours",
            "unit",
            "match",
            "runs",
            "select",
            "values",
            "protocol",
            "dataset",
            "device",
            "note",
            "overrides",
            "assumed",
            "text",
            "bold",
            "statistics",
        ]
    )
    assert [cell["column"] for cell in cells if cell["statistics"]] == ["accuracy"] * 7
    first, second = (cell["statistics"] for cell in cells if cell["column"] == "accuracy" and cell["row"] in ROWS[:2])
    assert first["difference"] is None
    assert (first["seeds"], second["against"], second["difference"]["tests"]) == ([0, 1], "Baseline", 6)
    assert [pair["seed"] for pair in second["mcnemar_by_seed"]] == [0, 1]


def test_json_has_no_nan():
    stored = snapshot([entry("Baseline")], [train("a", CONFIGS["Baseline"], 0, float("nan"))])
    first = json.loads(render(paper_document(stored), "json"), parse_constant=pytest.fail)[0]
    assert (first["ours"], first["values"]) == (None, [None, None])
    assert "nan: seed 0" in first["note"]


def test_csv_reads_back():
    lines = list(csv.DictReader(io.StringIO(render(paper_document(whole()), "csv"))))
    assert len(lines) == 7
    assert lines[0]["Accuracy [fraction] paper"] == "0.9791"
    assert float(lines[0]["Parameters [M] difference"]) == 0


def test_csv_has_the_statistics_behind_all_else():
    heads, *lines = csv.reader(io.StringIO(render(whole_document(), "csv")))
    assert {len(line) for line in lines} == {len(heads)} == {len(set(heads))}
    assert heads.index("Accuracy [fraction] n") == heads.index("Flops [count] match") + 1
    rows = [dict(zip(heads, line, strict=True)) for line in lines]
    assert [row["Accuracy [fraction] n"] for row in rows] == ["2", "2", "2", "2", "2", "2", "1"]
    assert [row["Accuracy [fraction] against"] for row in rows] == ["", *["Baseline"] * 6]
    assert rows[0]["Accuracy [fraction] sign-flip p"] == ""
    assert float(rows[1]["Accuracy [fraction] mean difference"]) == pytest.approx(0.00075)
    assert (rows[1]["Accuracy [fraction] Holm p"], rows[1]["Accuracy [fraction] McNemar seed"]) == ("1.0", "1")


def test_unknown_format():
    with pytest.raises(HarnessError, match="unknown format 'markdow'"):
        render(study(), "markdow")


def test_bold_is_our_best_accuracy_alone():
    rows = paper_document(whole()).rows
    bold = [(row.label, i) for row in rows for i, cell in enumerate(row.cells) if cell.bold]
    best = max(rows, key=lambda row: row.cells[0].ours)
    assert bold == [(best.label, 0)]


def test_times_by_plain_torch_are_listed_below_and_one_epoch_has_no_spread():
    plain = {"kernels": "torch", "order": "as_written"}
    one = {"train_s_per_epoch": 5.0, "train_s_per_epoch_min": 5.0, "train_s_per_epoch_max": 5.0, "test_s": 0.5}
    runs = [timing("t", CONFIGS["Baseline"], 5, measures=one), timing("p", CONFIGS["Baseline"], 9.0, execution=plain)]
    notes = {note.text: note.lines for note in paper_document(snapshot([entry("Baseline")], runs)).notes}
    (listed,) = (lines for text, lines in notes.items() if "by plain torch's operators in the paper's order" in text)
    assert listed == ("Baseline, Training time: 9.00s", "Baseline, Testing time: 0.900s")
    assert not any(text.startswith("Spread") for text in notes)


def test_what_prints_alike_is_as_bold():
    labels = ["Baseline", "Dimension reduction of Conv, 75%"]
    stored = snapshot(
        [entry(label) for label in labels],
        [train(f"a{i}", CONFIGS[label], 0, 0.98001 + i / 1e5) for i, label in enumerate(labels)],
    )
    assert [row.label for row in paper_document(stored).rows if row.cells[0].bold] == labels


def test_assumed_settings_and_bias_stand_below():
    text = render(paper_document(whole()), "md")
    assert "optimizer: sgd, learning_rate 0.02 (inferred; not stated" in text
    assert "epochs: 5" not in text  # stated
    assert "biased estimate" in text
    assert "biased" not in render(paper_document(whole(), select="mean"), "md")


def test_mixed_code_is_said_for_each_kind_of_attempt():
    stored = whole()
    assert not [n for n in paper_document(stored).footnotes if n.mark == "code"]
    others = {"train-0-1", "train-1-1"}  # a run of each of two kinds of networks
    mixed = replace(
        stored,
        attempts=tuple(replace(a, code_digest="0ther") if a.uid in others else a for a in stored.attempts),
    )
    assert [n.text for n in paper_document(mixed).footnotes if n.mark == "code"] == [
        "The train attempts behind this table ran different code: 0ther, c0de."
    ]


def test_what_was_evaluated_later_is_stale_as_what_was_trained():
    """As of a method that is not trained, whose values an `evaluate` attempt gave."""
    stored = whole()
    record, attempt = next((stored.trials[a.trial_key], a) for a in stored.attempts if a.kind == "train")
    untrained = replace(record, config={"task": {"kind": "denoising"}, "model": {"kind": "bm3d"}, "compressors": {}})
    (said,) = stale_remarks([(untrained, replace(attempt, kind="evaluate")), (untrained, attempt)], "table6")
    assert said.startswith("the train attempts behind table6 were made by code that has changed since (digest c0de)")


def test_timing_by_other_code_than_training_is_no_mixture():
    attempts = tuple(replace(a, code_digest="t") if a.kind == "timing" else a for a in whole().attempts)
    assert not [n for n in paper_document(replace(whole(), attempts=attempts)).footnotes if n.mark == "code"]


def test_study_says_what_is_missing():
    document = study()
    assert document.rows[-1].cells[0].text == "1 of 2"
    assert document.rows[-1].cells[1].marks == ("a",)
    assert document.footnotes[0].text == "1 of 2 runs"
    assert document.rows[0].cells[1].text == "0.9786 ± 0.0007 (n = 2, best 0.9791)"
    stored = whole()
    nothing = replace(stored, attempts=stored.attempts[:1])
    assert study(nothing).rows[1].cells[:2][1].text == "–"


def test_study_names_a_stand_in():
    document = study_document(whole(), "mnist", {"mnist": "the real digits"})
    assert "mnist (a stand-in for the real digits)" in document.notes[0].text


def test_unknown_study():
    with pytest.raises(HarnessError, match="no study 'mnits' is stored; did you mean 'mnist'"):
        study_document(whole(), "mnits")


def test_study_takes_the_newest_text_of_its_file():
    stored = whole()
    newer = tuple(replace(r, spec_sha="new", created="2021", added="2021") for r in stored.study_trials[:2])
    older = tuple(replace(r, spec_sha="new", created="2021") for r in stored.study_trials[2:])
    stored = replace(stored, study_trials=(*older, *newer))
    assert len(study(stored).rows) == len(study_document(stored, "mnist", spec_sha="new").rows) == 2
    with pytest.raises(HarnessError, match="is not stored as this file says"):
        study_document(stored, "mnist", spec_sha="sha")


def test_marks_after_z():
    assert [_letters(n) for n in (0, 25, 26, 51, 52, 702)] == ["a", "z", "aa", "az", "ba", "aaa"]


@given(st.text())
def test_markdown_escape_is_one_line_that_breaks_no_table(text):
    escaped = markdown_escape(text)
    assert len(escaped.splitlines()) <= 1
    bare = re.sub(r"\\.", "", escaped)
    assert not set(bare) & set("|*`<\\")
    assert re.sub(r"\\(.)", r"\1", escaped) == " ".join(printable(text).split())


@given(st.text())
def test_latex_escape_is_ascii_with_balanced_braces_and_nothing_active(text):
    escaped = latex_escape(text)
    assert escaped.isascii()
    assert escaped.isprintable()
    bare = re.sub(r"\\[\\{}$&%#_^~`'\"]", "", escaped)
    assert not set(bare) & set("%#&~")
    depth = 0
    for char in bare:
        depth += {"{": 1, "}": -1}.get(char, 0)
        assert depth >= 0
    assert depth == 0
    assert bare.count("$") % 2 == 0


def test_latex_quotes_open_and_close():
    assert latex_escape("""say "a" ("b") 'c' d''e""") == (
        r"say \textquotedblleft{}a\textquotedblright{} (\textquotedblleft{}b\textquotedblright{}) 'c' d'{}'e"
    )


def test_latex_prints_each_special_character():
    assert latex_escape(r"50% & a_b #1 {x} $y ~ ^ \ -- § ± é 中") == (
        r"50\% \& a\_b \#1 \{x\} \$y \textasciitilde{} \textasciicircum{} \textbackslash{} "
        r"-{}- \S{} $\pm$ \'{e} U+4E2D"
    )


@pytest.mark.parametrize("make", [whole_document, study], ids=["table1", "study"])
def test_latex_has_as_many_fields_in_each_line(make):
    document = make()
    text = render(document, "latex")
    small = len(document.statistics)
    assert re.findall(r"\\usepackage\{(\w+)\}", text) == ["booktabs"]  # in a comment: the one that is needed
    assert re.findall(r"\\begin\{(\w+)\}", text) == ["table", "tabular", "minipage", *["tabular"] * small]
    assert re.findall(r"\\end\{(\w+)\}", text) == ["tabular", "minipage", "table", *["tabular"] * small]
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 1 + small
    bodies = [part.partition(r"\bottomrule")[0] for part in text.split(r"\toprule")[1:]]
    wide = [len(document.columns), *(len(table.columns) for table in document.statistics)]
    for body, columns in zip(bodies, wide, strict=True):
        for line in body.splitlines():
            if line.endswith(r"\\") and "@{}l" not in line:
                assert len(re.findall(r"(?<!\\)&", line)) == columns


def test_latex_goes_on_where_a_page_ends():
    document = study()
    rows = document.rows * 24  # 168 rows: about as many on each of three pages
    text = render(replace(document, rows=rows), "latex")
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 3
    assert text.count("(continued)") == 2
    assert text.count(r"\begin{minipage}") == 1
    assert text.count("Dimension reduction of Conv, 75") == 24
    pages = [page.partition(r"\bottomrule")[0].count("Dimension") for page in text.split(r"\midrule")[1:]]
    assert max(pages) - min(pages) <= 1
