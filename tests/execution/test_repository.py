"""The repository of a study: its commit, and what was not committed, kept in the store and shown on request."""

import json
import subprocess

import pytest

from harness.execution import repository
from harness.execution.repository import CUT_OFF, repository_of
from harness.store.connection import open_store

STUDY = """\
study: own
task: function
target: fn.py:run
seeds: [0]
metrics: {score: maximize}
trials:
  - name: one
"""
FUNCTION = """\
import numpy


def run(context):
    return {"score": float(context.rng("data").random())}
"""


def git(folder, *words):
    said = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false", *words]
    return subprocess.run(said, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with one commit, and a study's folder in it."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    repository._looked_at.cache_clear()
    folder = tmp_path / "checkout"
    (folder / "studies").mkdir(parents=True)
    git(folder, "init", "-q")
    (folder / "net.py").write_text("one = 1\ntwo = 2\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    return folder


def look(checkout):
    repository._looked_at.cache_clear()
    return repository_of([str(checkout / "studies")])


def test_a_clean_checkout_is_its_commit(checkout):
    (checkout / "studies/new.yml").write_text("not tracked")
    assert look(checkout).facts == {"commit": git(checkout, "rev-parse", "HEAD").strip(), "dirty": False}


def test_what_was_not_committed_can_be_applied_again(checkout, tmp_path):
    (checkout / "net.py").write_text("one = 1\ntwo = 'zwei ü'\n")
    git(checkout, "config", "diff.noprefix", "true")
    git(checkout, "config", "color.ui", "always")
    (checkout / "added.py").write_text("three = 3\n")
    git(checkout, "add", "added.py")
    found = look(checkout)
    assert found.facts["dirty"] is True
    git(tmp_path, "clone", "-q", str(checkout), "again")
    (tmp_path / "changes.patch").write_text(found.diff)
    git(tmp_path / "again", "apply", str(tmp_path / "changes.patch"))
    for name in ("net.py", "added.py"):
        assert (tmp_path / "again" / name).read_text() == (checkout / name).read_text()


def test_a_large_difference_is_cut_off_with_a_mark(checkout):
    (checkout / "net.py").write_text("x" * 3 * repository.MOST_BYTES)
    found = look(checkout)
    assert found.diff.endswith(CUT_OFF)
    assert len(found.diff) == repository.MOST_BYTES + len(CUT_OFF)


def test_commands_that_a_repository_configures_are_not_run(checkout, tmp_path):
    ran = tmp_path / "ran"
    (tmp_path / "evil.sh").write_text(f"#!/bin/sh\ntouch {ran}\n")
    (tmp_path / "evil.sh").chmod(0o755)
    for name in ("core.fsmonitor", "diff.external", "diff.py.textconv"):
        git(checkout, "config", name, str(tmp_path / "evil.sh"))
    (checkout / ".git/info/attributes").write_text("*.py diff=py\n")
    (checkout / "net.py").write_text("changed\n")
    assert "+changed" in look(checkout).diff
    assert not ran.exists()


def test_without_a_repository_a_commit_or_git_there_is_none(checkout, tmp_path, monkeypatch):
    assert repository_of(["/"]) is None
    assert repository_of([]) is None
    (tmp_path / "empty").mkdir()
    git(tmp_path / "empty", "init", "-q")
    assert repository_of([str(tmp_path / "empty")]) is None
    assert repository_of([str(tmp_path / "nowhere")]) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert look(checkout) is None


def test_git_is_asked_once_for_many_attempts(checkout, monkeypatch):
    first = look(checkout)
    monkeypatch.setattr(repository, "_git", None)
    monkeypatch.setattr(repository.time, "monotonic", lambda: 0.0)
    repository._looked_at.cache_clear()
    with pytest.raises(TypeError):
        repository_of([str(checkout / "studies")])
    monkeypatch.undo()
    assert repository_of([str(checkout / "studies")]) == first == repository_of([str(checkout / "studies")])


@pytest.fixture
def ran(lab, monkeypatch):
    """A function study that was run from a repository with a change that was not committed."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    repository._looked_at.cache_clear()
    (lab.folder / "fn.py").write_text(FUNCTION)
    (lab.folder / "study.yml").write_text(STUDY)
    (lab.folder / "helper.sh").write_text("echo 1\n")
    git(lab.folder, "init", "-q")
    git(lab.folder, "add", "-A")
    git(lab.folder, "commit", "-qm", "first")
    (lab.folder / "helper.sh").write_text("echo secret\n")
    assert lab.grid("--threads", "1").code == 0
    return lab


def test_what_a_run_ran_with_is_shown_exported_and_held_against_a_repetition(ran, tmp_path):
    show = ("results", "show", "own:one:0")
    environment = json.loads(ran.here(*show, "--format", "json").out)["environment"]
    assert environment["study"]["commit"] == git(ran.folder, "rev-parse", "HEAD").strip()
    assert environment["study"]["dirty"] is True
    assert "numpy" in environment["packages"]
    assert environment["installed"].keys() > environment["packages"].keys() - {"harness"}
    text = ran.here(*show).out
    assert f"installed: {len(environment['installed'])} distributions" in text
    patch = ran.here(*show, "--source").out
    assert "-echo 1\n+echo secret\n" in patch
    assert git(ran.folder, "diff", "HEAD").splitlines()[-2:] == patch.splitlines()[-2:]

    for flag, told in (((), False), (("--with-source",), True)):
        file = tmp_path / f"{told}.jsonl"
        assert ran.here("results", "export", *flag, "--out", file).code == 0
        assert ("secret" in file.read_text()) == told
        shown = ran.here(*show, "--source", "--from", file)
        assert (shown.out == patch) == told
        assert ("was not published with it" in shown.err) != told
    assert ran.here("results", "export", "--with-source", "--out", "a.csv").code == 2

    verify = ("results", "verify", "--rerun", "1", "--study", "study.yml")
    assert ran.here(*verify).code == 0
    with open_store(ran.db) as store, store.writing() as conn:
        conn.execute("UPDATE result SET value = value + 0.25")
    git(ran.folder, "commit", "-qam", "second")
    repository._looked_at.cache_clear()
    false = ran.here(*verify)
    assert false.code == 1
    assert "metrics differ; nothing that was recorded and may change bits has changed (but study.commit " in false.out
    with open_store(ran.db) as store, store.writing() as conn:
        conn.execute("UPDATE env SET packages_json = json_set(packages_json, '$.packages.numpy', '0.1')")
    explained = ran.here(*verify)
    assert explained.code == 0
    assert "metrics differ; packages.numpy 0.1 → " in explained.out
