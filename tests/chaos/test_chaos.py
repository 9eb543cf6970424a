"""The script of `make chaos` itself: that it passes what is right, and that it sees what is not."""

import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from chaos.campaign import COUNTS, inflict, make_reference, schedule, total
from chaos.compare import difference, found
from chaos.faults import FAULTS, FUNCTION
from chaos.lab import ROOT, SEARCH, Lab

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    return folder / "function", make_reference(folder, [FUNCTION], 120)[FUNCTION]


@pytest.mark.parametrize("name", ["SIGKILL to all", "store opened by a reader", "second driver"])
def test_a_fault_costs_nothing(name, reference, tmp_path):
    outcome = inflict(1, FAULTS[name], FUNCTION, 1, Lab(tmp_path / "lab", FUNCTION, 120), reference[1])
    assert outcome.well, outcome.line()
    assert total([outcome]) == f"1 faults: {', '.join(f'0 {count}' for count in COUNTS)}"


def test_a_search_is_struck_too_and_has_the_runs_of_the_grid_to_the_bit(reference, tmp_path):
    struck = FAULTS["SIGKILL to all"]
    assert SEARCH in struck.studies
    outcome = inflict(1, struck, SEARCH, 1, Lab(tmp_path / "lab", SEARCH, 120), reference[1])
    assert outcome.well, outcome.line()
    assert any("chaos-search" in said.read_text() for said in (tmp_path / "lab").glob("said-*"))


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("DELETE FROM result WHERE attempt_id = 1", "lost"),
        ("UPDATE attempt SET state = 'running', ended = NULL WHERE id = 1", "lost"),
        ("DELETE FROM metric WHERE attempt_id = 1 AND step = 3", "lost"),
        ("DELETE FROM artifact WHERE attempt_id = 1", "lost"),
        ("UPDATE result SET value = value + 1e-15 WHERE attempt_id = 1 AND name = 'loss'", "differing"),
        ("UPDATE metric SET value = 0 WHERE attempt_id = 1 AND step = 3 AND name = 'loss'", "differing"),
        ("UPDATE metric SET step = 99 WHERE attempt_id = 1 AND step = 3", "doubled"),
        ("UPDATE attempt SET run_id = 1", "doubled"),
    ],
)
def test_what_is_not_as_it_was_is_counted(change, kind, reference, tmp_path):
    folder, expected = reference
    shutil.copytree(folder, tmp_path / "lab")
    lab = Lab(tmp_path / "lab", FUNCTION)
    assert not any(vars(difference(expected, lab)).values())
    with closing(sqlite3.connect(lab.db)) as connection, connection:
        connection.execute(change)
    assert getattr(difference(expected, lab), kind)


def test_a_changed_file_and_a_missing_one_are_counted(reference, tmp_path):
    folder, expected = reference
    shutil.copytree(folder, tmp_path / "lab")
    lab = Lab(tmp_path / "lab", FUNCTION)
    first, second, *_ = sorted(lab.artifacts.glob("*/files/*/last.npy"))
    first.write_bytes(first.read_bytes()[:-1] + b"x")
    second.unlink()
    counted = difference(expected, lab)
    assert (len(counted.differing), len(counted.lost), counted.doubled) == (1, 1, [])
    assert len(found(lab)) == len(expected) == 4


def test_tracebacks_orphans_and_hangs_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("chaos.lab._GRACE_S", 0.5)
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'])"
    for main, kind in (("1 / 0", "tracebacks"), (code, "orphans"), ("import time; time.sleep(99)", "hangs")):
        monkeypatch.setattr("chaos.lab._MAIN", main)
        lab = Lab(tmp_path / kind, FUNCTION, deadline_s=3.0)
        code = lab.grid().finish()
        assert {name for name, lines in vars(lab.toll).items() if lines} == {kind}
        assert not lab.processes()
    assert code == -signal.SIGKILL


def test_a_seed_gives_the_same_faults_and_the_whole_table():
    assert schedule(40, 1) == schedule(40, 1) != schedule(40, 2)
    assert {fault.name for fault, _ in schedule(len(FAULTS), 3)} == set(FAULTS)


def test_it_lists_its_faults_and_refuses_others():
    def chaos(*arguments):
        command = [sys.executable, "-m", "chaos", "--faults", "5", *arguments]
        environment = {"PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    listed, refused = chaos("--list"), chaos("--only", "6")
    assert (listed.returncode, len(listed.stdout.splitlines())) == (0, 6), listed.stderr
    assert refused.returncode == 2
    assert "from 1 to 5" in refused.stderr
