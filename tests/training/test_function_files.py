"""What a person's own function leaves in its attempt's folder: damaged, behind, saved, and taken over by the next."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from harness.attempt.messages import CHECKPOINT_FOLDER, CURVE_FILE, MARK_FILE, read_curve
from harness.training.curve import Curve

COUNTS = """
import json
import time

def run(context, *, upto=6, stops_at=3, own=False):
    done, total = 0, 0.0
    if folder := context.resume():
        done, total = json.loads((folder / "state").read_text())
    for step in range(done, upto):
        total += float(context.rng("draw", step).random())
        context.report(step, total=total)
        state = json.dumps([step + 1, total])
        if own:
            (context.checkpoints / "state").write_text(state)
        else:
            with context.checkpoint("state") as file:
                file.write(state.encode())
        if step == stops_at and context.should_stop():
            return None
    return {"accuracy": total}
"""


def flip(path, bit):
    content = bytearray(path.read_bytes())
    content[bit // 8 % len(content)] ^= 1 << bit % 8
    path.write_bytes(content)


def found(result):
    return (result.state, result.results, result.curve)


@pytest.mark.parametrize("own", [False, True], ids=["by context.checkpoint", "by itself"])
@pytest.mark.parametrize("name", [f"{CHECKPOINT_FOLDER}/state", CURVE_FILE, MARK_FILE])
@pytest.mark.parametrize("bit", [3, 77, 101])
def test_a_flipped_bit_means_a_fresh_start_that_is_said(ask_function, tmp_path, name, own, bit):
    undisturbed = ask_function(COUNTS, own=own)
    first = ask_function(COUNTS, own=own, stop=True)
    assert (first.state, len(first.curve)) == ("interrupted", 4)
    flip(tmp_path / first.uid / name, bit)
    second = ask_function(COUNTS, own=own, resume=first.uid)
    assert found(second) == found(undisturbed)
    assert second.resumed_from is None
    (note,) = second.notes
    assert note.startswith("the checkpoint is damaged (")
    assert note.endswith("): it started afresh")


def test_a_curve_behind_its_checkpoint_means_a_fresh_start_that_is_said(ask_function, tmp_path):
    first = ask_function(COUNTS, stop=True)
    curve = tmp_path / first.uid / CURVE_FILE
    curve.write_text("".join(curve.read_text().splitlines(keepends=True)[:2]))  # as after a power loss
    second = ask_function(COUNTS, resume=first.uid)
    assert second.notes == (
        "the checkpoint is damaged (its curve has 2 of the 4 points that it had): it started afresh",
    )
    assert [point.step for point in second.curve] == list(range(6))


@pytest.mark.parametrize("own", [False, True], ids=["by context.checkpoint", "by itself"])
@pytest.mark.parametrize("folder_too", [False, True])
def test_a_checkpoint_that_is_gone_means_a_fresh_start_that_is_said(ask_function, tmp_path, own, folder_too):
    first = ask_function(COUNTS, own=own, stop=True)
    folder = tmp_path / first.uid / CHECKPOINT_FOLDER
    shutil.rmtree(folder)
    if not folder_too:
        folder.mkdir()
    second = ask_function(COUNTS, own=own, resume=first.uid)
    said = "the checkpoint is damaged ('state', which it had written, is missing): it started afresh"
    assert (second.resumed_from, second.notes) == (None, (said,))
    assert [point.step for point in second.curve] == list(range(6))


REMOVES = """
def run(context, *, last=False, fails=True):
    fails = fails and not context.resume()
    for step in range(3):
        with context.checkpoint(f"step{step}") as file:
            file.write(b"x")
        if step or last:
            (context.checkpoints / f"step{step - 1 + last}").unlink()
    if fails:
        raise OSError(28, "No space left on device")
    return None if context.should_stop() else {"accuracy": 1}
