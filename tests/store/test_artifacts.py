"""Files that attempts left come along with a merge, checked, and never anywhere but into their attempts' folders."""

import hashlib
import json

import pytest
from click.testing import CliRunner

from harness.attempt.messages import Artifact
from harness.base.errors import HarnessError
from harness.cli import main
from harness.store.artifacts import take_artifacts
from harness.store.connection import open_memory, open_store
from harness.store.merge import merge_jsonl
from harness.store.queries import all_artifacts

CONTENT = {"maps.npz": b"ten maps", "files/weights.pt": b"a network's weights"}


def call(*arguments):
    return CliRunner().invoke(main, ["results", *map(str, arguments)])


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def made(lab, path):
    """A store with an attempt that left two files, and one that failed and left one."""
    lab.study()
    left = tuple(
        Artifact(kind, name, hashlib.sha256(CONTENT[name]).hexdigest(), len(CONTENT[name]))
        for kind, name in (("maps", "maps.npz"), ("weights", "files/weights.pt"))
    )
    lab.attempt("a1", finding={"artifacts": left})
    lab.attempt("f1", "failed", seed=1, finding={"artifacts": left[:1], "results": (), "samples": ()})
    for uid in ("a1", "f1"):
        for name, content in CONTENT.items():
            file = path.parent / "artifacts" / uid / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    return path


@pytest.fixture
def target(tmp_path):
    return tmp_path / "other" / "all.db"


def test_a_merge_copies_what_counting_attempts_left(made, target):
    done = call("merge", made, "--db", target)
    assert f"{made}: 1 attempts taken in, 0 known; 2 files of theirs copied" in done.stdout
    copied = files(target.parent / "artifacts")
    config = json.loads(copied.pop("a1/files/trial.json"))
    assert config["model"] == {"kind": "mnist_cnn"}, "what the weights are of"
    assert copied == {f"a1/{name}": content for name, content in CONTENT.items()}
    again = call("merge", made, "--db", target)
    assert again.stdout == f"{made}: 0 attempts taken in, 1 known\n"
    assert call("verify", "--db", target).exit_code == 0


def test_a_merge_without_them_leaves_them_and_a_later_one_brings_them(made, target):
    assert call("merge", made, "--db", target, "--no-artifacts").exit_code == 0
    assert not (target.parent / "artifacts").exists()
    assert "0 attempts taken in, 1 known; 2 files" in call("merge", made, "--db", target).stdout


def test_published_maps_come_along_too(made, target, tmp_path):
    file = tmp_path / "published" / "mnist.jsonl"
    assert "1 attempts; 1 artifacts beside it" in call("export", "--db", made, "--out", file).stdout
    assert "1 files of theirs copied" in call("merge", file, "--db", target).stdout
    assert files(target.parent / "artifacts") == {"a1/maps.npz": CONTENT["maps.npz"]}


def test_an_export_says_what_is_not_beside_it(made, target, tmp_path):
    done = call("export", "--db", made, "--out", tmp_path / "all.jsonl")
    said = "not exported: 1 weights; they stay where they are; --weights exports weights"
    assert done.stderr == f"{said}; `harness results merge` copies all from store to store\n"
    done = call("export", "--db", made, "--out", tmp_path / "no" / "all.jsonl", "--no-maps")
    assert "1 attempts; 0 artifacts beside it (--no-maps)" in done.stdout
    assert ("1 weights" in done.stderr, "1 maps" in done.stderr) == (True, False)
    call("merge", made, "--db", target, "--no-artifacts")
    done = call("export", "--db", target, "--out", tmp_path / "third" / "all.jsonl")
    assert ("0 artifacts beside it\n" in done.stdout, done.stderr) == (True, ""), "there are none to be left out"


def test_weights_are_exported_on_request(made, target, tmp_path):
    file = tmp_path / "published" / "mnist.jsonl"
    done = call("export", "--db", made, "--out", file, "--weights")
    assert ("2 artifacts beside it\n" in done.stdout, done.stderr) == (True, "")
    assert "2 files of theirs copied" in call("merge", file, "--db", target).stdout
    copied = files(target.parent / "artifacts")
    assert copied.items() >= {f"a1/{name}": content for name, content in CONTENT.items()}.items()
    (target.parent / "artifacts" / "a1" / "files" / "weights.pt").unlink()
    done = call("export", "--db", target, "--out", tmp_path / "again" / "mnist.jsonl", "--weights", "--no-maps")
    assert "not exported, as they are not here: the weights of 1 attempts" in done.stderr
    refused = call("export", "--db", made, "--out", tmp_path / "rows.csv", "--weights")
    assert "--weights goes with a file *.jsonl" in refused.stderr


