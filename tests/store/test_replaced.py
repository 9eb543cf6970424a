"""A store that is removed or replaced while it is open: nothing more is written, and the new one stays whole."""

import shutil
import sys

import pytest

from harness.store.connection import open_reader, open_store
from harness.store.errors import ReplacedError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps files that are open")


@pytest.fixture
def store(path):
    with open_store(path) as store:
        with store.writing() as conn:
            conn.execute("CREATE TABLE own (x)")
        yield store


def _add(store, meanwhile=lambda: None):
    with store.writing() as conn:
        conn.execute("INSERT INTO own VALUES (1)")
        meanwhile()


def _remove(path):
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()


def _replace(path):
    shutil.copy(path, path.with_name("other"))
    path.with_name("other").replace(path)


@pytest.mark.parametrize(("change", "words"), [(_remove, "removed"), (_replace, "replaced by another file")])
def test_nothing_is_written_to_a_store_that_is_another(store, path, change, words):
    change(path)
    with pytest.raises(ReplacedError, match=f"^{path} was {words} while it was in use: .*results recover --db {path}"):
        _add(store)
    assert not store.db.conn.in_transaction


def test_nor_if_it_becomes_another_within_a_transaction(store, path):
    with pytest.raises(ReplacedError):
        _add(store, meanwhile=lambda: _replace(path))
    assert store.db.conn.execute("SELECT count(*) FROM own").fetchone() == (0,)


def test_a_store_by_a_link_and_from_another_folder_is_the_same(path, tmp_path, monkeypatch):
    link = tmp_path / "link.db"
    link.symlink_to(path)
    path.parent.mkdir()
    monkeypatch.chdir(tmp_path)
    with open_store("link.db") as store:
        monkeypatch.chdir("/")
        with store.writing() as conn:
            conn.execute("CREATE TABLE own (x)")
        link.unlink()
        link.symlink_to(tmp_path / "another.db")
        with pytest.raises(ReplacedError, match="removed"):
            _add(store)


def test_the_log_of_the_old_store_does_not_damage_the_new_one(path):
    with open_store(path):
        pass
    shutil.copy(path, path.with_name("other"))
    with open_store(path) as store:
        with store.writing() as conn:
            conn.execute("CREATE TABLE own (x)")
            conn.executemany("INSERT INTO own VALUES (?)", [("x" * 1000,)] * 200)
        path.with_name("other").replace(path)
    assert not path.with_name(f"{path.name}-wal").exists()
    with open_reader(path) as new:
        assert new.check() is None
        assert "own" not in new.db.table_names()


def test_another_log_is_left_alone(store, path):
    log = path.with_name(f"{path.name}-wal")
    _replace(path)
    log.with_name("its").write_bytes(b"its own")
    log.with_name("its").replace(log)
    store.close()
    assert log.read_bytes() == b"its own"
