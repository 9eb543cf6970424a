"""Opening stores: pragmas, migrations, backups, and what is refused."""

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database, Migrations

from harness.base.errors import HarnessError
from harness.store import access, connection
from harness.store.access import GaveUpWaitingError
from harness.store.connection import migrate, open_memory, open_reader, open_store
from harness.store.queries import snapshot
from harness.store.schema import MIGRATIONS, known_migrations
from harness.store.writer import finish_attempt


def pragma(store, name):
    return store.db.conn.execute(f"PRAGMA {name}").fetchone()[0]


def test_a_new_store_has_its_folders_and_pragmas(path):
    with open_store(path) as store:
        assert store.journal == "wal" == pragma(store, "journal_mode")
        assert pragma(store, "foreign_keys") == 1
        assert pragma(store, "synchronous") == 2  # FULL
        assert pragma(store, "busy_timeout") <= 500  # a writer waits by itself, and hears Ctrl-C meanwhile
    assert [each.name for each in path.parent.iterdir()] == ["harness.db"]  # no copy of what was just made


def test_opening_again_keeps_what_is_there(lab, path):
    lab.study()
    with open_store(path) as again:
        assert [s.name for s in snapshot(again).study_trials] == ["pool 2"]


def test_a_file_system_without_wal_is_noticed(path, caplog):
    path.parent.mkdir()
    conn = sqlite3.connect(f"{path.as_uri()}?vfs=unix-dotfile", uri=True)  # has no shared memory, as on networks
    assert access._choose_journal(conn, path) == "delete"
    assert "readers will wait" in caplog.text
    conn.close()


def test_on_a_network_file_system_a_store_has_a_rollback_journal(path, lab, caplog, monkeypatch):
    lab.study()
    lab.store.close()
    with open_store(path) as store:
        assert store.journal == "wal"
    monkeypatch.setenv("HARNESS_FILE_SYSTEM", "nfs4")
    for _ in range(2):  # the second finds it so
        with open_store(path) as store, open_reader(path) as reader:
            assert store.journal == reader.journal == "delete" == pragma(store, "journal_mode")
            assert [s.name for s in snapshot(reader).study_trials] == ["pool 2"]
            assert pragma(store, "locking_mode") == "normal"
    assert caplog.text.count(f"{path} is on nfs4, a network file system: rollback journal") == 1
    with open_store(path.with_name("new.db")) as store:
        assert store.journal == "delete"
    assert caplog.text.count("a network file system: rollback journal") == 2
    monkeypatch.delenv("HARNESS_FILE_SYSTEM")
    with open_store(path) as store:
        assert store.journal == "wal"


def test_a_store_that_others_have_open_keeps_its_log_on_a_network_file_system(path, caplog, monkeypatch):
    with open_store(path) as first:
        monkeypatch.setenv("HARNESS_FILE_SYSTEM", "cifs")
        with open_store(path) as store:
            assert store.journal == "wal"
            with first.writing() as conn:
                conn.execute("INSERT INTO study (name, spec_yaml, spec_sha, created) VALUES ('a', 'b', 'c', 'd')")
    assert "where write-ahead logging is for one host alone, and is in use so" in caplog.text


