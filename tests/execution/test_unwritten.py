"""What cannot be said stops nothing that runs: a log on a full disk, a pipe that nobody reads any more."""

import errno
import io
import sys

import pytest

from harness.cli.terminal import guarded
from harness.execution.driver import run_grid
from harness.execution.lines import Lines, to_stderr
from harness.execution.options import Options
from harness.study.study import load_study

CODE = """
def run(context, *, how):
    context.report(1, m=1)
    return {"m": 1}
"""


@pytest.fixture
def lab(lab):
    return lab.own(CODE, "a", "b")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/dev/full is Linux's")
@pytest.mark.parametrize(("streams", "code"), [(">/dev/full 2>&1", 2), ("2>/dev/full", 0)], ids=["both", "stderr"])
def test_a_grid_ends_if_its_log_is_on_a_full_disk(lab, streams, code):
    """What was asked for on stdout and is not there is an error; the log is not."""
    ended = lab.finish(lab.start("run", "grid", "study.yml", streams=streams), timeout=60)
    assert (ended.code, lab.states()) == (code, ["done", "done"])
    assert ended.out.strip() == ("" if code else "this call: 2 done; in all 2 done, 0 left, 0 held")


class Broken(io.StringIO):
    """A stream that takes nothing."""

    def __init__(self, error):
        super().__init__()
        self.error = error
        self.asked = 0

    def write(self, _):
        self.asked += 1
        raise self.error

    def flush(self):
        raise self.error


ERRORS = [
    OSError(errno.ENOSPC, "No space left on device"),
    BrokenPipeError(errno.EPIPE, "Broken pipe"),
    ValueError("closed"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_line_that_stderr_does_not_take_is_no_error(monkeypatch, error):
    stream = Broken(error)
    monkeypatch.setattr(sys, "stderr", stream)
    to_stderr("a line")
    with guarded():
        print("a line", file=sys.stderr, flush=True)
    assert stream.asked >= 2


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_what_stdout_does_not_take_is_an_error(monkeypatch, error):
    monkeypatch.setattr(sys, "stdout", Broken(error))
    with guarded(), pytest.raises(type(error)):
        print("a result")


def test_a_display_that_fails_is_told_on_and_hinders_nothing(lab):
    """Whatever display it is: also one of another program."""
    told = []

    def say(line):
        told.append(line)
        if len(told) > 20:
            raise KeyboardInterrupt  # it would wait forever
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    options = Options(db=lab.db, data_root=lab.folder, executor="in-process")
    with Lines(say) as display:
        summary = run_grid([load_study(lab.folder / "study.yml")], options, display)
    assert (summary.hindrance, lab.states()) == (None, ["done", "done"])
    assert [line.rpartition(": ")[2].partition(",")[0] for line in told if "step" not in line] == ["begins", "done"] * 2
