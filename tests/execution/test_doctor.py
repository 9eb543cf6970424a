"""The doctor: a trial made twice is equal, and a difference is told."""

from dataclasses import replace

from harness.execution import doctor
from harness.execution.options import Options


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


def test_the_store_is_looked_at(tmp_path):
    broken = tmp_path / "harness.db"
    assert doctor._store(broken).said.endswith("none yet")
    broken.write_bytes(b"no database" * 100)
    assert not doctor._store(broken).well
