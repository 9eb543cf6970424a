"""`--set protocol.…` is another recipe: every format, the page and the lists say what it changes of the named one."""

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from records import changed, entry, snapshot, table1, train

from harness.cli import main
from harness.report import expected_configs, expected_settings, render, table_document
from harness.report.figures.results import Results
from harness.report.html.studies import all_studies
from harness.report.tables.study_document import study_document
from harness.store.merge import open_results

CONFIGS = expected_configs(table1())
ONE = changed(CONFIGS["Baseline"], epochs=1)
SPATIAL = "Feature pooling (spatial pooling), 50%"
WORDS = "mnist-paper (epochs 1 instead of 5)"
STUDY = "sensitivity-mnist"  # which varies the optimiser
PUBLISHED = Path(__file__).resolve().parents[3] / "results" / "published" / f"{STUDY}.jsonl"
RATE = "mnist-paper (optimizer.learning_rate 0.01 instead of 0.02)"


def study(**rows):
    """A study's document of its rows by name, each a configuration."""
    entries = [entry(label, config) for label, config in rows.items()]
    return study_document(
        snapshot(entries, [train(f"{n}", c, 0, 0.9) for n, (_, c, _, _) in enumerate(entries)]), "mnist"
    )


@pytest.mark.parametrize("kind", ["md", "latex", "csv", "json"])
def test_a_studys_table_says_it_in_every_format(kind):
    assert WORDS in render(study(Baseline=ONE), kind)
    assert "instead of" not in render(study(Baseline=CONFIGS["Baseline"]), kind)


def test_trials_of_one_name_and_several_recipes_are_told_apart():
    document = study(**{"Baseline": ONE, SPATIAL: CONFIGS[SPATIAL]})
    assert "Protocol: mnist-paper. Seeds: 0, 1." in document.notes[0].text
    assert document.notes[0].lines == (f"{WORDS}: Baseline", f"mnist-paper: {SPATIAL}")
    assert [row.protocol for row in document.rows] == [WORDS, "mnist-paper"]


@pytest.mark.parametrize("kind", ["md", "latex", "csv", "json"])
def test_a_table_of_the_paper_says_it_in_every_format(kind):
    """The row takes another recipe: its footnote, and the field of machines, say which."""
    row = table1().rows[0].model_copy(update={"also": ("mnist-paper",)})
    table = table1().model_copy(update={"rows": (row, *table1().rows[1:])})
    stored = snapshot([entry("Baseline", ONE)], [train("a", ONE, 0, 0.9)])
    assert WORDS in render(table_document(stored, table, CONFIGS, expected_settings(table)), kind)


def test_json_says_what_is_overridden_what_is_assumed_and_how_it_is_printed():
    cell = json.loads(render(study(Baseline=ONE), "json"))[0]
    assert cell["protocol"] == WORDS
    assert cell["overrides"] == [{"setting": "epochs", "value": 1, "named": 5}]
    assert (cell["text"], cell["bold"]) == ("0.9000 (n = 1)", False)
    assert {"setting": "last_batch", "value": "keep", "source": "inferred"} in cell["assumed"]


def test_an_exact_cell_says_what_its_protocol_assumes():
    stored = snapshot([entry("Baseline")], [train("a", CONFIGS["Baseline"], 0, 0.9791)])
    cells = json.loads(render(table_document(stored, table1(), CONFIGS, expected_settings(table1())), "json"))
    accuracy, parameters = (next(c for c in cells if c["column"] == name) for name in ("accuracy", "parameters"))
    assert (accuracy["match"], accuracy["text"], accuracy["bold"]) == ("exact", "0.9791", True)
    assumed = {each["setting"]: each for each in accuracy["assumed"]}
    assert assumed["optimizer"]["source"] in {"inferred", "assumed"}
    assert assumed["optimizer"]["value"]["learning_rate"] == 0.02
    assert set(assumed) == {s.field for s in expected_settings(table1()) if s.source != "stated"}
    assert (parameters["match"], parameters["text"], parameters["assumed"]) == ("exact", "12.260M", [])
    empty = next(c for c in cells if c["ours"] is None)
    assert (empty["text"], empty["bold"], empty["assumed"]) == ("–", False, [])


def test_csv_has_the_protocol_of_each_row():
    stored = snapshot([entry("Baseline")], [train("a", CONFIGS["Baseline"], 0, 0.9791)])
    text = render(table_document(stored, table1(), CONFIGS, expected_settings(table1())), "csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["protocol"] for row in rows] == ["mnist-paper", *[""] * 6]


def test_lists_the_page_and_exports_say_it(tmp_path):
    lines = [
        line for line in PUBLISHED.read_text().splitlines() if not json.loads(line)["trial"]["config"]["compressors"]
    ]
    (tmp_path / "few.jsonl").write_text("\n".join(lines) + "\n")

    def call(*words):
        done = CliRunner().invoke(main, [*map(str, words), "--from", str(tmp_path / "few.jsonl")])
        assert done.exit_code == 0, done.output
        return done.stdout

    assert RATE in call("report", "tables", "--study", STUDY)
    assert RATE in call("results", "list")
    assert RATE in {row["protocol"] for row in json.loads(call("results", "list", "--format", "json"))}
    assert f"protocol: {RATE}" in call("results", "show", f"{STUDY}:Baseline, SGD 0.01:0")
    with open_results([tmp_path / "few.jsonl"]) as store:
        (view,) = all_studies(Results(store, [tmp_path / "few.jsonl"]), [STUDY])
    said = {trial.name: [words for words in trial.summary if "instead of" in words] for trial in view.trials}
    assert (said["Baseline, SGD 0.01"], said["Baseline, SGD 0.02"]) == ([RATE], [])
    assert any(line.startswith(RATE) for note in view.table.document.notes for line in note.lines)
    table = tmp_path / "runs.csv"
    call("results", "export", "--rows", "runs", "--out", table)
    assert RATE in {row["protocol"] for row in csv.DictReader(io.StringIO(table.read_text()))}
