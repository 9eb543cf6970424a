"""Faults of a store are found, each in a line: the file, references, keys, artifacts, links between attempts."""

import hashlib
import sqlite3
from contextlib import closing

import pytest
from click.testing import CliRunner

from harness.attempt.messages import Artifact
from harness.base.errors import HarnessError
from harness.base.sealed import sha256_of
from harness.cli import main
from harness.store.connection import open_reader
from harness.store.export import published_lines, write_jsonl
from harness.store.verify import verify

CONTENT = b"maps of ten digits"
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def whole(lab, path):
    """A whole store with one artifact on disk and one elsewhere; closed, so that it can be broken."""
    lab.study(lab.row(2, position=0), lab.row(4, position=1))
    lab.attempt("a1", finding={"artifacts": (Artifact("maps", "maps.npz", SHA, len(CONTENT)),)})
    lab.attempt("a2", supersedes="a1")
    lab.attempt("e1", kind="evaluate", weights_from="a2")
    lab.attempt("b1", stride=4)
    file = path.parent / "artifacts" / "a1" / "maps.npz"
    file.parent.mkdir(parents=True)
    file.write_bytes(CONTENT)
    lab.store.close()
    return path


def change(path, sql, *parameters):
    """Change a store behind its back: no foreign keys, no checks."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(sql, parameters)
        connection.commit()


def test_a_whole_store_has_no_fault(whole):
    found = verify([whole])
    assert (found.faults, found.trials, found.attempts, found.files, found.elsewhere) == ([], 2, 4, 1, 3)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("DELETE FROM trial WHERE id = 1", "names a trial that is not there"),
        ("DELETE FROM evaluation", "names a evaluation that is not there"),
        (
            "UPDATE trial SET config_json = json_set(config_json, '$.protocol.lr', 9) WHERE id = 2",
            "configuration's key is",
        ),
        ("UPDATE trial SET key_scheme = 9 WHERE id = 1", "has key scheme 9"),
        ("UPDATE evaluation SET condition_json = '{\"sigma\":1}' WHERE id = 1", "the key of its data and condition is"),
        ("UPDATE study SET spec_yaml = 'other'", "its text is not the one that spec_sha names"),
        ("UPDATE study_trial SET seeds_json = '[\"x\"]'", "are not a list of whole numbers"),
        ("UPDATE attempt SET weights_from = 'b1' WHERE uid = 'e1'", "weights_from names b1, which is of another run"),
        ("UPDATE attempt SET supersedes = uid WHERE uid = 'b1'", "supersedes names itself"),
        ("UPDATE attempt SET supersedes = 'a2' WHERE uid = 'a1'", "a1: supersedes names a2, and leads from there back"),
        ("UPDATE attempt SET started = 'zzz' WHERE uid = 'b1'", "attempt b1: started is not a time: 'zzz'"),
        ("UPDATE attempt SET ended = '' WHERE uid = 'b1'", "attempt b1: ended is not a time"),
        ("UPDATE attempt SET ordered = '9' WHERE uid = 'b1'", "attempt b1: ordered is not a time"),
        (
            "UPDATE attempt SET started = '2026-01-03T00:00:00.000+00:00' WHERE uid = 'b1'",
            "b1: it ended (2026-01-02T01:00:00.000+00:00) before it started (2026-01-03T00:00:00.000+00:00)",
        ),
        ("DELETE FROM result WHERE attempt_id = 4", "attempt b1: it ended done, and has no results"),
        ("UPDATE metric SET step = -7 WHERE step = 50", "its curve has 'loss' on 'train' at step -7"),
        ("UPDATE run SET seed = 4294967296 WHERE id = 1", "no run can have the seed 4294967296"),
        ("UPDATE artifact SET kind = char(27)", "artifact '\\x1b': it cannot have this name"),
        ("UPDATE study_trial SET name = 'a' || char(10)", "trial 'a\\n' cannot have this name: it holds the control"),
        (
            """UPDATE trial SET metrics_json = '[{"name":"a"},{"name":"a"}]' WHERE id = 1""",
            "the metric 'a' occurs twice",
        ),
        ("UPDATE study SET created = 'later'", "study 'mnist': created is not a time"),
        ("UPDATE study_trial SET added = 'later'", "added is not a time"),
        ("UPDATE study SET name = '../../x'", "'../../x': no study can have this name"),
        ("UPDATE artifact SET path = '../../../etc/passwd' WHERE bytes = 18", "does not lie in its attempt's folder"),
        ("UPDATE artifact SET path = '/etc/passwd' WHERE bytes = 18", "does not lie in its attempt's folder"),
        ("ALTER TABLE attempt DROP COLUMN error", "the table 'attempt' is not the one that the harness makes"),
        ("ALTER TABLE attempt ADD COLUMN mine TEXT", "the table 'attempt' is not the one that the harness makes"),
        ("DROP TABLE cost", "the table 'cost' is missing"),
        ("DROP VIEW v_time", "the view 'v_time' is missing"),
        ("DROP INDEX attempt_by_run", "the index 'attempt_by_run' is missing"),
        ("CREATE INDEX one ON result (name)", "the index 'one' is not of the harness"),
        (
            "CREATE TRIGGER better AFTER INSERT ON result BEGIN UPDATE result SET value = 1; END",
            "the trigger 'better' is not of the harness",
        ),
        ("UPDATE result SET name = char(27) WHERE name = 'accuracy'", "result '\\x1b': it cannot have this name"),
        ("UPDATE metric SET split = '' WHERE split = 'train'", "metric '': it cannot have this name: it is empty"),
        ("UPDATE trial SET config_json = '[1]' WHERE id = 1", "its configuration is not a mapping"),
        ("UPDATE trial SET config_json = '{' WHERE id = 1", "its configuration cannot be read"),
        ("UPDATE trial SET config_json = '{\"task\":1}' WHERE id = 1", "a 'task' that is not"),
        ("UPDATE attempt SET execution_json = '[]'", "execution_json is not a mapping"),
        ("UPDATE env SET packages_json = '{'", "packages_json cannot be read"),
        ("UPDATE evaluation SET condition_json = 'x'", "the evaluations cannot be read"),
        ("UPDATE study_trial SET seeds_json = '{'", "the studies cannot be read"),
        ("UPDATE sample SET count = 99 WHERE id = 1", "99 values 'correct' as bits are 13 bytes, not 2"),
        ("UPDATE dataset SET images = 3 WHERE split = 'test'", "12 values 'correct' of 3 images"),
        ("UPDATE artifact SET sha256 = 'ff' WHERE bytes = 18", "is not what attempt a1 left"),
        (
            "UPDATE metric SET flag = 'ok' WHERE flag = 'nan'",
            "metric 'loss': the value None does not go with the flag ok",
        ),
    ],
)
def test_each_fault_is_a_line(whole, sql, words):
    change(whole, sql)
    faults = verify([whole]).faults
    assert any(words in fault for fault in faults), faults
    assert all("\n" not in fault and str(whole.parent) in fault for fault in faults)


def test_a_table_that_was_replaced_by_a_view_is_a_fault(whole):
    change(whole, "ALTER TABLE cost RENAME TO old")
    change(whole, "CREATE VIEW cost AS SELECT trial_id, name, value / 2 AS value FROM old")
    assert any("the table 'cost' was replaced by a view" in fault for fault in verify([whole]).faults)


def test_a_persons_own_views_and_tables_are_no_fault(whole):
    change(whole, "CREATE VIEW best AS SELECT max(value) FROM result")
    change(whole, "CREATE TABLE notes (text)")
    assert verify([whole]).faults == []


def test_files_that_say_two_things_of_one_attempt_are_a_fault(whole, tmp_path):
    with open_reader(whole) as store:
        lines = [*published_lines(store, studies=None)]
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    write_jsonl(lines, one)
    write_jsonl([line.replace("0.9885", "0.1") for line in lines], other)
    assert verify([one]).faults == verify([other]).faults == []
    (fault,) = verify([one, other]).faults
    assert fault.startswith(f"{other}:1: attempt ")
    assert "with another result" in fault


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE trial SET config_json = '[1]'",
        "UPDATE trial SET config_json = '{}'",
        'UPDATE trial SET config_json = \'{"task":{"kind":"c"},"model":3}\'',
        "UPDATE trial SET config_json = '{'",
        "UPDATE trial SET config_json = replace(printf('%090000d', 0), '0', '[')",
        "UPDATE attempt SET execution_json = '3'",
        "UPDATE env SET packages_json = '\"x\"'",
        "UPDATE study_trial SET seeds_json = '[\"0\"]'",
        "UPDATE evaluation SET condition_json = 'null'",
    ],
)
@pytest.mark.parametrize("command", ["list", "show mnist:pool 4:0", "export --out x.csv", "export --out x.jsonl"])
def test_json_that_was_edited_by_hand_is_one_line(whole, sql, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    change(whole, sql)
    words = ["show", "mnist:pool 4:0"] if command.startswith("show") else command.split()
    done = CliRunner().invoke(main, ["results", *words, "--db", str(whole)])
    assert (done.exit_code, done.stderr.count("\n"), "results verify" in done.stderr) == (2, 1, True), done.stderr
    assert len(done.stderr) < 500


def test_a_changed_artifact_is_named(whole):
    file = whole.parent / "artifacts" / "a1" / "maps.npz"
    file.write_bytes(CONTENT + b"!")
    assert verify([whole]).faults == [f"{file}: is not what attempt a1 left: its SHA-256 differs"]


def but_for(name, do):
    """Return a function of a path that does something, but for files of some name, on which it is not permitted."""

    def refuse(path, **options):
        if path.name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return do(path, **options)

    return refuse


def test_an_artifact_that_cannot_be_read_is_named_and_the_rest_is_looked_at(whole, monkeypatch):
    file = whole.parent / "artifacts" / "a1" / "maps.npz"
    monkeypatch.setattr("harness.store.verify.sha256_of", but_for("maps.npz", sha256_of))
    change(whole, "UPDATE study SET spec_yaml = 'other'")
    wrong = verify([whole])
    assert [fault for fault in wrong.faults if "cannot be read" in fault] == [
        f"{file}: cannot be read (Permission denied)"
    ]
    assert (len(wrong.faults), wrong.files) == (2, 1)


def test_so_it_is_where_one_may_not_even_look(whole, monkeypatch):
    file = whole.parent / "artifacts" / "a1" / "maps.npz"
    with monkeypatch.context() as patch:
        patch.setattr(type(file), "stat", but_for("maps.npz", type(file).stat))
        faults = verify([whole]).faults
    assert f"{file}: cannot be read (Permission denied)" in faults
    assert all(fault.endswith("maps.npz: cannot be read (Permission denied)") for fault in faults)


def test_a_published_artifact_that_cannot_be_read_is_named(whole, tmp_path, monkeypatch):
    with open_reader(whole) as store:
        write_jsonl(published_lines(store, studies=None), tmp_path / "published" / "all.jsonl")
    named = tmp_path / "published" / "artifacts" / f"{SHA}.npz"
    named.parent.mkdir()
    named.write_bytes(CONTENT)
    monkeypatch.setattr("harness.store.verify.sha256_of", but_for(named.name, sha256_of))
    assert verify([named.parents[1]]).faults == [f"{named}: cannot be read (Permission denied)"]


def test_a_checkpoint_that_cannot_be_read_is_named(whole):
    change(whole, "UPDATE attempt SET state = 'failed' WHERE uid = 'b1'")
    folder = whole.parent / "artifacts" / "b1"
    (folder / "checkpoint.pt").mkdir(parents=True)
    (fault,) = verify([whole]).faults
    assert fault.startswith(f"{folder}: what attempt b1 left to resume from is damaged: it cannot be read (")
    assert "Is a directory" in fault


def test_nobody_resumes_from_an_attempt_that_has_made_its_run(whole):
    """One that is killed while it clears away what it no longer needs leaves some of it."""
    (whole.parent / "artifacts" / "b1" / "checkpoint.pt").mkdir(parents=True)
    assert verify([whole]).faults == []


def test_a_link_to_an_attempt_that_is_elsewhere_is_no_fault(whole):
    change(whole, "UPDATE attempt SET resumed_from = 'elsewhere' WHERE uid = 'b1'")
    assert verify([whole]).faults == []


def test_a_file_that_is_damaged_in_the_middle_is_a_fault(whole):
    damaged = bytearray(whole.read_bytes())
    damaged[4096:12288] = b"\xa5" * 8192
    whole.write_bytes(damaged)
    assert verify([whole]).faults


def test_published_lines_are_verified_with_the_artifacts_beside(whole, lab, tmp_path):
    from harness.store.connection import open_reader

    file = tmp_path / "published" / "all.jsonl"
    with open_reader(whole) as store:
        write_jsonl(published_lines(store, studies=None), file)
    assert verify([file.parent]).faults == []
    (file.parent / "artifacts").mkdir()
    named = file.parent / "artifacts" / f"{SHA}.npz"
    named.write_bytes(CONTENT)
    assert verify([file]).faults == []
    named.write_bytes(b"other")
    assert verify([file]).faults == [f"{named}: its SHA-256 is not its name"]
    named.unlink()
    text = file.read_text().replace('"lr":0.01', '"lr":0.02')
    file.write_text(text)
    (fault,) = verify([file]).faults
    assert fault.startswith(f"{file}:1: ")
    assert "is not that of the configuration" in fault


def test_nothing_to_look_at_is_wrong_use(tmp_path):
    for missing in (tmp_path / "none.db", tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(HarnessError, match=r"no results database here|holds no published results"):
            verify([missing])
