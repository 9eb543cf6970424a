"""An edit that changes nothing, accepted: results count for the edited trial, and everything says by whose word."""

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

import harness
from harness.base.keys import trial_key
from harness.cli import main
from harness.store.connection import open_memory, open_reader, open_store
from harness.store.export import published_lines
from harness.store.merge import merge_jsonl
from harness.store.queries import snapshot
from harness.store.verify import verify

CODE = """\
def run(context, *, x):
    times = 2
    context.report(0, y=x)
    return {"y": x * times + context.seed / 100}
"""
EDITED = CODE.replace("times", "factor")
STUDY = """\
study: own
task: function
target: double.py:run
metrics: {y: minimize}
seeds: [0, 1]
trials:
  - name: "x {arguments.x}"
    grid: {arguments.x: [1]}
"""
WHO = ["--author", "A. Author", "--reason", "renamed a | variable"]
SAID = "made before an edit of code or inputs that A. Author accepted on "


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with a study that was run, and whose code was edited since."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "double.py").write_text(CODE, encoding="utf-8")
    (folder / "own.yml").write_text(STUDY, encoding="utf-8")
    done = harness.run(folder / "own.yml", db=folder / "r.db", threads=1, progress=False)
    assert (done.done, done.left) == (2, 0)
    (folder / "double.py").write_text(EDITED, encoding="utf-8")
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    folder = tmp_path / "copy"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HARNESS_DB", "r.db")
    return folder


def call(*words, code=0):
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def found(path="r.db"):
    with open_reader(path) as store:
        return snapshot(store)


def planned():
    (row,) = json.loads(call("run", "grid", "own.yml", "--dry-run", "--format", "json").stdout)
    return row["done"], row["left"], row["held"]


@pytest.fixture
def accepted(here):
    assert planned() == (0, 2, 0)
    said = call("results", "accept", "own.yml", *WHO).stdout
    assert said.startswith("own: x 1, seeds 0, 1: results of ")
    return here


def test_an_accepted_edit_leaves_nothing_to_run_and_results_keep_their_key(accepted):
    assert planned() == (2, 0, 0)
    assert "nothing to do: 2 done" in call("run", "grid", "own.yml").stdout
    after = found()
    (word,) = after.acceptances
    assert (word.author, word.reason) == ("A. Author", "renamed a | variable")
    assert {a.trial_key for a in after.attempts} == {word.old_key}
    runs = after.runs(word.key)
    assert [(run.trial_key, run.by_word) for run in runs.values()] == [(word.old_key, (word,))] * 2
    assert not any(run.by_word for run in after.runs(word.old_key).values())


@pytest.mark.parametrize("fmt", ["md", "latex", "csv", "json"])
def test_a_table_says_so_in_every_format(accepted, fmt):
    table = call("report", "tables", "--study", "own.yml", "--format", fmt).stdout
    assert "2.005" in table or "2.0050" in table
    assert table.count(SAID) == 1
    if fmt == "csv":
        (row,) = csv.DictReader(io.StringIO(table))
        assert row["accepted"].startswith(SAID)
        assert row["accepted"].endswith("as changing nothing (renamed a | variable), and keeps its old key")
    if fmt == "md":
        assert "| 2 of 2 [a] |" in table
        assert "as changing nothing (renamed a \\| variable), and keeps its old key\n" in table
        assert "left out" not in table  # the trials of earlier code, whose results are shown


TABLE = """\
table: own
caption: A table of ours
match: by name
study: own
expect: {task: function}
select: mean
columns:
  - {key: y, label: y, source: result, metric: y, evaluation: {split: returned}, unit: count,
     format: {style: fixed, digits: 3}, better: lower}
rows:
  - {label: One, trial: {study: own, name: x 1}}
"""


