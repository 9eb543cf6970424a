"""What is resumed from is what was written: single flipped bits, files cut off, moments at which the machine stops."""

import pickle
import shutil
from dataclasses import replace
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np
import pytest
import torch

from harness.attempt.checkpoints import (
    CurveLength,
    Mark,
    Saved,
    UncheckedError,
    check_checkpoint,
    check_folder,
    has_checkpoint,
    sealed_open,
    take_over,
)
from harness.attempt.messages import (
    CHECKPOINT_FILE,
    CHECKPOINT_FOLDER,
    CURVE_FILE,
    MARK_FILE,
    REQUEST_FILE,
    Artifact,
    Point,
    curve_line,
)
from harness.base.errors import DamagedError
from harness.base.sealed import seal, sha256_of, unseal


def flips(content, step=1):
    """Yield a content with each of its bits flipped, or with every so manieth."""
    for bit in range(0, 8 * len(content), step):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)


@pytest.fixture
def network(tmp_path):
    """An attempt that left a network's checkpoint."""
    with sealed_open(tmp_path / CHECKPOINT_FILE) as file:
        torch.save({"weight": torch.arange(100.0)}, file)
    return tmp_path


def test_a_checkpoint_is_read_by_torch_with_its_checksum_behind_it(network):
    check_checkpoint(network)
    loaded = torch.load(network / CHECKPOINT_FILE, weights_only=True)
    assert torch.equal(loaded["weight"], torch.arange(100.0))
    with ZipFile(network / CHECKPOINT_FILE) as file:
        assert file.testzip() is None


