"""A run whose checkpoint is damaged starts afresh, and says so."""

import logging
from zipfile import ZipFile

import pytest
from harness.execution.damaged import can_be_read

from harness.execution.driver import make_job
from harness.execution.options import Options
from harness.execution.plan import PlannedRun
from harness.spec.attempt import CHECKPOINT_FILE
from harness.spec.study import load_study


@pytest.fixture
def left(tmp_path):
    """An attempt that left a checkpoint."""
    folder = tmp_path / "artifacts" / ("a" * 32)
    folder.mkdir(parents=True)
    with ZipFile(folder / CHECKPOINT_FILE, "w") as file:
        file.writestr("data.pkl", b"x" * 1000)
    return folder


def test_a_checkpoint_that_was_cut_off_or_overwritten_cannot_be_read(left):
    assert can_be_read(left)
    whole = (left / CHECKPOINT_FILE).read_bytes()
    for content in (whole[:-40], b"", b"rubbish"):
        (left / CHECKPOINT_FILE).write_bytes(content)
        assert not can_be_read(left)
    (left / CHECKPOINT_FILE).unlink()
    assert can_be_read(left)


def test_a_run_goes_on_from_a_whole_checkpoint_alone(left, tmp_path, study_file, caplog):
    study = load_study(study_file("quickstart"))
    item = study.trials[0]
    run = PlannedRun(study.name, item.name, item.trial, 0, "left", resume_from=left.name)
    options = Options(db=tmp_path / "h.db", data_root=tmp_path)
    assert make_job(run, [study], options).request.resume_folder == str(left)
    (left / CHECKPOINT_FILE).write_bytes(b"rubbish")
    with caplog.at_level(logging.WARNING):
        request = make_job(run, [study], options).request
    assert (request.resume_from, request.resume_folder) == (None, None)
    assert "the checkpoint of attempt aaaaaaaa is damaged: it starts afresh" in caplog.text
