"""Failures of the environment are told from those of the code, whatever a library makes of them."""

import errno
import os

import numpy as np
import pytest

from harness.base.errors import HarnessError, environment_failure, in_a_line

FULL = "/dev/full"  # a device on which there is never any room


def write_by_numpy():
    with open(FULL, "wb") as file:  # noqa: PTH123
        np.save(file, np.zeros(100_000))


def write_by_torch_into_a_file():
    torch = pytest.importorskip("torch")
    with open(FULL, "wb") as file:  # noqa: PTH123
        torch.save(torch.zeros(100_000), file)


def write_by_torch():
    torch = pytest.importorskip("torch")
    torch.save(torch.zeros(100_000), FULL)


def write_text():
    with open(FULL, "w") as file:  # noqa: PTH123
        file.write("x")


def wrap():
    try:
        write_text()
    except OSError as error:
        raise HarnessError("the data cannot be cached") from error


@pytest.mark.parametrize(
    "write",
    [write_text, write_by_numpy, write_by_torch_into_a_file, write_by_torch, wrap],
    ids=["Python", "NumPy", "torch into a file", "torch by a path", "raised from it"],
)
def test_a_full_disk(write):
    with pytest.raises((OSError, RuntimeError, HarnessError)) as caught:
        write()
    assert environment_failure(caught.value)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
def test_by_their_number_and_by_their_words(number):
    assert environment_failure(OSError(number, "words"))
    assert environment_failure(OSError(f"Unable to write (errno = {number}, error message = '{os.strerror(number)}')"))


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOENT, "No such file or directory"),
        OSError("the disk is gone"),
        ValueError("No space left on device"),
        RuntimeError("PytorchStreamReader failed reading zip archive: failed finding central directory"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        HarnessError("Permission denied"),
        MemoryError(),
    ],
    ids=str,
)
def test_what_is_no_failure_of_the_environment(error):
    assert not environment_failure(error)


def raises(_):
    raise SystemExit(3)


class Trick(str):  # noqa: SLOT000 - a text that is none
    def __getitem__(self, _):
        raise KeyboardInterrupt


HOSTILE = {"__str__": raises}, {"__str__": lambda _: 3}, {"__str__": lambda _: Trick("x")}, {"__getattribute__": raises}


@pytest.mark.parametrize("base", [BaseException, RuntimeError, OSError, HarnessError])
@pytest.mark.parametrize("methods", HOSTILE)
def test_an_error_that_cannot_be_looked_at_has_a_name_and_is_the_codes(base, methods):
    error = type("Mute\nError", (base,), methods)("x")
    words = in_a_line(error)
    assert words.startswith("Mute Error: ") != (base is HarnessError)
    assert words.isprintable()
    assert not environment_failure(error)


def test_causes_without_an_end_are_no_failure_of_the_environment():
    one, other = RuntimeError(), RuntimeError()
    one.__cause__, other.__cause__ = other, one
    assert not environment_failure(one)