def test_no_flipped_bit_of_a_checkpoint_passes(network):
    whole = (network / CHECKPOINT_FILE).read_bytes()
    for content in flips(whole, step=61):
        (network / CHECKPOINT_FILE).write_bytes(content)
        with pytest.raises(DamagedError) as caught:
            check_checkpoint(network)
        assert not isinstance(caught.value, UncheckedError)
    for content in (b"", b"rubbish", whole[:-1], whole[:-200], whole[: len(whole) // 2], whole + b"\n", bytes(500)):
        (network / CHECKPOINT_FILE).write_bytes(content)
        with pytest.raises(DamagedError) as caught:
            check_checkpoint(network)
        assert not isinstance(caught.value, UncheckedError)


def test_a_checkpoint_of_an_earlier_version_cannot_be_trusted_and_is_not_called_damaged(tmp_path):
    torch.save({"weight": torch.arange(100.0)}, tmp_path / CHECKPOINT_FILE)
    with pytest.raises(UncheckedError, match="an earlier version of harness wrote it, without checksums"):
        check_checkpoint(tmp_path)
    (tmp_path / CHECKPOINT_FILE).unlink()
    (tmp_path / CHECKPOINT_FOLDER).mkdir()
    (tmp_path / CHECKPOINT_FOLDER / "state").write_text("3")
    with pytest.raises(UncheckedError):
        check_checkpoint(tmp_path)
    (tmp_path / REQUEST_FILE).write_text('{"uid": "u"}')  # which an earlier version did not seal
    with pytest.raises(UncheckedError):
        check_checkpoint(tmp_path)


def test_a_mark_that_is_gone_is_missed(tmp_path):
    (tmp_path / CHECKPOINT_FOLDER).mkdir()
    (tmp_path / CHECKPOINT_FOLDER / "state").write_text("3")
    (tmp_path / REQUEST_FILE).write_text(seal({"uid": "u"}))
    with pytest.raises(DamagedError, match=r"^mark.json, with its checksums, is missing$") as caught:
        check_checkpoint(tmp_path)
    assert not isinstance(caught.value, UncheckedError)


POINTS = tuple(Point("train", "loss", step, 0.1 * step) for step in range(4))


@pytest.fixture
def function(tmp_path):
    """An attempt at a function that left a checkpoint after three points, one more point, and a file that it saved."""
    folder = tmp_path / "first"
    (folder / CHECKPOINT_FOLDER).mkdir(parents=True)
    (folder / CHECKPOINT_FOLDER / "state").write_bytes(b"state of three steps")
    (folder / "files").mkdir()
    (folder / "files" / "note.txt").write_text("noted")
    lines = [curve_line(point).encode() for point in POINTS]
    (folder / CURVE_FILE).write_bytes(b"".join(lines))
    note = Artifact("note", "files/note.txt", sha256_of(folder / "files" / "note.txt"), 5)
    mark = Mark(
        {"seed": 0},
        curve=CurveLength().with_more(b"".join(lines[:2])).with_more(lines[2]),
        files={"state": (sha256_of(folder / CHECKPOINT_FOLDER / "state"),)},
        saved=(Saved(note, "/somewhere/note.txt"),),
    )
    mark.write(folder)
    return folder


@pytest.mark.parametrize("name", [CURVE_FILE, MARK_FILE, f"{CHECKPOINT_FOLDER}/state", "files/note.txt"])
def test_no_flipped_bit_of_a_functions_files_passes(function, name):
    mark, whole = check_folder(function), (function / name).read_bytes()
    harmless = 0
    for content in flips(whole, step=9):
        (function / name).write_bytes(content)
        try:
            assert check_folder(function) == mark
        except DamagedError:
            continue
        harmless += 1  # an `e` of an exponent that became an `E`, behind what the mark is of
    assert harmless <= 2


def test_a_curve_behind_its_checkpoint_is_known(function):
    lines = (function / CURVE_FILE).read_bytes().splitlines(keepends=True)
    for kept in (lines[:2], [*lines[:2], lines[2][:-1]], []):
        (function / CURVE_FILE).write_bytes(b"".join(kept))
        with pytest.raises(DamagedError, match=r"its curve has [02] of the 3 points that it had"):
            check_checkpoint(function)
    (function / CURVE_FILE).unlink()
    with pytest.raises(DamagedError, match="its curve has 0 of the 3"):
        check_checkpoint(function)
    (function / CURVE_FILE).write_bytes(b"".join(lines[:3]) + lines[3][:-9])  # cut off behind it, as a crash does
    check_checkpoint(function)


def test_a_checkpoint_is_good_whenever_the_machine_stops_while_the_next_is_written(function):
    state = function / CHECKPOINT_FOLDER / "state"
    (function / CHECKPOINT_FOLDER / ".state.17-0123abcd.tmp").write_bytes(b"state of fo")
    check_checkpoint(function)
    (function / "new").write_bytes(b"state of four steps")
    mark = Mark.read(function).with_file("state", sha256_of(function / "new"))
    mark.write(function)  # stops before the new file takes its name ...
    check_checkpoint(function)
    (function / "new").rename(state)  # ... or after
    check_checkpoint(function)
    mark = mark.with_file("state", "f" * 64)
    assert len(mark.files["state"]) == 2
    state.write_bytes(b"state of three steps")  # which is two before the next
    mark.write(function)
    with pytest.raises(DamagedError, match="'state' is not what was written"):
        check_checkpoint(function)


def test_a_kept_file_is_good_whenever_the_machine_stops_while_it_is_replaced(function):
    old, mark = (function / "files" / "note.txt").read_bytes(), Mark.read(function)
    (function / "new.txt").write_text("noted anew")
    new = Artifact("note", "files/note.txt", sha256_of(function / "new.txt"), 10)
    mark.with_saved(Saved(new, "/somewhere/note.txt", was=mark.saved[0].artifact.sha256)).write(function)
    assert check_folder(function).saved == mark.saved
    (function / "new.txt").rename(function / "files" / "note.txt")
    assert check_folder(function).saved == (Saved(new, "/somewhere/note.txt"),)
    (function / "files" / "note.txt").write_bytes(old[:-1])
    with pytest.raises(DamagedError, match=r"'files/note.txt', which it had saved, is not what was written"):
        check_folder(function)


def test_a_file_that_the_function_has_removed_is_not_missed(function):
    mark = Mark.read(function)
    replace(mark, files={"step1": ("f" * 64,), **mark.files}).write(function)
    check_checkpoint(function)


@pytest.mark.parametrize("folder_too", [False, True])
def test_the_file_that_was_written_last_is_missed(function, folder_too):
    assert has_checkpoint(function)
    (function / CHECKPOINT_FOLDER / "state").unlink()
    if folder_too:
        (function / CHECKPOINT_FOLDER).rmdir()
    assert has_checkpoint(function), "there is something to be said of it"
    with pytest.raises(DamagedError, match="'state', which it had written, is missing"):
        check_checkpoint(function)


def test_after_an_orderly_stop_every_file_is_missed(function):
    mark = Mark.read(function)
    replace(mark, files={"step1": ("f" * 64,), **mark.files}, whole=True).write(function)
    with pytest.raises(DamagedError, match="'step1', which it had written, is missing"):
        check_checkpoint(function)


def test_a_first_checkpoint_that_was_still_to_take_its_name_is_not_missed(function):
    state = function / CHECKPOINT_FOLDER / "state"
    state.rename(state.with_name(".state.17-0123abcd.tmp"))
    assert not has_checkpoint(function)
    check_checkpoint(function)


def test_a_mark_that_lists_no_file_misses_none(function):
    replace(Mark.read(function), files={}).write(function)
    (function / CHECKPOINT_FOLDER / "state").unlink()
    assert not has_checkpoint(function)
    check_checkpoint(function)


def test_what_an_earlier_version_marked_is_not_missed(function):
    fields = unseal((function / MARK_FILE).read_text())
    (function / MARK_FILE).write_text(seal({k: v for k, v in fields.items() if k not in {"whole", "elsewhere"}}))
    check_checkpoint(function)
    shutil.rmtree(function / CHECKPOINT_FOLDER)  # as when another attempt has taken them over
    assert not has_checkpoint(function)


def test_a_mark_that_is_damaged_is_said_although_no_file_is_there(function):
    shutil.rmtree(function / CHECKPOINT_FOLDER)
    (function / MARK_FILE).write_text("{")
    assert has_checkpoint(function)
    with pytest.raises(DamagedError, match=r"mark\.json is not what was written"):
        check_checkpoint(function)


def test_what_cannot_be_looked_at_is_said(function, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(type(function), "iterdir", refuse)
    assert has_checkpoint(function)
    with pytest.raises(DamagedError, match=r"it cannot be read .*Permission denied"):
        check_checkpoint(function)


@pytest.mark.parametrize("save", ["torch", "npz", "zip"])
def test_a_file_that_the_function_wrote_by_itself_is_checked_by_its_crcs(function, save):
    path = function / CHECKPOINT_FOLDER / "own"
    if save == "torch":
        torch.save({"weight": torch.arange(100.0)}, path)
    elif save == "npz":
        with path.open("wb") as file:
            np.savez(file, weight=np.arange(100.0))
    else:
        with ZipFile(path, "w", ZIP_DEFLATED) as file:
            file.writestr("weight", bytes(range(100)) * 9)
    check_checkpoint(function)
    with ZipFile(path) as file:
        info = max(file.infolist(), key=lambda entry: entry.file_size)
    whole = path.read_bytes()
    begin = info.header_offset + 30 + len(info.filename) + (200 if info.compress_type == ZIP_STORED else 4)
    for place in range(begin, begin + 20):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(DamagedError, match="'own' is not what was written"):
            check_checkpoint(function)


def test_a_file_that_torch_wrote_without_crcs_is_not_judged_by_them(function):
    torch.serialization.set_crc32_options(compute_crc32=False)
    try:
        torch.save({"weight": torch.arange(100.0)}, function / CHECKPOINT_FOLDER / "own.pt")
    finally:
        torch.serialization.set_crc32_options(compute_crc32=True)
    check_checkpoint(function)


def test_what_is_no_zip_and_was_written_by_the_function_is_for_it_to_judge(function):
    (function / CHECKPOINT_FOLDER / "own.pkl").write_bytes(pickle.dumps([1])[:-3])
    check_checkpoint(function)


def test_taken_over_it_is_all_in_the_next_attempts_folder(function, tmp_path):
    folder = tmp_path / "second"
    folder.mkdir()
    mark = check_folder(function)
    shutil.copy(function / CURVE_FILE, folder)  # as the attempt writes it
    take_over(function, folder, mark)
    assert check_folder(folder) == mark
    assert (has_checkpoint(function), has_checkpoint(folder)) == (False, True)
    check_checkpoint(function)  # misses nothing
    assert (folder / "files" / "note.txt").read_text() == "noted"
    assert (folder / CHECKPOINT_FOLDER / "state").exists()
    assert not (function / CHECKPOINT_FOLDER).exists()
    assert (function / "files" / "note.txt").exists(), "the earlier attempt may be stored with it"


class StoppedError(Exception):
    """The machine stops."""


@pytest.mark.parametrize("step", range(4))
def test_whenever_the_machine_stops_while_it_is_taken_over_one_has_it_and_none_misses_it(
    function, tmp_path, monkeypatch, step
):
    folder, steps = tmp_path / "second", iter(range(4))
    folder.mkdir()
    mark = check_folder(function)
    shutil.copy(function / CURVE_FILE, folder)

    def until_it_stops(do):
        def step_or_stop(*arguments):
            if next(steps) == step:
                raise StoppedError
            return do(*arguments)

        return step_or_stop

    with monkeypatch.context() as patch:
        patch.setattr(Mark, "write", until_it_stops(Mark.write))
        patch.setattr(type(folder), "rename", until_it_stops(type(folder).rename))
        with pytest.raises(StoppedError):
            take_over(function, folder, mark)
    assert [has_checkpoint(each) for each in (function, folder)] == [step < 3, step == 3]
    check_checkpoint(function)
    check_checkpoint(folder)
    (left,) = tmp_path.glob(f"*/{CHECKPOINT_FOLDER}/state")
    third = tmp_path / "third"
    third.mkdir()
    shutil.copy(function / CURVE_FILE, third)
    take_over(left.parents[1], third, check_folder(left.parents[1]))
    (third / CHECKPOINT_FOLDER / "state").unlink()
    with pytest.raises(DamagedError, match="is missing"):
        check_checkpoint(third)


def test_what_was_seen_at_a_stop_may_be_written_anew_by_the_next_attempt(function, tmp_path):
    own = function / CHECKPOINT_FOLDER / "own.pkl"
    own.write_bytes(b"one")
    mark = Mark.read(function)
    Mark(mark.compatible, mark.curve, {**mark.files, "own.pkl": (sha256_of(own),)}, ("own.pkl",)).write(function)
    own.write_bytes(b"two")
    with pytest.raises(DamagedError, match=r"'own.pkl' is not what was written"):
        check_checkpoint(function)
    own.write_bytes(b"one")
    folder = tmp_path / "second"
    folder.mkdir()
    shutil.copy(function / CURVE_FILE, folder)
    take_over(function, folder, check_folder(function))
    (folder / CHECKPOINT_FOLDER / "own.pkl").write_bytes(b"two")
    check_checkpoint(folder)


def test_a_file_that_was_written_again_must_be_there_and_an_older_one_need_not():
    mark = Mark({}).with_file("step-1", "a").with_file("losses", "b").with_file("step-2", "c").with_file("losses", "d")
    assert mark.wanted == ("losses",)
    assert mark.with_file("step-3", "e").wanted == ("losses", "step-3")