def test_so_does_a_table_by_name_and_one_without_such_results_has_no_such_column(accepted):
    (accepted / "table.yml").write_text(TABLE)
    words = ("report", "tables", "--file", "table.yml", "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(call(*words).stdout))
    assert (row["row"], row["accepted"][: len(SAID)]) == ("One", SAID)
    call("run", "grid", "own.yml", "--db", "other.db", "--threads", "1")
    (row,) = csv.DictReader(io.StringIO(call(*words, "--db", "other.db").stdout))
    assert "accepted" not in row


def test_a_page_a_list_and_one_attempt_say_so(accepted):
    call("report", "html", "--out", "page.html")
    assert SAID in (accepted / "page.html").read_text(encoding="utf-8")
    text = call("results", "list").stdout
    assert text.count("x 1 (accepted)") == 2
    assert text.count(f"(accepted): {SAID}") == 1
    rows = json.loads(call("results", "list", "--format", "json").stdout)
    assert [row["by_word"][0]["author"] for row in rows] == ["A. Author"] * 2
    shown = json.loads(call("results", "show", "own:x 1:0", "--format", "json").stdout)
    assert shown["counts_for"][0]["reason"] == "renamed a | variable"
    assert shown["key"] == shown["counts_for"][0]["old_key"]


def test_figures_say_so(accepted):
    from harness.report.figures.make import _noted
    from harness.report.figures.style import Drawn

    after = found()
    drawn = Drawn("f", "F", "On a CPU.", None)
    (word,) = after.acceptances
    noted = _noted(drawn, after.runs(word.key).values())
    assert noted.caption.startswith(f"On a CPU. Some of it was {SAID}")
    assert _noted(drawn, after.runs(word.old_key).values()) == drawn


def test_it_goes_with_an_export_and_comes_with_a_merge_from_either_side(accepted, tmp_path):
    call("results", "export", "--study", "own", "--out", "own.jsonl")
    before = found()
    for name in ("one.db", "two.db"):
        call("results", "merge", *(["own.jsonl"] if name == "one.db" else ["r.db"]), "--db", name)
        after = found(name)
        assert after.acceptances == before.acceptances
        assert after.standing("own")[0].trial_key == before.acceptances[0].key
        assert verify([Path(name)]).faults == []
        with open_reader(name) as store, open_reader("r.db") as own:
            assert list(published_lines(store, studies=None)) == list(published_lines(own, studies=None))
    call("results", "merge", "own.jsonl", "--db", "one.db")  # twice is as once
    assert found("one.db").acceptances == before.acceptances
    assert SAID in call("report", "tables", "--study", "own", "--from", "own.jsonl").stdout
    call("results", "verify", "--from", "own.jsonl")


def test_a_store_without_acceptances_exports_the_lines_that_it_always_did(here):
    with open_reader("r.db") as store:
        assert all("accepted_for" not in json.loads(line) for line in published_lines(store, studies=None))


def test_a_published_line_cannot_let_other_results_count(accepted, tmp_path):
    with open_reader("r.db") as store:
        line = json.loads(next(published_lines(store, studies=None)))
    other = {**line["trial"]["config"], "arguments": {"x": 7}}
    line["accepted_for"][0]["trial"] = {**line["trial"], "config": other, "key": trial_key(other)}
    (tmp_path / "bad.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    result = call("results", "merge", tmp_path / "bad.jsonl", "--db", "new.db", code=2)
    assert "more than code and inputs differs" in result.stderr
    with open_memory() as store, pytest.raises(Exception, match="more than code and inputs differs"):
        merge_jsonl(store, tmp_path / "bad.jsonl")


def test_verify_finds_a_word_on_trials_that_differ_in_more(accepted):
    with open_store("r.db") as store, store.writing() as conn:
        config = json.loads(conn.execute("SELECT config_json FROM trial ORDER BY id").fetchone()[0])
        other = {**config, "arguments": {"x": 7}}
        sql = "INSERT INTO trial (id, key, key_scheme, config_json) VALUES (99, ?, 1, ?)"
        conn.execute(sql, (trial_key(other), json.dumps(other)))
        conn.execute("INSERT INTO acceptance VALUES (99, 1, 'A', 'none', '2026-01-01T00:00:00.000+00:00')")
    (fault,) = verify([Path("r.db")]).faults
    assert "more than code and inputs differs" in fault


def test_an_edit_after_an_accepted_one_is_accepted_through_it(accepted):
    (accepted / "double.py").write_text(EDITED.replace("factor", "by"), encoding="utf-8")
    assert planned() == (0, 2, 0)
    call("results", "accept", "own.yml", "--author", "B", "--reason", "once more")
    assert planned() == (2, 0, 0)
    after = found()
    assert len(after.acceptances) == 2
    runs = after.runs(after.standing("own")[0].trial_key)
    assert all(run.by_word for run in runs.values())
    with open_reader("r.db") as store, open_memory() as other:
        (accepted / "all.jsonl").write_text("\n".join(published_lines(store, studies=None)) + "\n", encoding="utf-8")
        merge_jsonl(other, accepted / "all.jsonl")
        assert snapshot(other).acceptances == after.acceptances


def test_two_edits_that_were_accepted_for_each_other_end_somewhere(accepted):
    after = found()
    (word,) = after.acceptances
    back = replace(word, key=word.old_key, old_key=word.key)
    circle = replace(after, acceptances=(word, back))
    assert set(circle.runs(word.key)) == set(circle.runs(word.old_key)) == {0, 1}


def test_only_what_differs_by_code_and_inputs_alone_is_accepted(here):
    for old, new in (("[1]", "[2]"), ("task: function", "task: {kind: function, precision: bf16}")):
        (here / "own.yml").write_text(STUDY.replace(old, new), encoding="utf-8")
        result = call("results", "accept", "own.yml", *WHO, code=2)
        assert result.stderr.startswith("Error: nothing to accept: ")
    (here / "own.yml").write_text(STUDY + "inputs: [own.yml]\n", encoding="utf-8")
    assert call("results", "accept", "own.yml", *WHO).stdout.count("count for") == 1


def test_what_has_its_own_runs_is_left_alone(here):
    (here / "double.py").write_text(CODE, encoding="utf-8")
    call("results", "accept", "own.yml", *WHO, code=2)
    assert not found().acceptances


def test_a_dry_run_stores_nothing_and_a_word_has_an_author_and_a_reason(here, monkeypatch):
    monkeypatch.delenv("HARNESS_AUTHOR", raising=False)
    assert "count for" in call("results", "accept", "own.yml", *WHO, "--dry-run").stdout
    assert not found().acceptances
    for words in (
        ["--reason", "x"],
        ["--author", "x"],
        ["--author", " ", "--reason", "x"],
        ["--author", "x\x1b", "--reason", "x"],
    ):
        call("results", "accept", "own.yml", *words, code=2)
    monkeypatch.setenv("HARNESS_AUTHOR", "C")
    call("results", "accept", "own.yml", "--reason", "x")
    assert found().acceptances[0].author == "C"


NO_LINES = {"": "is empty", " \u00a0 ": "is empty", "a\nb": "holds line ends", "a\x1b[2J": "holds line ends",
            "a\tb": "holds line ends", "a\u2028b": "holds line ends", "a\u202eb": "holds line ends"}  # fmt: skip


@pytest.mark.parametrize(("text", "fault"), [*NO_LINES.items(), ("x" * 201, "has more than 200 characters")])
def test_an_author_is_one_line_that_can_be_read_wherever_it_comes_from(accepted, text, fault):
    check_refused(accepted, "author", text, fault)


@pytest.mark.parametrize(("text", "fault"), [*NO_LINES.items(), ("x" * 2001, "has more than 2000 characters")])
def test_a_reason_is_one_line_that_can_be_read_wherever_it_comes_from(accepted, text, fault):
    check_refused(accepted, "reason", text, fault)


def check_refused(folder, name, text, fault):
    """The command refuses it, a merge names the line, and verify finds it in a store."""
    (folder / "double.py").write_text(EDITED.replace("factor", "by"), encoding="utf-8")
    words = {"author": "A", "reason": "x", name: text}
    given = [word for option, value in words.items() for word in (f"--{option}", value)]
    refused = call("results", "accept", "own.yml", *given, code=2)
    assert refused.stderr.startswith(f"Error: --{name} {fault}")
    assert len(found().acceptances) == 1
    with open_reader("r.db") as store:
        line = json.loads(next(published_lines(store, studies=None)))
    line["accepted_for"][0][name] = text
    (folder / "bad.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    refused = call("results", "merge", "bad.jsonl", "--db", "new.db", code=2)
    assert f"bad.jsonl:1: accepted_for.0: the {name} {fault}" in refused.stderr
    with open_store("r.db") as store, store.writing() as conn:
        conn.execute("PRAGMA ignore_check_constraints = ON")
        conn.execute(f"UPDATE acceptance SET {name} = ?", (text,))  # noqa: S608
    assert any(f": its {name} {fault}" in wrong for wrong in verify([Path("r.db")]).faults)


def test_letters_of_any_script_and_spaces_of_any_width_are_printed(accepted):
    (accepted / "double.py").write_text(EDITED.replace("factor", "by"), encoding="utf-8")
    call("results", "accept", "own.yml", "--author", " Zoë 王 ", "--reason", "été\u00a0: “rien”")
    assert [(w.author, w.reason) for w in found().acceptances][-1] == ("Zoë 王", "été\u00a0: “rien”")


def test_of_two_words_on_one_edit_the_earlier_stays(accepted):
    from harness.store.writer import accept_edits

    (word,) = found().acceptances
    with open_store("r.db") as store:
        accept_edits(store, [replace(word, author="later", accepted="2999-01-01")])
        assert snapshot(store).acceptances == (word,)
        accept_edits(store, [earlier := replace(word, author="earlier", accepted="1999-01-01")])
        assert snapshot(store).acceptances == (earlier,)