"""


def test_older_checkpoints_that_the_function_has_removed_are_not_missed(ask_function):
    first = ask_function(REMOVES)
    assert first.state == "interrupted"
    assert ask_function(REMOVES, resume=first.uid).resumed_from == first.uid


def test_what_the_function_has_removed_before_it_stopped_is_not_missed(ask_function):
    first = ask_function(REMOVES, last=True, fails=False, stop=True)
    assert first.state == "interrupted"
    second = ask_function(REMOVES, last=True, fails=False, resume=first.uid)
    assert (second.resumed_from, second.notes) == (None, ())


def test_undamaged_it_resumes_without_a_word(ask_function):
    undisturbed = ask_function(COUNTS)
    first = ask_function(COUNTS, stop=True)
    second = ask_function(COUNTS, resume=first.uid)
    assert found(second) == found(undisturbed)
    assert (second.resumed_from, second.notes) == (first.uid, ())


def test_the_curve_is_durable_before_the_checkpoint_that_counts_on_it(ask_function, monkeypatch):
    done = []
    sync, replaced = os.fsync, Path.replace

    def fsync(descriptor):
        done.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    def replace(path, target):
        done.append(f"-> {Path(target).name}")
        return replaced(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    ask_function(COUNTS, upto=1)
    curve, mark, state = (done.index(name, 2) for name in (CURVE_FILE, f"-> {MARK_FILE}", "-> state"))
    last_mark = len(done) - 1 - done[::-1].index(f"-> {MARK_FILE}")
    assert curve < mark <= last_mark < state


def test_a_point_that_a_full_disk_cuts_off_is_not_there_and_the_next_may_follow(tmp_path, monkeypatch):
    curve = Curve(tmp_path)
    curve.add("train", "loss", 0, 0.5)
    whole = (tmp_path / CURVE_FILE).read_bytes()
    opened = Path.open

    class Full:
        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            return self.file.write(data[:9])

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda path, *a, **k: Full(opened(path, *a, **k)))
        with pytest.raises(OSError, match="No space left") as caught:
            curve.add("train", "loss", 1, 0.4)
    assert caught.value.errno == errno.ENOSPC
    assert (tmp_path / CURVE_FILE).read_bytes() == whole
    curve.add("train", "loss", 2, 0.3)
    assert [point.step for point in read_curve(tmp_path / CURVE_FILE)] == [0, 2] == [p.step for p in curve.points]


def test_points_of_a_child_process_count(ask_function):
    code = """
import os

def run(context):
    context.report(0, loss=1)
    child = os.fork()
    if not child:
        context.report(1, loss=2)
        os._exit(0)
    os.waitpid(child, 0)
    with context.checkpoint("state") as file:
        file.write(b"x")
    context.report(2, loss=3)
    return None if context.should_stop() else {"accuracy": 1}
"""
    first = ask_function(code, stop=True)
    assert [point.step for point in first.curve] == [0, 1, 2]
    second = ask_function(code, resume=first.uid)
    assert (second.resumed_from, second.notes) == (first.uid, ())


SAVES = """
from pathlib import Path

def run(context, *, folder, fails=False):
    folder = Path(folder)
    if not context.resume():
        (context.checkpoints / "best.pt").write_text("the best")
        context.save("weights", context.checkpoints / "best.pt")
        for name in ("a", "b"):
            (folder / name).mkdir(exist_ok=True)
            (folder / name / "plot.png").write_text(f"plot {name}")
            context.save("plot", folder / name / "plot.png")
            context.save("other plot", folder / name / "plot.png")
        (folder / "last.txt").write_text("first")
        context.save("last", folder / "last.txt")
        with context.checkpoint("state") as file:
            file.write(b"1")
        (folder / "late.txt").write_text("late")
        context.save("late", folder / "late.txt")
        if fails:
            raise OSError(28, "No space left on device")
    (folder / "last.txt").write_text("second, longer")
    context.save("last", folder / "last.txt")
    (folder / "late.txt").unlink()
    (folder / "late.txt").write_text("late")
    context.save("late", folder / "late.txt")
    (folder / "last.txt").unlink()
    return {"accuracy": 1}
