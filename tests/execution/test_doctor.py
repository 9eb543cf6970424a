"""The doctor: a trial made twice is equal, a difference is told, and what is not well comes with what to do."""

import shutil
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest

from harness.base.errors import HarnessError
from harness.execution import device, doctor
from harness.execution.options import Options
from harness.store.connection import open_store


def test_one_trial_twice_is_equal_and_a_changed_value_is_told(tmp_path, monkeypatch):
    made = []
    check = doctor._check
    monkeypatch.setattr(doctor, "_check", lambda *arguments: made.append(check(*arguments)) or made[-1])
    found = doctor.repeated(Options(tmp_path / "harness.db", tmp_path, threads=1))
    assert found.well, found.said
    first, second = made
    assert first.uid != second.uid
    changed = replace(first.results[0], value=first.results[0].value + 2**-40)
    assert doctor.differences(first, replace(second, results=(changed, *second.results[1:]))) == ["metrics"]


def look(tmp_path, what, said=""):
    """Return the findings on something that say something."""
    found = doctor.facts(Options(tmp_path / "harness.db", tmp_path / "data"))
    return [each for each in found if each.what == what and said in each.said]


def test_the_store_is_looked_at(tmp_path):
    broken = tmp_path / "harness.db"
    assert doctor._store(broken)[0].said.endswith("none yet")
    open_store(broken).close()
    assert doctor._store(broken)[0].said.endswith("0 attempts; whole; journal: wal")
    broken.write_bytes(b"no database" * 100)
    assert not doctor._store(broken)[0].well


def test_each_thing_that_is_not_well_says_what_to_do(tmp_path, monkeypatch):
    assert all(each.todo is None for each in look(tmp_path, "disk"))
    monkeypatch.setattr(shutil, "disk_usage", lambda *_: type("Usage", (), {"free": 2**20}))
    monkeypatch.setattr(doctor, "free_memory", lambda: 2**29)
    (tmp_path / "harness.db").write_bytes(b"no database" * 100)
    bad = [each for what in ("disk", "memory", "store") for each in look(tmp_path, what) if not each.well]
    assert [each.what for each in bad] == ["disk", "disk", "memory", "store"]
    assert all(each.todo for each in bad)
    assert f"data at {tmp_path / 'data'}" in bad[1].said
    assert "1 MiB free" in bad[1].said


def test_a_network_file_system_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_FILE_SYSTEM", "nfs4")
    assert look(tmp_path, "disk", "results at")[0].said.startswith(
        f"results at {tmp_path}: nfs4, a network file system"
    )
    assert look(tmp_path, "disk", "rollback journal")


def test_no_locks_and_no_permission_are_found(tmp_path, monkeypatch):
    @contextmanager
    def refuse(path):
        raise HarnessError(f"{path} cannot be locked")
        yield

    monkeypatch.setattr(doctor, "hold", refuse)
    (found,) = look(tmp_path, "disk", "its file system has no locks")
    assert (found.well, found.todo) == (False, "put the store on a local file system by --db")

    def read_only(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(doctor.tempfile, "TemporaryDirectory", read_only)
    (found,) = look(tmp_path, "disk", "cannot be written to (Read-only file system)")
    assert not found.well


def test_a_clock_that_goes_backwards_is_found(tmp_path, monkeypatch):
    assert look(tmp_path, "clock")[0].well
    monkeypatch.setattr(doctor, "_store", lambda *_: (doctor.Finding("store", ""), "2999-01-01T00:00:00.000+00:00"))
    (found,) = look(tmp_path, "clock", "the store holds an attempt of 2999")
    assert (found.well, "attempts keep their order" in found.todo) == (False, True)
    monkeypatch.setattr(doctor, "_store", lambda *_: (doctor.Finding("store", ""), "no time"))
    assert look(tmp_path, "clock")[0].well
    real = time.time
    steady = doctor.SteadyClock()
    assert steady.finding().well
    monkeypatch.setattr(time, "time", lambda: real() - 3600)
    assert "files in" in look(tmp_path, "clock", "3600 s ahead of this clock")[0].said
    assert steady.finding().said == "was set 3600 s backwards while this ran"


def test_auto_is_every_device(monkeypatch):
    monkeypatch.setattr(doctor, "all_gpus", lambda asked: () if asked == "cpu" else ("cuda:0", "cuda:1"))
    assert doctor.devices_for("auto") == ("cpu", "cuda:0", "cuda:1")
    assert doctor.devices_for("cuda") == ("cuda:0", "cuda:1")
    assert doctor.devices_for("cpu") == ("cpu",)
    monkeypatch.setattr(doctor, "all_gpus", device.all_gpus)
    with pytest.raises(HarnessError, match="--device takes"):
        doctor.devices_for("tpu")