@pytest.mark.parametrize("made", [False, True])
def test_a_file_system_that_fails_at_shared_memory_gets_a_rollback_journal(made, path, caplog):
    """SQLite says that it has switched, and fails at the first look: so do file systems that cannot map a file."""
    if made:
        open_store(path).close()
    path.parent.mkdir(exist_ok=True)
    path.with_name("harness.db-shm").symlink_to("nowhere")  # which SQLite does not follow
    with open_store(path) as store:
        assert store.journal == "delete"
        with store.writing() as conn:
            conn.execute("INSERT INTO study (name, spec_yaml, spec_sha, created) VALUES ('a', 'b', 'c', 'd')")
        with open_reader(path) as reader:
            assert reader.db.conn.execute("SELECT name FROM study").fetchall() == [("a",)]
    assert caplog.text.count("no write-ahead logging: rollback journal") == 1


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be one" * 100, b""])
def test_a_reader_refuses_what_is_no_store(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(HarnessError, match=r"harness\.db: not a store of the harness$"):
        open_reader(path)


@pytest.mark.parametrize("opener", [open_store, open_reader])
def test_another_programs_database_is_refused_and_left_alone(path, opener):
    path.parent.mkdir()
    with sqlite3.connect(path) as conn:
        conn.execute("CREATE TABLE trials (x)")
    conn.close()
    before = path.read_bytes()
    with pytest.raises(HarnessError, match="not a store of the harness"):
        opener(path)
    assert path.read_bytes() == before


def test_a_missing_store_is_refused_by_a_reader_and_not_made(path):
    with pytest.raises(HarnessError, match="no results database here"):
        open_reader(path)
    assert not path.exists()


@pytest.mark.parametrize("opener", [open_store, open_reader])
def test_a_newer_schema_is_refused(path, opener):
    with open_store(path) as store:
        store.db["_sqlite_migrations"].insert(
            {"id": 99, "migration_set": "harness", "name": "m999_later", "applied_at": "2030"}
        )
    with pytest.raises(HarnessError, match=r"made by a newer harness .*m999_later") as caught:
        opener(path)
    assert "\n" not in str(caught.value)


def test_an_older_schema_is_refused_by_a_reader(path, monkeypatch):
    open_store(path).close()
    newer = Migrations("harness")
    for name in (*sorted(known_migrations()), "m999_more"):
        newer(name=name)(lambda db: db.execute("CREATE TABLE more (x)"))
    monkeypatch.setattr(connection, "MIGRATIONS", newer)
    monkeypatch.setattr(connection, "known_migrations", lambda: known_migrations() | {"m999_more"})
    with pytest.raises(HarnessError, match="older harness"):
        open_reader(path)


def test_a_migration_is_preceded_by_a_backup_and_undone_where_it_fails(lab, path):
    lab.study()
    later = Migrations("harness")
    later(name="m001_first_tables")(lambda _: None)

    @later(name="m999_breaks")
    def breaks(db: Database) -> None:
        db.execute("DROP TABLE cost")
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        migrate(lab.store.db, path, later)
    assert "cost" in lab.store.db.table_names()
    with open_reader(path.with_name("harness.db.before-m999_breaks")) as backup:
        assert [s.name for s in snapshot(backup).study_trials] == ["pool 2"]


def test_a_reader_cannot_write(lab, path):
    with (
        open_reader(path) as reader,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
        reader.writing() as conn,
    ):
        conn.execute("DELETE FROM study")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a folder that this user cannot write")
def test_a_store_in_a_read_only_folder_can_be_read(path):
    open_store(path).close()
    path.parent.chmod(0o555)
    try:
        with open_reader(path) as reader:
            assert snapshot(reader).attempts == ()
    finally:
        path.parent.chmod(0o755)


KILLED = """
import os, sqlite3, sys
conn = sqlite3.connect(sys.argv[1], isolation_level=None)
conn.execute("PRAGMA journal_mode = DELETE")
conn.execute("PRAGMA cache_size = 1")  # so that pages that are not committed reach the file
conn.execute("BEGIN IMMEDIATE")
conn.execute("UPDATE study SET name = 'half done'")
conn.execute("DELETE FROM study_trial")
rows = [("k" * 2000 + str(n),) for n in range(99)]
conn.executemany("INSERT INTO trial VALUES (NULL, ?, 1, NULL, NULL, '{}', NULL)", rows)
os._exit(9)
"""


@pytest.fixture
def half_done(path, lab):
    """A store with a rollback journal whose writer was killed within a transaction."""
    lab.study()
    lab.store.close()
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode == 9
    assert path.with_name("harness.db-journal").stat().st_size > 0
    return path


def test_what_a_killed_writer_had_half_done_is_not_read(half_done):
    with open_reader(half_done) as reader:
        found = snapshot(reader)
        assert [(s.study, s.name) for s in found.study_trials] == [("mnist", "pool 2")]
        assert len(found.trials) == 1
        with pytest.raises(sqlite3.OperationalError, match="readonly"), reader.writing() as conn:
            conn.execute("DELETE FROM study")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a folder that this user cannot write")
def test_what_was_half_done_is_refused_where_it_cannot_be_taken_back(half_done):
    half_done.parent.chmod(0o555)
    half_done.chmod(0o444)
    try:
        with pytest.raises(HarnessError, match="its writer was killed half way"):
            open_reader(half_done)
    finally:
        half_done.parent.chmod(0o755)


def test_a_store_that_another_has_locked_is_waited_for_and_not_read_past_the_lock(path, monkeypatch):
    open_store(path).close()
    monkeypatch.setattr(connection, "_BUSY_TIMEOUT_MS", 200)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA journal_mode = DELETE")
    other.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(HarnessError, match=r"harness\.db: cannot be used \(database is locked\)$"):
            open_reader(path)
    finally:
        other.close()
    open_reader(path).close()


@pytest.fixture
def other(path):
    """Another program's connection, in whatever thread."""
    open_store(path).close()
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as conn:
        yield conn


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
@pytest.mark.parametrize("lock", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_a_writer_waits_for_a_lock_and_says_so_once(path, other, monkeypatch, caplog, journal, lock):
    monkeypatch.setattr(access, "_SAY_AFTER_S", 0.2)
    monkeypatch.setattr(access, "_choose_journal", lambda *_, **__: journal.lower())
    other.execute(f"PRAGMA journal_mode = {journal}")
    ticks = []
    with open_store(path) as store:
        other.execute(lock)
        waiting = store.asking(lambda: ticks.append(1) or (len(ticks) == 6 and other.execute("COMMIT")))
        with waiting.writing() as conn:
            conn.execute("INSERT INTO study (name, spec_yaml, spec_sha, created) VALUES ('a', 'b', 'c', 'd')")
    assert len(ticks) == 6
    assert caplog.text.count("is locked by another program") == 1
    with open_reader(path) as reader:
        assert reader.db.conn.execute("SELECT name FROM study").fetchall() == [("a",)]


def test_what_waits_can_be_told_to_wait_no_longer(path, other):
    def give_up():
        raise GaveUpWaitingError("enough")

    with open_store(path) as store:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(GaveUpWaitingError, match="enough"), store.asking(give_up).writing():
            pytest.fail("the store is locked")
        other.execute("COMMIT")
        with store.writing() as conn:
            conn.execute("DELETE FROM study")


def test_a_store_that_is_locked_while_it_is_opened_is_waited_for(path, monkeypatch):
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        MIGRATIONS.apply(Database(other), stop_before="m003_order_beyond_the_clock")
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.5, lambda: other.execute("COMMIT"))
        timer.start()
        monkeypatch.setattr(access, "TRY_MS", 50)
        with open_store(path) as store:
            assert "ordered" in store.db["attempt"].columns_dict
        timer.join()


def test_a_store_copied_alone_is_whole_after_every_transaction(lab, path, tmp_path):
    copy = tmp_path / "copy.db"

    def attempts():
        shutil.copy(path, copy)
        with open_reader(copy) as reader:
            found = [(a.uid, a.state) for a in snapshot(reader).attempts]
        copy.unlink()
        return found

    assert attempts() == []  # after the migrations
    lab.study()
    lab.start("u1")
    assert attempts() == [("u1", "running")]
    assert finish_attempt(lab.store, lab.result("u1"))
    assert attempts() == [("u1", "done")]


def test_a_path_with_signs_of_an_address_is_read(tmp_path):
    path = tmp_path / "a?b#c%20.db"
    open_store(path).close()
    with open_reader(path) as reader:
        assert snapshot(reader).trials == {}


def test_a_failed_block_leaves_nothing(lab):
    lab.study()

    def rename_and_fail():
        with lab.store.writing() as conn:
            conn.execute("UPDATE study SET name = 'other'")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        rename_and_fail()
    assert snapshot(lab.store).study_trials[0].study == "mnist"


def test_a_reader_sees_one_moment_while_a_writer_writes(lab, path):
    lab.study()
    lab.attempt("u1")
    with open_reader(path) as reader:
        with reader.reading():
            before = snapshot(reader)
            lab.attempt("u2", seed=1)
            assert snapshot(reader) == before
        assert [a.uid for a in snapshot(reader).attempts] == ["u1", "u2"]


def test_readers_do_not_wait_for_an_open_transaction(lab, path):
    lab.study()
    with open_reader(path) as reader, lab.store.writing() as conn:
        conn.execute("UPDATE study SET name = 'half done'")
        assert snapshot(reader).study_trials[0].study == "mnist"


def test_a_store_in_memory_is_empty_and_complete():
    with open_memory() as store:
        assert snapshot(store).attempts == ()
        assert pragma(store, "foreign_keys") == 1


def test_two_that_open_a_new_store_at_once_both_get_it(path):
    code = f"from harness.store.connection import open_store; open_store({str(path)!r}).close()"
    children = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(3)]
    assert [child.communicate()[1] for child in children] == [b"", b"", b""]
    open_reader(path).close()


def test_nothing_of_the_store_imports_torch():
    modules = sorted(p.stem for p in Path(connection.__file__).parent.glob("*.py") if p.stem != "__init__")
    imports = ", ".join(f"harness.store.{m}" for m in modules)
    code = f"import sys, {imports}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
