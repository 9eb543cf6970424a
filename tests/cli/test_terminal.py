"""Names, errors and paths never make a terminal do anything; files and JSON keep them as they are."""

import io
import json
import os
import pty
import subprocess
import sys

import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.cli.terminal import Guarded
from harness.execution.lines import Lines
from harness.spec.errors import printable

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31mpool\u202e\x7f"
SHOWN = "\\x1b]0;owned\\x07\\x1b[2J\\x9b31mpool\\u202e\\x7f"
FUNCTION = """
def run(context, *, x='a'):
    if x == 'b':
        raise ValueError('bad \\x1b[31m' + x)
    return {'m': 1.0}
"""


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def evil(tmp_path, monkeypatch):
    """A store in which a trial's name, an argument and an error hold escape sequences."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.py").write_text(FUNCTION)
    trials = [{"name": EVIL}, {"name": f"fails {EVIL}", "arguments": {"x": "b"}}]
    study = {"study": "evil", "task": "function", "target": "f.py:run", "metrics": {"m": "maximize"}, "seeds": [0]}
    (tmp_path / "study.yml").write_text(json.dumps({**study, "execution": {"threads": 1}, "trials": trials}))
    done = CliRunner().invoke(main, ["run", "grid", "study.yml"])
    assert done.exit_code == 1, done.stderr
    return done


def test_a_text_is_shown_and_its_lines_and_tabs_stay():
    assert printable(EVIL) == SHOWN
    assert printable("a\n\tb é σ 🦊 \\x1b") == "a\n\tb é σ 🦊 \\x1b"


def test_a_guarded_stream_is_a_stream():
    terminal, file = Terminal(), io.StringIO()
    for stream, text in ((terminal, SHOWN), (file, EVIL)):
        guarded = Guarded(stream, always=False)
        print(EVIL, file=guarded, end="")
        assert (stream.getvalue(), guarded.isatty()) == (text, stream.isatty())
    with pytest.raises(TypeError):
        Guarded(terminal, always=True).write(b"")


def test_what_runs_is_named_on_stderr_without_escape_sequences(evil):
    assert f"{SHOWN}, seed 0: begins" in evil.stderr
    assert "bad \\x1b[31mb" in evil.stderr
    assert "\x1b" not in evil.stderr
    said = []
    Lines(said.append).started(EVIL, resumed=False)  # another's way of saying it is its own affair
    assert EVIL in said[0]


@pytest.mark.parametrize(
    "words",
    [
        ["results", "list", "--all"],
        ["results", "show", f"evil:no{EVIL}:0"],
        ["results", "query", "SELECT name FROM study_trial", "--format", "csv"],
        ["run", "grid", "study.yml", "--only", "fails*", "--retry", "failed"],
    ],
)
def test_nothing_reaches_a_terminal_but_what_can_be_read(evil, words):
    code = "import sys; from harness.cli import main; sys.argv[0] = 'harness'; main()"
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", code, *words]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "dumb"})
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65_536):
            shown += piece
    except OSError:  # Linux's way of saying that nobody writes any more
        pass
    os.close(ours)
    process.wait()
    for evil_piece in (b"\x1b]0", b"\x07", b"\x1b[2J", "\x9b".encode(), "\u202e".encode(), b"\x7f", b"\x1b[31mb"):
        assert evil_piece not in shown
    assert b"pool" in shown


def test_files_and_json_keep_a_name_as_it_is(evil, tmp_path):
    call = CliRunner().invoke
    rows = json.loads(call(main, ["results", "list", "--format", "json"]).stdout)
    assert [row["trial"] for row in rows] == [EVIL]
    assert "\x9b" not in call(main, ["results", "list", "--format", "json"]).stdout
    call(main, ["results", "export", "--out", "all.jsonl"])
    with (tmp_path / "all.jsonl").open(encoding="utf-8") as file:
        assert json.loads(file.readline())["studies"][0]["trial_name"] == EVIL