def test_published_files_are_exported_anew_with_their_maps(made, tmp_path):
    call("export", "--db", made, "--out", tmp_path / "one" / "mnist.jsonl")
    again = call("export", "--from", tmp_path / "one", "--out", tmp_path / "two" / "mnist.jsonl")
    assert again.exit_code == 0, again.output
    assert files(tmp_path / "two") == files(tmp_path / "one")
    assert len(files(tmp_path / "two")) == 2


def test_a_file_that_was_changed_is_refused(made, target):
    (made.parent / "artifacts" / "a1" / "maps.npz").write_bytes(b"other maps")
    done = call("merge", made, "--db", target)
    assert done.exit_code == 2
    assert "maps.npz is not what attempt a1 left: its SHA-256 differs" in done.stderr


@pytest.mark.parametrize("name", ["../../escaped", "/escaped", "a/../../escaped", "C:\\escaped", "..\\..\\escaped"])
def test_a_published_file_stays_in_its_folder(made, target, tmp_path, name):
    file = tmp_path / "in" / "mnist.jsonl"
    call("export", "--db", made, "--out", file)
    line = json.loads(file.read_text())
    line["artifacts"][0]["path"] = name
    file.write_text(json.dumps(line) + "\n")
    done = call("merge", file, "--db", target)
    assert done.exit_code == 2
    assert "does not lie in its attempt's folder" in done.stderr
    line["artifacts"][0]["path"], line["uid"] = "maps.npz", "../a1"
    file.write_text(json.dumps(line) + "\n")
    assert "uid: " in call("merge", file, "--db", target).stderr


def test_a_store_that_names_a_file_outside_does_not_get_it(made, target):
    call("merge", made, "--db", target, "--no-artifacts")
    (made.parent / "artifacts" / f"{hashlib.sha256(CONTENT['maps.npz']).hexdigest()}.npz").write_bytes(
        CONTENT["maps.npz"]
    )
    with open_store(target) as store:
        with store.writing() as conn:
            conn.execute("UPDATE artifact SET path = '../../escaped.npz' WHERE kind = 'maps'")
        with pytest.raises(HarnessError, match="outside of its folder"):
            take_artifacts(store, made, target.parent / "artifacts")
    done = call("merge", made, "--db", target)
    assert (done.exit_code, "with another artifact" in done.stderr) == (2, True)
    assert not (target.parent.parent / "escaped.npz").exists()


def test_all_artifacts_are_those_of_all_attempts(made, tmp_path):
    file = tmp_path / "mnist.jsonl"
    call("export", "--db", made, "--out", file)
    with open_memory() as store:
        merge_jsonl(store, file)
        assert [(uid, artifact.path) for uid, artifact in all_artifacts(store)] == [
            ("a1", "files/weights.pt"), ("a1", "maps.npz")
        ]  # fmt: skip


@pytest.mark.parametrize("db", ["all.db", "new/folder/all.db"])
def test_a_merge_that_fails_leaves_nothing_behind(made, tmp_path, monkeypatch, db):
    """No folder, no empty store, no lock; also if an earlier file could be merged."""
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    call("export", "--db", made, "--out", good)
    bad.write_text(good.read_text().replace('"format":1', '"format":9'))
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    done = call("merge", good, bad, "--db", db)
    assert (done.exit_code, "bad.jsonl:1: format 9" in done.stderr, done.stdout) == (2, True, "")
    assert list((tmp_path / "empty").rglob("*")) == []
    assert call("merge", good, "--db", db).exit_code == 0
    assert {path.name for path in (tmp_path / "empty" / db).parent.iterdir()} >= {"all.db", "all.db.lock", "artifacts"}
    assert list((tmp_path / "empty").glob(".*")) == []


def test_a_merge_that_fails_leaves_a_store_as_it_was(made, target, tmp_path):
    bad = tmp_path / "bad.jsonl"
    call("export", "--db", made, "--out", bad)
    call("merge", bad, "--db", target)
    before = files(target.parent)
    bad.write_text(bad.read_text().replace('"format":1', '"format":9'))
    assert call("merge", bad, "--db", target).exit_code == 2
    assert files(target.parent) == before
