"""Faults of a store are found, each in a line: the file, references, keys, artifacts, links between attempts."""

import hashlib
import sqlite3
from contextlib import closing

import pytest

from harness.spec.attempt import Artifact
from harness.spec.errors import HarnessError
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
        ("UPDATE study_trial SET seeds_json = '[\"x\"]'", "are no list of whole numbers"),
        ("UPDATE attempt SET weights_from = 'b1' WHERE uid = 'e1'", "weights_from names b1, which is of another run"),
        ("UPDATE attempt SET supersedes = uid WHERE uid = 'b1'", "supersedes names itself"),
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


def test_a_changed_artifact_is_named(whole):
    file = whole.parent / "artifacts" / "a1" / "maps.npz"
    file.write_bytes(CONTENT + b"!")
    assert verify([whole]).faults == [f"{file}: is not what attempt a1 left: its SHA-256 differs"]


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
        with pytest.raises(HarnessError, match=r"there is no such store|holds no published results"):
            verify([missing])
