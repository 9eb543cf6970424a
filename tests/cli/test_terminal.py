"""Names, errors and paths never make a terminal do anything, wherever a text goes; JSON keeps them as they are."""

import io
import json
import os
import pty
import shutil
import sqlite3
import subprocess
import sys
from contextlib import chdir, closing

import pytest
from click.testing import CliRunner

from harness.base.errors import printable, printable_json
from harness.base.spreadsheet import csv_cell
from harness.cli import main
from harness.cli.terminal import Guarded
from harness.execution.lines import Lines

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31mpool\u202e\x7f"
SHOWN = "\\x1b]0;owned\\x07\\x1b[2J\\x9b31mpool\\u202e\\x7f"
SENT = ("\x1b", "\x07", "\x9b", "\u202e", "\x7f")
FUNCTION = """
def run(context, *, x='a'):
    if x == 'b':
        raise ValueError('bad \\x1b[31m' + x)
    return {'m': 1.0}
"""


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store of an earlier harness, in which names of trials and an error hold escape sequences; what was printed."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "f.py").write_text(FUNCTION)
    trials = [{"name": "plain"}, {"name": "fails", "arguments": {"x": "b"}}]
    study = {"study": "evil", "task": "function", "target": "f.py:run", "metrics": {"m": "maximize"}, "seeds": [0]}
    (folder / "study.yml").write_text(json.dumps({**study, "execution": {"threads": 1}, "trials": trials}))
    with chdir(folder):
        done = CliRunner().invoke(main, ["run", "grid", "study.yml"])
    assert done.exit_code == 1, done.stderr
    with closing(sqlite3.connect(folder / "results" / "harness.db")) as store, store:
        store.execute("UPDATE study_trial SET name = ? WHERE name = 'plain'", [EVIL])
        store.execute("UPDATE study_trial SET name = ? WHERE name = 'fails'", [f"fails {EVIL}\nnow"])
    return folder, done.stderr


@pytest.fixture
def evil(made, tmp_path, monkeypatch):
    """A copy of it, as the current folder."""
    monkeypatch.chdir(shutil.copytree(made[0], tmp_path, dirs_exist_ok=True))


def test_a_text_is_shown_and_its_lines_and_tabs_stay():
    assert printable(EVIL) == SHOWN
    assert printable("a\n\tb é σ 🦊 \\x1b") == "a\n\tb é σ 🦊 \\x1b"


def test_a_guarded_stream_is_a_stream():
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        guarded = Guarded(stream)
        print(EVIL, file=guarded, end="")
        assert (stream.getvalue(), guarded.isatty()) == (SHOWN, stream.isatty())
    with pytest.raises(TypeError):
        Guarded(terminal).write(b"")


def test_what_runs_is_named_on_stderr_without_escape_sequences(made):
    assert "bad \\x1b[31mb" in made[1]
    assert "\x1b" not in made[1]
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
    assert (b"bad \\x1b[31mb" if words[0] == "run" else b"pool") in shown


def test_json_keeps_a_name_as_it_is(evil, tmp_path):
    call = CliRunner().invoke
    rows = json.loads(call(main, ["results", "list", "--format", "json"]).stdout)
    assert [row["trial"] for row in rows] == [EVIL]
    assert "\x9b" not in call(main, ["results", "list", "--format", "json"]).stdout
    call(main, ["results", "export", "--out", "all.jsonl"])
    with (tmp_path / "all.jsonl").open(encoding="utf-8") as file:
        assert json.loads(file.readline())["studies"][0]["trial_name"] == EVIL


@pytest.mark.parametrize(
    "words",
    [
        ["results", "list", "--all"],
        ["results", "show", f"evil:no{EVIL}:0"],
        ["results", "query", "SELECT name FROM study_trial"],
        ["results", "query", "SELECT name FROM study_trial", "--format", "csv"],
        *(["report", "tables", "--study", "evil", "--format", form] for form in ("md", "latex", "csv", "json")),
        ["report", "findings", "--format", "json"],
    ],
)
def test_nothing_else_goes_into_a_pipe(evil, words):
    done = CliRunner().invoke(main, words)
    assert not [piece for piece in SENT if piece in done.output]
    assert "findings" in words or "pool" in done.output
    if words[-1] == "json":
        json.loads(done.stdout)


def test_a_line_break_in_a_name_breaks_no_table(evil):
    printed = CliRunner().invoke(main, ["results", "list", "--all"]).stdout
    assert f"fails {SHOWN}\\nnow" in printed
    assert [line for line in printed.splitlines() if SHOWN in line and "failed" in line]


def test_files_show_it_too(evil, tmp_path):
    call = CliRunner().invoke
    assert call(main, ["report", "html", "--out", "page.html"]).exit_code == 0
    assert call(main, ["results", "export", "--out", "all.csv"]).exit_code == 0
    for name in ("page.html", "all.csv"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert not [piece for piece in SENT if piece in text]
        assert SHOWN in text


def test_a_cell_of_csv_is_shown_before_it_is_looked_at_for_a_formula():
    assert csv_cell(f"={EVIL}") == f"'={SHOWN}"
    assert csv_cell("two\nlines") == "two\nlines"


def test_json_says_what_it_said():
    text = json.dumps({"a": EVIL + "\n\ud800"}, ensure_ascii=False)
    assert json.loads(printable_json(text)) == json.loads(text)
    assert not [piece for piece in SENT if piece in printable_json(text)]
