"""Inputs that a study declares: their contents are in the key, hashed once, and looked at again before an attempt."""

import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from harness.base.errors import HarnessError
from harness.study.study import load_study
from harness.trial import inputs
from harness.trial.inputs import check_inputs, digest_of

STUDY = """\
study: own
task: function
target: train.py:run
metrics: {accuracy: maximize}
seeds: [0]
inputs: [labels.csv, shards]
trials:
  - name: A
"""
CODE = "def run(context):\n    return {'accuracy': 1}\n"
LONG_AGO = 1_600_000_000


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Stand in a folder with a study, its inputs of long ago, a cache, and a data root."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "data"))
    write(**{"own.yml": STUDY, "train.py": CODE, "labels.csv": "1,2\n", "shards/a": "a", "shards/deep/b": "b"})
    return home


def write(**files):
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")
        os.utime(name, (LONG_AGO, LONG_AGO))


def key(text=STUDY):
    write(**{"own.yml": text})
    return load_study("own.yml").trials[0].trial.key


def test_contents_are_in_the_configuration_by_the_path_that_is_written():
    trial = load_study("own.yml").trials[0].trial
    assert trial.config["inputs"].keys() == {"labels.csv", "shards"}
    assert trial.config["inputs"]["labels.csv"] == hashlib.sha256(b"1,2\n").hexdigest()
    assert set(trial.files.values()) == {str(Path("labels.csv").resolve()), str(Path("shards").resolve())}
    write(**{"own.yml": STUDY.replace("inputs: [labels.csv, shards]\n", "")})
    without = load_study("own.yml").trials[0].trial
    assert without.key != trial.key
    assert without.config == {name: value for name, value in trial.config.items() if name != "inputs"}


@pytest.mark.parametrize(
    "edit",
    [
        {"labels.csv": "1,3\n"},
        {"shards/a": "A"},
        {"shards/deep/b": "c"},
        {"shards/new": ""},
        {"shards/.hidden": "x"},
        {"shards/deep/__pycache__.py": "x"},
    ],
)
def test_another_content_is_another_key(edit):
    before = key()
    write(**edit)
    assert key() != before


def test_a_name_in_a_folder_counts_and_what_systems_leave_there_does_not():
    before = key()
    write(**{f"shards/{name}": "x" for name in (".DS_Store", "Thumbs.db", "deep/.git/config", "@eaDir/x")})
    assert key() == before
    Path("shards/a").rename("shards/z")
    assert key() != before


def test_two_inputs_are_not_taken_for_each_other():
    write(one="1", two="2")
    text = STUDY.replace("labels.csv, shards", "one, two")
    before = key(text)
    assert key(text.replace("one, two", "./two, one")) == before  # the order says nothing
    write(one="2", two="1")
    assert key(text) != before


def test_times_and_places_are_in_no_key(folder, tmp_path, monkeypatch):
    before = key()
    Path("labels.csv").touch()
    assert key() == before
    copied = tmp_path / "elsewhere"
    folder.rename(copied)
    monkeypatch.chdir(copied)
    assert key() == before
    (tmp_path / "data").mkdir()
    Path("labels.csv").rename(tmp_path / "data" / "labels.csv")  # looked for below the data root too
    assert key() == before


def test_a_file_is_read_once_and_again_when_it_was_written(monkeypatch):
    monkeypatch.setattr(inputs, "_SETTLED_S", -1.0)
    reads = []
    real = hashlib.file_digest
    monkeypatch.setattr(inputs.hashlib, "file_digest", lambda file, name: reads.append(file.name) or real(file, name))
    before = key()
    assert len(reads) == 3
    assert key() == before
    assert len(reads) == 3
    write(**{"labels.csv": "9,9\n"})  # of the same size, and with the same time of writing
    in_place = key()
    write(**{"labels.new": "8,8\n"})
    Path("labels.new").replace("labels.csv")
    assert len({before, in_place, key()}) == 3
    assert [Path(name).name for name in reads[3:]] == ["labels.csv", "labels.csv"]


def test_a_file_that_was_written_just_now_is_not_believed_to_stay():
    write(new="1")
    moment = time.time_ns()
    digests = []
    for text in ("1", "2"):  # twice within the resolution of some file systems
        Path("new").write_text(text, encoding="utf-8")
        os.utime("new", ns=(moment, moment))
        digests.append(digest_of(Path("new")))
    assert digests[0] != digests[1]


def test_a_cache_that_is_damaged_or_cannot_be_written_is_none(tmp_path, monkeypatch):
    before = key()
    for file in (tmp_path / "cache").rglob("*.json"):
        file.write_text(json.dumps({"": 3, "a": [1]}), encoding="utf-8")
    assert key() == before
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert key() == before


def refused(text=STUDY):
    with pytest.raises(HarnessError) as caught:
        key(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_no_input_is_one_line(folder):
    assert refused(STUDY.replace("labels.csv", "lables.csv")) == f"own.yml:6: there is no file {folder}/lables.csv"
    assert refused(STUDY.replace("[labels.csv, shards]", "labels.csv")).startswith("own.yml:6: 'inputs' must be a list")
    assert "must be a word" in refused(STUDY.replace("labels.csv", "3"))
    Path("shards/dead").symlink_to("nowhere")
    assert refused() == f"own.yml:6: there is no file {folder}/shards/dead"
    Path("shards/dead").unlink()
    Path("shards/loop").symlink_to("..")
    Path("shards").joinpath("deep", "up").symlink_to("..")
    assert "leads back into itself" in refused()
    Path("shards/loop").unlink()
    Path("shards/deep/up").unlink()
    os.mkfifo("shards/pipe")
    assert refused() == f"own.yml:6: {folder}/shards/pipe is neither a file nor a folder"
    assert "/dev/zero is neither a file nor a folder" in refused(STUDY.replace("labels.csv", "/dev/zero"))


def test_a_grid_of_inputs():
    write(other="2")
    text = STUDY.replace("name: A", 'name: "{inputs}"\n    grid: {inputs: [[labels.csv], [other]]}')
    write(**{"own.yml": text})
    trials = [item.trial.config["inputs"] for item in load_study("own.yml").trials]
    assert [list(found) for found in trials] == [["labels.csv"], ["other"]]


def test_a_network_s_trial_may_have_inputs_too():
    trial = {"study": "s", "task": "classification", "dataset": "digits", "model": "mnist_cnn", "seeds": [0],
             "protocol": "digits-quick", "trials": [{"name": "A"}], "inputs": ["labels.csv"]}  # fmt: skip
    assert load_study(trial).trials[0].trial.config["inputs"].keys() == {"labels.csv"}


def test_an_attempt_refuses_an_input_that_was_edited_since_it_was_planned():
    trial = load_study("own.yml").trials[0].trial
    check_inputs(trial.config, trial.files)
    write(**{"shards/deep/b": "other"})
    with pytest.raises(HarnessError, match="the input 'shards' was edited since this was planned; run the study again"):
        check_inputs(trial.config, trial.files)
