"""An attempt as bytes: what goes with it, where it is put, and what comes back."""

import json
from dataclasses import replace

import pytest

from harness.attempt.messages import REQUEST_FILE, AttemptRequest
from harness.execution.executors.parcel import parcel_of, settle, take_files
from harness.testing.executors import prepare


@pytest.fixture
def attempt(tmp_path):
    """Prepare an attempt that resumes from another, with data beside them, and return its folder."""
    own, earlier = (prepare(tmp_path / "results", "goes on") for _ in range(2))
    (earlier / "checkpoint").mkdir()
    (earlier / "checkpoint" / "count").write_text("3")
    (earlier / "checkpoint" / ".count.1-abc.tmp").write_text("3")
    (tmp_path / "results" / "data").mkdir()
    (tmp_path / "results" / "data" / "large").write_text("x")
    request = AttemptRequest.from_json((own / REQUEST_FILE).read_text())
    more = {"resume_from": earlier.name, "resume_folder": str(earlier), "plugin_paths": (str(tmp_path / "code"),)}
    request = replace(request, data_root=str(tmp_path / "results" / "data"), **more)
    (own / REQUEST_FILE).write_text(request.to_json())
    return own


def test_what_a_request_names_of_the_results_goes_with_it(attempt, tmp_path):
    request = AttemptRequest.from_json((attempt / REQUEST_FILE).read_text())
    own, earlier = f"artifacts/{attempt.name}", f"artifacts/{request.resume_from}"
    assert set(parcel_of(tmp_path / "results", attempt)) == {
        f"{own}/{REQUEST_FILE}",
        f"{earlier}/{REQUEST_FILE}",
        f"{earlier}/checkpoint/count",
    }


def test_a_request_names_the_folder_where_it_is_put(attempt, tmp_path):
    here = tmp_path / "here"
    for name, content in parcel_of(tmp_path / "results", attempt).items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(content)
    moved = here / "artifacts" / attempt.name
    settle(moved, str(tmp_path / "results"), str(here))
    before, after = (AttemptRequest.from_json((each / REQUEST_FILE).read_text()) for each in (attempt, moved))
    assert after.folder == str(moved)
    assert after.resume_folder == str(here / "artifacts" / str(before.resume_from))
    assert (after.data_root, after.plugin_paths) == (before.data_root, before.plugin_paths)


def test_a_damaged_request_travels_alone_and_stays_damaged(attempt, tmp_path):
    text = json.dumps({**json.loads((attempt / REQUEST_FILE).read_text()), "seed": 7})
    (attempt / REQUEST_FILE).write_text(text)
    settle(attempt, str(tmp_path / "results"), "/elsewhere")
    assert (attempt / REQUEST_FILE).read_text() == text
    (attempt / REQUEST_FILE).write_text("{")
    assert list(parcel_of(tmp_path / "results", attempt)) == [f"artifacts/{attempt.name}/{REQUEST_FILE}"]


def test_at_the_end_the_folder_has_what_came_and_what_is_the_drivers(tmp_path):
    (tmp_path / REQUEST_FILE).write_text("ours")
    take_files(tmp_path, {"checkpoint/a": b"1", "curve.jsonl": b"x", REQUEST_FILE: b"theirs"})
    take_files(tmp_path, {"result.json": b"{}", "curve.jsonl": b"xy"}, final=True)
    found = {path.name: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {REQUEST_FILE: "ours", "result.json": "{}", "curve.jsonl": "xy"}
    assert not (tmp_path / "checkpoint").exists()


@pytest.mark.parametrize("name", ["../stolen", "/tmp/stolen", "checkpoint/../../stolen"])  # noqa: S108
def test_nothing_is_written_outside_of_the_folder(tmp_path, name):
    own = tmp_path / "own"
    own.mkdir()
    with pytest.raises(ValueError, match="leads out of the attempt's folder"):
        take_files(own, {name: b"x"})
    assert list(tmp_path.rglob("*")) == [own]