"""
SAVED = {
    ("weights", "files/weights/best.pt"): "the best",
    ("plot", "files/plot/plot.png"): "plot a",
    ("plot", "files/plot/plot-2.png"): "plot b",
    ("other plot", "files/other plot/plot.png"): "plot a",
    ("other plot", "files/other plot/plot-2.png"): "plot b",
    ("last", "files/last/last.txt"): "second, longer",
    ("late", "files/late/late.txt"): "late",
}


def saved(result, folder):
    return {(a.kind, a.path): (folder / result.uid / a.path).read_text() for a in result.artifacts}


def test_what_is_saved_is_copied_at_once_each_under_its_own_name(ask_function, tmp_path):
    result = ask_function(SAVES, folder=str(tmp_path))
    assert (result.state, result.error) == ("done", None)
    assert saved(result, tmp_path) == SAVED
    assert all(
        a.bytes == (tmp_path / result.uid / a.path).stat().st_size == len(SAVED[a.kind, a.path])
        for a in result.artifacts
    )


def test_what_was_saved_before_a_failure_belongs_to_the_run_that_resumes(ask_function, tmp_path):
    first = ask_function(SAVES, folder=str(tmp_path), fails=True)
    assert (first.state, first.error_kind, first.artifacts) == ("interrupted", "OSError", ())
    again = {"folder": str(tmp_path), "fails": True}
    second = ask_function(SAVES, resume=first.uid, **again)
    assert (second.state, second.resumed_from, second.notes) == ("done", first.uid, ())
    assert saved(second, tmp_path) == SAVED


def test_a_damaged_saved_file_means_a_fresh_start_that_is_said(ask_function, tmp_path):
    arguments = {"folder": str(tmp_path), "fails": True}
    first = ask_function(SAVES, **arguments)
    flip(tmp_path / first.uid / "files" / "plot" / "plot.png", 9)
    second = ask_function(SAVES, resume=first.uid, **arguments)  # fails once more, as it is fresh
    assert (second.state, second.resumed_from) == ("interrupted", None)


@pytest.mark.parametrize("kind", ["../../x", "a/b", "..", "/abs", "naïve", "x" * 9, "C:\\x"])
def test_a_kind_of_any_words_stays_in_the_folder(ask_function, tmp_path, kind):
    code = f"def run(context):\n    context.save({kind!r}, __file__)\n    return {{'accuracy': 1}}\n"
    result = ask_function(code)
    (kept,) = result.artifacts
    assert kept.kind == kind
    path = tmp_path / result.uid / kept.path
    assert path.is_file()
    assert path.resolve().is_relative_to((tmp_path / result.uid / "files").resolve())


@pytest.mark.parametrize("kind", ["''", "None", "3"])
def test_a_kind_is_a_word(ask_function, kind):
    result = ask_function(f"def run(context):\n    context.save({kind}, __file__)\n    return {{'accuracy': 1}}\n")
    assert result.error.startswith("save takes what kind of file it is, a word, not ")


@pytest.mark.parametrize(
    ("kind", "words"), [("a\x1b[2Jb", "control character \\x1b"), ("a\nb", "\\n"), (" ", "is empty")]
)
def test_a_kind_can_be_shown_and_published(ask_function, kind, words):
    result = ask_function(f"def run(context):\n    context.save({kind!r}, __file__)\n    return {{'accuracy': 1}}\n")
    assert result.error.startswith("a file cannot be of the kind '")
    assert result.error.endswith(words)


def test_a_context_can_be_sent_to_another_process(ask_function):
    code = """
import pickle

def run(context):
    other = pickle.loads(pickle.dumps(context))
    other.report(0, loss=1)
    with other.checkpoint("state") as file:
        file.write(b"x")
    return {"accuracy": other.seed_for("a") == context.seed_for("a")}
"""
    result = ask_function(code)
    assert (result.error, len(result.curve)) == (None, 1)


def test_several_threads_write_checkpoints_and_save_at_the_same_time(ask_function):
    code = """
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

def run(context):
    def write(number):
        for step in range(3):
            context.report(step, **{f"m{number}": step})
            with context.checkpoint(f"rank{number}") as file:
                file.write(bytes([number, step]))
        context.save(f"kind{number}", context.checkpoints / f"rank{number}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    return None if context.should_stop() else {"accuracy": 1}
"""
    first = ask_function(code, stop=True)
    assert (first.state, len(first.curve), len(first.artifacts)) == ("interrupted", 12, 4)
    second = ask_function(code, resume=first.uid)
    assert (second.state, second.resumed_from, second.notes) == ("done", first.uid, ())
