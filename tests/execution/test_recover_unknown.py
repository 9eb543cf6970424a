"""Results in the folder of artifacts that the store does not know: said, and taken in by `results recover`."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from harness.base.sealed import seal, unseal

FUNCTION = """
def run(context, *, x=1):
    context.report(0, loss=0.5)
    return {"accuracy": x / 10}
"""
STUDY = """\
study: small
task: function
target: small.py:run
metrics: {accuracy: maximize}
seeds: [0]
execution: {threads: 1}
trials:
  - name: "{arguments.x}"
    grid: {arguments.x: [1, 2, 3]}
"""
QUERY = "SELECT attempt, name, value FROM v_run WHERE name IS NOT NULL ORDER BY 1, 2"


@pytest.fixture
def small(lab):
    (lab.folder / "small.py").write_text(FUNCTION)
    (lab.folder / "study.yml").write_text(STUDY)
    assert lab.grid("--limit", 1).code == 0
    shutil.copy(lab.db, lab.folder / "older.db")
    assert lab.grid("--limit", 1).code == 0
    return lab


@pytest.mark.parametrize("lost", ["replaced by an older copy", "deleted"])
def test_results_that_the_store_does_not_know_are_said_and_taken_in(small, lost, caplog):
    count, before = (2, small.query(QUERY)) if lost == "deleted" else (1, small.query(QUERY))
    small.db.unlink()
    if lost != "deleted":
        shutil.copy(small.folder / "older.db", small.db)
    said = small.here("results", "recover", "--dry-run").out
    assert f"{count} results that results/harness.db does not know" in said
    assert f"{count} results taken in" in small.here("results", "recover").out
    assert small.query(QUERY) == before
    assert small.query("SELECT count(*) FROM metric") == [(2,)]
    assert "0 results that" in small.here("results", "recover").out
    assert "this call: 1 done; in all 3 done" in small.grid().out
    assert "does not know" not in caplog.text
    assert small.here("results", "verify").code == 0


def test_the_driver_says_it_before_it_makes_them_again(small, caplog):
    small.db.unlink()
    assert small.grid("--only", "3").code == 0  # a run whose result does not lie there: nothing to say
    assert "does not know" not in caplog.text
    small.grid("--only", "1")
    assert "holds 1 results of these runs that results/harness.db does not know" in caplog.text
    assert "`harness results recover --db results/harness.db`" in caplog.text


def test_verify_says_it_and_it_is_no_fault(small):
    shutil.copy(small.folder / "older.db", small.db)
    ended = small.here("results", "verify")
    assert (ended.code, "holds 1 results that results/harness.db does not know" in ended.err) == (0, True)


def test_an_older_result_does_not_count_before_a_newer_one(small):
    """What is recovered keeps its own time: it is not the newest because it comes last."""
    small.db.unlink()
    assert small.grid("--limit", 1).code == 0
    made_again = small.query("SELECT uid FROM attempt")
    assert "2 results taken in" in small.here("results", "recover").out
    assert small.query("SELECT attempt FROM v_run WHERE name = 'accuracy' AND value = 0.1") == made_again


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("request.json", lambda x: x["config"]["arguments"].update(x=9), "its key is not that of its configuration"),
        ("result.json", lambda x: x.update(uid="other"), "its result is that of another attempt"),
        ("result.json", lambda x: x["results"][0].update(evaluation="nobody's"), "an evaluation that nobody asked for"),
        ("result.json", lambda x: x.pop("state"), "its result is damaged: it is not a result (TypeError: "),
    ],
)
def test_a_result_that_is_not_right_is_named_and_the_others_are_taken_in(small, file, change, words):
    small.db.unlink()
    path = min(small.artifacts.glob(f"*/{file}"))
    content = unseal(path.read_text())
    change(content)
    path.write_text(seal(content))
    ended = small.here("results", "recover")
    assert (ended.code, words in ended.err, "1 results taken in" in ended.out) == (1, True, True), ended
    assert small.query("SELECT count(*) FROM attempt") == [(1,)]


@pytest.mark.parametrize(("old", "new"), [('"seed": 0', '"seed": 2'), ('"threads": 1', '"threads": 7')])
def test_a_damaged_request_is_never_taken_in(small, old, new):
    """It says what was run: with another seed the result would count for another run."""
    small.db.unlink()
    path = min(small.artifacts.glob("*/request.json"))
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    ended = small.here("results", "recover")
    assert (ended.code, "1 results taken in" in ended.out) == (1, True)
    why = "its request is damaged: its checksum is not that of its contents"
    assert f"cannot be taken in: {why} (in {path.parent})" in ended.err
    assert small.query("SELECT seed, threads FROM attempt JOIN run ON run.id = run_id") == [(0, 1)]
    found = small.here("results", "verify")
    assert (found.code, f"BAD  {path.parent}: {why}" in found.out) == (1, True)


def test_what_was_recovered_is_listed_before_it_is_in_a_study_again(small):
    small.db.unlink()
    small.here("results", "recover")
    listed = small.here("results", "list", "--all").out
    assert all(uid[:8] in listed for (uid,) in small.query("SELECT uid FROM attempt"))
    assert listed.count("(in no study)  ") == 2
    assert "\n(in no study): `harness run grid FILE` puts the trials into their study" in listed
    assert "(earlier)" not in listed
    rows = json.loads(small.here("results", "list", "--all", "--format", "json").out)
    stored = small.query("SELECT NULL, trial_key, value FROM v_run WHERE name = 'accuracy' ORDER BY 2")
    assert sorted((row["study"], row["trial"], row["values"]["accuracy"]) for row in rows) == stored
    assert "2 more of trials in no study: --all lists them" in small.here("results", "list").out
    small.grid()
    assert "in no study" not in small.here("results", "list", "--all").out


def test_the_request_of_an_earlier_version_has_no_checksum_and_is_taken_in(small):
    before = small.query(QUERY)
    small.db.unlink()
    for path in small.artifacts.glob("*/request.json"):
        path.write_text(json.dumps(unseal(path.read_text())))
    assert "2 results taken in" in small.here("results", "recover").out
    assert small.query(QUERY) == before


@pytest.mark.parametrize("file", ["result.json", "curve.jsonl"])
def test_a_damaged_result_is_named_by_all_and_nobody_is_sent_in_a_circle(small, file, caplog):
    small.db.unlink()
    path = min(small.artifacts.glob(f"*/{file}"))
    path.write_text(path.read_text().replace("0.", "9.", 1))
    why = "its checksum is not that of its contents" if file == "result.json" else "its checksum differs"
    for arguments in (["--dry-run"], []):
        ended = small.here("results", "recover", *arguments)
        assert (ended.code, "1 results " in ended.out) == (1, True)
        assert "cannot be taken in: its result is damaged: " in ended.err
        assert f"{why} (in {path.parent})" in ended.err
        assert "`harness run grid FILE` makes again what cannot be taken in" in ended.err
    found = small.here("results", "verify")
    assert (found.code, "results recover" in found.err) == (1, False)
    assert f"BAD  {path.parent}: its result is damaged: " in found.out
    assert "`harness run grid FILE` makes its run again" in found.out
    assert small.grid().code == 0
    assert f"(in {path.parent}): the run is made again" in caplog.text
    assert "`harness results recover" not in caplog.text
    assert "DamagedError" not in caplog.text + ended.err + found.out
    assert small.here("results", "verify").code == 0, "its run is done"


def test_a_result_that_cannot_be_read_is_named_and_the_others_are_taken_in(small):
    small.db.unlink()
    path = min(small.artifacts.glob("*/result.json"))
    path.rename(path.with_name("kept"))
    path.mkdir()
    ended = small.here("results", "recover")
    assert (ended.code, "1 results taken in" in ended.out) == (1, True)
    assert "cannot be taken in: its result cannot be read: IsADirectoryError: [Errno 21] Is a directory: " in ended.err
    path.rmdir()
    path.with_name("kept").rename(path)
    assert "1 results taken in" in small.here("results", "recover").out


def locked(folder):
    """Return what takes the place of `Path.stat` if nobody may look into a folder."""
    stat = Path.stat

    def refuse(path, **options):
        if folder in path.parents:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    return refuse


def test_a_folder_that_cannot_be_looked_into_stops_nobody(small, monkeypatch):
    small.db.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", locked(min(small.artifacts.iterdir())))
        ended = small.here("results", "recover"), small.grid(), small.here("results", "verify")
    assert "1 results taken in" in ended[0].out
    assert [each.code for each in ended] == [0, 0, 0]
    assert small.states() == ["done"] * 3


def test_an_attempt_whose_folder_cannot_be_looked_into_is_lost_and_made_again(small, monkeypatch, caplog):
    folder = min(small.artifacts.iterdir())
    with closing(sqlite3.connect(small.db)) as connection, connection:
        connection.execute("UPDATE attempt SET state = 'running', ended = NULL WHERE uid = ?", (folder.name,))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", locked(folder))
        ended = small.here("results", "verify"), small.grid(), small.here("results", "verify")
    assert [each.code for each in ended] == [1, 0, 0]
    assert f"{folder}: the result of attempt {folder.name} cannot be read (Permission denied)" in ended[0].out
    assert "its result cannot be read: PermissionError: [Errno 13] Permission denied: " in caplog.text
    assert sorted(small.states()) == ["done", "done", "done", "lost"]


def test_a_folder_that_is_no_attempts_is_passed_over(small):
    folder = small.artifacts / "notes"
    folder.mkdir()
    (folder / "result.json").write_text("{}")
    (small.artifacts / "deep").mkdir()
    (small.artifacts / "deep" / "result.json").write_text("{}")
    (small.artifacts / "deep" / "request.json").write_text("[" * 100_000)
    assert "0 results that" in small.here("results", "recover").out
