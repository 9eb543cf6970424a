"""A result that cannot be stored is its attempt's failure: it stops no other attempt and no later call."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from harness.attempt.messages import LOCK_FILE
from harness.base.locks import hold
from harness.base.sealed import seal, unseal
from harness.execution import intake
from harness.execution.intake import recover, take_in
from harness.store.connection import open_store
from harness.store.verify import verify

CODE = """\
def run(context, *, split="returned", step=1):
    context.report(step, split=split or None, loss=1.0)
    return {"score": 1.0}
"""
STUDY = """\
study: reports
task: function
target: fn.py:run
metrics: {score: maximize}
seeds: [0]
execution: {threads: 1}
trials:
"""


def write(lab, *trials):
    (lab.folder / "fn.py").write_text(CODE)
    lines = [f"  - {{name: {name}, arguments: {json.dumps(arguments)}}}\n" for name, arguments in trials]
    (lab.folder / "study.yml").write_text(STUDY + "".join(lines))


def test_what_the_tables_refuse_fails_alone_and_blocks_nothing(lab):
    write(lab, ("nameless", {"split": ""}), ("nameless too", {"split": "", "step": 2}), ("sound", {}))
    first = lab.grid()
    assert first.code == 1
    assert "nameless, seed 0: failed (its result cannot be stored: IntegrityError: NOT NULL" in first.err
    assert "nameless too, seed 0: failed (its result cannot be stored: IntegrityError: NOT NULL" in first.err
    assert "in all 1 done, 0 left, 2 held (2 failed)" in first.out
    assert lab.query("SELECT error_kind FROM attempt WHERE state = 'failed'") == [
        ("IntegrityError",),
        ("IntegrityError",),
    ]
    assert lab.query("SELECT count(*) FROM metric") == [(1,)], "nothing of what was refused is left"
    with closing(sqlite3.connect(lab.db)) as connection, connection:  # as if the driver had died before it took them in
        connection.execute("UPDATE attempt SET state = 'running', ended = NULL WHERE state = 'failed'")
    second = lab.grid()
    assert second.out == "nothing to do: 1 done, 0 left, 2 held (2 failed)\n"
    assert lab.states() == ["failed", "failed", "done"]


@pytest.fixture(scope="module")
def once(new_lab):
    """A store with one attempt that ended well, marked as running: its driver has died."""
    lab = new_lab()
    write(lab, ("sound", {}))
    assert lab.grid().code == 0
    with closing(sqlite3.connect(lab.db)) as connection, connection:
        for table in ("metric", "result", "measure", "sample", "artifact"):
            connection.execute(f"DELETE FROM {table}")  # noqa: S608
        connection.execute("UPDATE attempt SET state = 'running', ended = NULL, env_id = NULL")
    return lab


@pytest.fixture
def left(once, lab):
    """The same in a folder of its own, with the uid of the attempt."""
    shutil.copytree(once.folder / "results", lab.folder / "results")
    ((uid,),) = lab.query("SELECT uid FROM attempt")
    return lab, uid


def changed(**fields):
    """Return a function that writes a result anew, with other fields and their checksum."""

    def change(path):
        path.write_text(seal({**unseal(path.read_text()), **fields}))

    return change


def unsealed(path):
    """Write a result with another number and the old checksum."""
    path.write_text(path.read_text().replace('"curve": 1', '"curve": 0'))


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("file", "damage", "state", "words"),
    [
        ("curve.jsonl", flipped, "lost", "its result is damaged: line curve.jsonl:1 is not "),
        ("curve.jsonl", lambda path: path.write_text("{]\n"), "lost", "line curve.jsonl:1 is not a point"),
        ("curve.jsonl", lambda path: path.write_text('{"step": 1}\n'), "lost", "line curve.jsonl:1 is not a point"),
        ("curve.jsonl", lambda path: path.write_bytes(b"\xff\n"), "lost", "line curve.jsonl:1 is not a point"),
        ("curve.jsonl", lambda path: path.write_text(""), "lost", "its curve has 0 of 1 points"),
        ("curve.jsonl", lambda path: path.unlink(), "lost", "its curve has 0 of 1 points"),
        ("result.json", flipped, "lost", "its result is damaged: it"),
        ("result.json", lambda path: path.write_text(""), "lost", "it is not JSON"),
        ("result.json", lambda path: path.write_bytes(b"\xff"), "lost", "UnicodeDecodeError: "),
        ("result.json", lambda path: path.write_text("[" * 10**5), "lost", "it is not JSON"),
        ("result.json", lambda path: path.write_text("[]"), "lost", "it is not a JSON object"),
        ("result.json", lambda path: path.write_text("{}"), "lost", "KeyError: 'results'"),
        ("result.json", changed(state="well"), "failed", "cannot be stored: IntegrityError: CHECK"),
        ("result.json", changed(execution=[]), "failed", "cannot be stored: AttributeError: "),
        ("result.json", changed(ended={}), "failed", "TypeError: "),
        ("result.json", changed(uid="another"), "failed", "ValueError: it is that of attempt another"),
    ],
)
def test_a_damaged_result_is_lost_and_one_that_cannot_be_stored_is_a_failure(left, file, damage, state, words):
    lab, uid = left
    damage(lab.artifacts / uid / file)
    with open_store(lab.db) as store:
        assert recover(store, lab.artifacts) == 1
    ((ended, error),) = lab.query("SELECT state, error FROM attempt")
    assert (ended, words in error) == (state, True), error
    assert error.startswith("its result ")
    assert "\n" not in error
    assert lab.query("SELECT count(*) FROM metric") == [(0,)]


@pytest.mark.parametrize("state", ["running", "lost"])
@pytest.mark.parametrize(
    ("file", "damage", "words"),
    [
        ("curve.jsonl", flipped, "line curve.jsonl:1 is not "),
        ("curve.jsonl", Path.unlink, "its curve has 0 of 1 points"),
        ("result.json", unsealed, "its checksum is not that of its contents"),
        ("result.json", changed(uid="other"), "it is that of attempt other"),
    ],
)
def test_verify_names_a_result_that_is_still_to_be_taken_in_and_is_damaged(left, state, file, damage, words):
    lab, uid = left
    if state == "lost":
        execute(lab, "UPDATE attempt SET state = 'lost', ended = started")
    assert verify([lab.db]).faults == []
    damage(lab.artifacts / uid / file)
    (fault,) = verify([lab.db]).faults
    assert fault.startswith(f"{lab.artifacts / uid}: the result of attempt {uid} is damaged, and not taken in: {words}")
    assert fault.endswith("; `harness run grid FILE` makes its run again")
    with hold(lab.artifacts / uid / LOCK_FILE):  # it has not ended
        assert verify([lab.db]).faults == []


def test_a_damaged_result_is_said_by_the_next_call_and_made_again_and_then_it_is_no_fault(left, caplog):
    lab, uid = left
    unsealed(lab.artifacts / uid / "result.json")
    write(lab, ("sound", {}))
    assert lab.grid().code == 0
    said = f"its result is damaged: its checksum is not that of its contents (in {lab.artifacts / uid}); "
    assert said + "its run is made again" in caplog.text
    assert "DamagedError" not in caplog.text
    assert (lab.states(), verify([lab.db]).faults) == (["lost", "done"], [])


def test_verify_names_a_result_that_cannot_be_read(left):
    lab, uid = left
    (lab.artifacts / uid / "result.json").unlink()
    (lab.artifacts / uid / "result.json").mkdir()
    (fault,) = verify([lab.db]).faults
    assert fault == f"{lab.artifacts / uid}: the result of attempt {uid} cannot be read (Is a directory)"


def test_what_is_in_the_way_of_the_store_is_raised_and_the_result_waits(left, monkeypatch):
    lab, uid = left

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    with open_store(lab.db) as store, monkeypatch.context() as patch:
        patch.setattr(intake, "finish_attempt", full)
        with pytest.raises(sqlite3.OperationalError, match="disk is full"):
            recover(store, lab.artifacts)
    assert lab.states() == ["running"]
    with open_store(lab.db) as store:
        taken = take_in(store, uid, lab.artifacts / uid, without=("lost", "it died"))
    assert (taken.state, taken.error, lab.states()) == ("done", None, ["done"])


def test_an_interruption_may_have_another_name(left):
    lab, uid = left
    changed(state="interrupted")(lab.artifacts / uid / "result.json")
    with open_store(lab.db) as store:
        take_in(store, uid, lab.artifacts / uid, without=("lost", "it died"), interrupted="pruned")
    assert lab.states() == ["pruned"]


def test_an_interruption_by_a_failure_of_the_environment_has_no_other_name(left):
    lab, uid = left
    full = {"error_kind": "OSError", "error": "OSError: [Errno 28] No space left on device"}
    changed(state="interrupted", **full)(lab.artifacts / uid / "result.json")
    with open_store(lab.db) as store:
        take_in(store, uid, lab.artifacts / uid, without=("lost", "it died"), interrupted="pruned")
    assert lab.states() == ["interrupted"]


def test_without_a_result_it_ends_as_is_said(left):
    lab, uid = left
    (lab.artifacts / uid / "result.json").unlink()
    with open_store(lab.db) as store:
        taken = take_in(store, uid, lab.artifacts / uid, without=("timeout", "it took too long"))
    assert (taken.state, taken.error, taken.result) == ("timeout", "it took too long", None)
    assert lab.query("SELECT state, error_kind, error FROM attempt") == [("timeout", "timeout", "it took too long")]


def execute(lab, sql, *parameters):
    with closing(sqlite3.connect(lab.db)) as connection, connection:
        connection.execute(sql, parameters)


def test_a_result_that_came_after_its_attempt_was_lost_is_taken_in(left):
    lab, _ = left
    execute(lab, "UPDATE attempt SET state = 'lost', error = 'its driver or worker died', ended = started")
    with open_store(lab.db) as store:
        assert recover(store, lab.artifacts) == 1
        assert recover(store, lab.artifacts) == 0
    assert lab.query("SELECT state, error FROM attempt") == [("done", None)]
    assert lab.query("SELECT count(*) FROM result") == [(1,)]


def test_a_lost_attempt_stays_lost_without_a_result_that_can_be_stored(left):
    lab, uid = left
    execute(lab, "UPDATE attempt SET state = 'lost', ended = started")
    (lab.artifacts / uid / "result.json").write_text("")
    with open_store(lab.db) as store:
        recover(store, lab.artifacts)
        (lab.artifacts / uid / "result.json").unlink()
        assert recover(store, lab.artifacts) == 0
    assert lab.states() == ["lost"]


def add_earlier(lab, uid, *, like, resumed_from=None, run="run_id"):
    """Add an attempt that was lost, with a checkpoint and half of a next one, and return the two files."""
    execute(
        lab,
        f"""INSERT INTO attempt
            (uid, run_id, kind, state, resumed_from, device, threads, exclusive, execution_json, started, ended)
        SELECT ?, {run}, kind, 'lost', ?, device, threads, exclusive, execution_json, started, started
        FROM attempt WHERE uid = ?""",  # noqa: S608
        uid,
        resumed_from,
        like,
    )
    return leave_checkpoints(lab.artifacts / uid)


def leave_checkpoints(folder):
    folder.mkdir(exist_ok=True)
    files = [folder / "checkpoint.pt", folder / ".checkpoint.pt.17-0123abcd.tmp"]
    for file in files:
        file.touch()
    return files


def test_checkpoints_that_led_to_a_good_end_are_removed_and_no_others(left):
    lab, uid = left
    needless = [
        *leave_checkpoints(lab.artifacts / uid),
        *add_earlier(lab, "b", like=uid, resumed_from="a"),
        *add_earlier(lab, "a", like=uid, resumed_from="b"),  # in a circle, which a damaged store may hold
    ]
    execute(lab, "INSERT INTO run (trial_id, seed) SELECT trial_id, 9 FROM run")
    kept = [
        *add_earlier(lab, "aside", like=uid),
        *add_earlier(lab, "of another run", like=uid, run="run_id + 1"),
        *leave_checkpoints(lab.artifacts / "unknown"),
    ]
    changed(resumed_from="b")(lab.artifacts / uid / "result.json")
    with open_store(lab.db) as store:
        take_in(store, uid, lab.artifacts / uid, without=("lost", "it died"))
    assert [file for file in needless if file.exists()] == []
    assert all(file.exists() for file in kept)
    assert (lab.artifacts / uid / "result.json").exists()


@pytest.mark.parametrize("name", ["of another run", "../artifacts/unknown", "b"])
def test_checkpoints_stay_where_an_attempt_went_on_from_something_else_or_runs(left, name):
    lab, uid = left
    execute(lab, "INSERT INTO run (trial_id, seed) SELECT trial_id, 9 FROM run")
    files = [
        *add_earlier(lab, "of another run", like=uid, run="run_id + 1"),
        *leave_checkpoints(lab.artifacts / "unknown"),
    ]
    files += add_earlier(lab, "b", like=uid)
    changed(resumed_from=name)(lab.artifacts / uid / "result.json")
    with open_store(lab.db) as store, hold(lab.artifacts / "b" / "lock"):
        take_in(store, uid, lab.artifacts / uid, without=("lost", "it died"))
    assert all(file.exists() for file in files)


@pytest.mark.parametrize("state", ["interrupted", "failed"])
def test_checkpoints_of_what_may_go_on_stay(left, state):
    lab, uid = left
    files = [*leave_checkpoints(lab.artifacts / uid), *add_earlier(lab, "b", like=uid)]
    changed(state=state, resumed_from="b")(lab.artifacts / uid / "result.json")
    with open_store(lab.db) as store:
        take_in(store, uid, lab.artifacts / uid, without=("lost", "it died"))
    assert all(file.exists() for file in files)
