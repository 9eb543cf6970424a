"""A study that was run again with `--set`: tables, claims and figures show its own trials, or say what they show."""

import csv
import io
import json
from contextlib import closing
from dataclasses import replace

import pytest
from click.testing import CliRunner
from records import changed, entry, table1
from records import snapshot as by_hand

from harness.base.keys import trial_key
from harness.cli import main
from harness.report.claims.values import Stored
from harness.report.figures.groups import table_groups
from harness.report.tables.expected import expected_configs
from harness.report.tables.match import candidates
from harness.report.tables.table_file import load_table
from harness.store.connection import open_memory, open_reader
from harness.store.export import published_lines, write_jsonl
from harness.store.find import study_trials
from harness.store.merge import merge_jsonl
from harness.store.queries import snapshot

CODE = "def run(context, *, x=1, steps=10):\n    return {'y': x * steps + context.seed / 100}\n"
STUDY = """\
study: own
task: function
target: own.py:run
metrics: {y: minimize}
seeds: [0]
execution: {threads: 1}
trials:
  - {name: "x {arguments.x}", grid: {arguments.x: [2, 3]}}
"""
TABLE = """\
table: own
caption: A table of ours
match: by name
study: own
expect: {task: function}
select: mean
columns:
  - {key: y, label: y, source: result, metric: y, unit: count, format: {style: fixed, digits: 0}, better: lower}
rows:
  - {label: Two, trial: {study: own, name: x 2}}
"""
SAID = "not the study's own trial: it was run with --set arguments.steps=1"


def call(*words):
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.stdout


def run(*words):
    return call("run", "grid", *words, "--executor", "in-process")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a study, of which nothing was run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_DB", "r.db")
    (tmp_path / "own.py").write_text(CODE)
    (tmp_path / "own.yml").write_text(STUDY)
    (tmp_path / "table.yml").write_text(TABLE)
    return tmp_path


@pytest.fixture
def overridden(here):
    """The same, run, and then run once more with another number of steps."""
    run("own.yml")
    run("own.yml", "--set", "arguments.steps=1", "--set", "seeds=[0]")
    return here


def found():
    with open_reader("r.db") as store:
        return snapshot(store)


def shown(*words):
    (row,) = csv.DictReader(io.StringIO(call("report", "tables", "--file", "table.yml", "--format", "csv", *words)))
    return row["y [count]"]


def test_what_set_made_is_known_and_comes_before_the_studys_own(overridden):
    places = found().study_trials
    assert [(p.name, p.overrides) for p in places] == [
        ("x 2", "arguments.steps=1"), ("x 3", "arguments.steps=1"), ("x 2", None), ("x 3", None)
    ]  # fmt: skip
    assert study_trials(found(), "own")["x 2"] == places[2].trial_key
    run("own.yml", "--set", "arguments.steps=10", "--set", "seeds=[0]")  # the default: its own trials
    assert [p.overrides for p in found().study_trials] == ["arguments.steps=1"] * 2 + [None] * 2


def test_a_table_shows_the_studys_own_trial(overridden):
    assert shown() == "20"
    assert json.loads(call("results", "show", "own:x 2:0", "--format", "json"))["config"]["arguments"] == {"x": 2}


def test_the_studys_own_table_shows_its_own_trials_whichever_ran_last(overridden):
    for _ in range(2):
        shown = call("report", "tables", "--study", "own")
        assert ("20.0000" in shown, "2.0000 " in shown, SAID in shown) == (True, False, False)
        run("own.yml")


def test_a_trial_that_the_file_has_too_is_its_own_although_set_makes_it(here):
    run("own.yml", "--set", "arguments.x=3")  # of both points, one of which is so in the file
    assert [(p.name, p.overrides) for p in found().study_trials] == [("x 3", None)]
    (here / "own.yml").write_text(STUDY.replace("[2, 3]", "[2]"))
    run("own.yml", "--set", "arguments.x=3")
    assert [(p.name, p.overrides) for p in found().study_trials] == [("x 3", None)], "it was the study's own once"


def test_a_direction_that_is_corrected_is_corrected_in_the_store(here):
    run("own.yml")
    assert {m.better for t in found().trials.values() for m in t.metrics} == {"lower"}
    (here / "own.yml").write_text(STUDY.replace("{y: minimize}", "{y: {direction: maximize, unit: dB}}"))
    run("own.yml")
    assert {(m.better, m.unit) for t in found().trials.values() for m in t.metrics} == {("higher", "dB")}


def test_a_table_of_what_set_made_alone_says_so(here):
    run("own.yml", "--set", "arguments.steps=1")
    for words in (["--file", "table.yml"], ["--study", "own"]):
        for form in ("md", "latex", "csv", "json"):
            assert "arguments.steps=1" in call("report", "tables", *words, "--format", form)
    assert SAID in call("report", "tables", "--file", "table.yml")
    assert SAID in call("report", "tables", "--study", "own")
    assert shown() == "2"


def test_figures_take_the_studys_own_trial(overridden):
    by_name = load_table("table.yml").model_copy(update={"match": "by trial"})
    (group,) = table_groups(found(), by_name)
    assert group.trial.key == study_trials(found(), "own")["x 2"]


def test_a_claim_never_takes_what_set_made(here):
    run("own.yml", "--set", "arguments.steps=1")
    only = Stored(found(), lambda _: (), lambda _: None)
    assert only._keys == {}
    run("own.yml")
    run("own.yml", "--set", "arguments.steps=1")
    assert Stored(found(), lambda _: (), lambda _: None)._keys == {
        ("own", name): key for name, key in study_trials(found(), "own").items()
    }


@pytest.mark.parametrize("last", [1, 9])
def test_of_recipes_that_a_row_lists_too_the_studys_own_comes_first(last):
    """Of two that differ from the paper's, whichever was made later."""
    table = table1()
    row = table.rows[0].model_copy(update={"also": ("fast",)})
    expected = expected_configs(table)[row.label]
    made = [entry(row.label, changed(expected, epochs=epochs), "fast") for epochs in (10 - last, last)]
    stored = by_hand(made, [])
    places = [
        replace(p, overrides="protocol.epochs=1" if p.trial_key == trial_key(changed(expected, epochs=1)) else None)
        for p in stored.study_trials
    ]
    stored = replace(stored, study_trials=tuple(places))
    first, second = candidates(stored, row, expected, protocol="mnist-paper", dataset="mnist")
    assert (first.trial.config["protocol"]["epochs"], first.overrides) == (9, None)
    assert (second.trial.config["protocol"]["epochs"], second.overrides) == (1, "protocol.epochs=1")


def test_it_is_published_and_merged(overridden):
    with open_reader("r.db") as store:
        write_jsonl(published_lines(store, studies=None), overridden / "all.jsonl")
    lines = [json.loads(line) for line in (overridden / "all.jsonl").read_text().splitlines()]
    assert [place.get("overrides", "its own") for line in lines for place in line["studies"]].count("its own") == 2
    with closing(open_memory()) as merged:
        merge_jsonl(merged, overridden / "all.jsonl")
        assert snapshot(merged).study_trials == found().study_trials
