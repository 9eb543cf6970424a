"""`make tables`: reports/ as committed is what it writes, to the byte, wherever and whenever it is called."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import pytest

ROOT = Path(__file__).resolve().parent.parent
RECIPE = re.search(r"^tables:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)[1]
COMMANDS = [shlex.split(line)[1:] for line in RECIPE.splitlines()]  # without $(BIN)/harness


def checkout(folder):
    """Make a folder with what the target reads: results and the page of the paper."""
    (folder / "results").symlink_to(ROOT / "results")
    (folder / "docs").mkdir()
    (folder / "docs" / "paper.md").write_bytes((ROOT / "docs" / "paper.md").read_bytes())
    return folder


def written(folder):
    """Return the bytes of all files under a folder's reports/ and of the documents with results, by name."""
    documents = [folder / "docs" / name for name in ("paper.md", "results-log.md")]
    files = [*documents, *(path for path in (folder / "reports").rglob("*") if path.is_file())]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return what a process writes that has another time zone, and other hashes, than the one that wrote reports/."""
    folder = checkout(tmp_path_factory.mktemp("checkout"))
    code = f"from harness.cli import main\nfor words in {COMMANDS!r}: main(words, standalone_mode=False)"
    environment = {**os.environ, "PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo"}
    environment.pop("HARNESS_DB", None)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return written(folder)


def test_it_writes_tables_figures_findings_and_the_page(made):
    assert len(COMMANDS) == 7
    assert {
        "reports/benchmarks.md",
        "reports/benchmarks-ops.svg",
        "docs/paper.md",
        "docs/results-log.md",
        "reports/index.html",
        "reports/findings.md",
        "reports/figures.md",
    } <= set(made)
    assert {"reports/table1.md", "reports/table1.tex", "reports/table1.csv", "reports/figures/fig4.svg"} <= set(made)
    assert len(made["reports/index.html"]) < 6_000_000
    assert len(made["reports/findings.md"]) < 25_000


def test_what_is_committed_is_what_it_writes(made):
    committed = written(ROOT)
    assert set(committed) - set(made) == set(), "left over from results that are gone"
    differing = {name for name in made if made[name] != committed.get(name)}
    drawn = {name for name in differing if name.endswith(".svg")}
    assert sorted(differing - drawn) == [], "make tables"
    others = _drawn_by(committed[name] for name in drawn if name in committed) - {mpl.__version__}
    if others:
        pytest.skip(f"figures drawn by matplotlib {', '.join(sorted(others))}, not {mpl.__version__}, may differ")
    assert sorted(drawn) == [], "make tables"


def _drawn_by(figures):
    """The versions of matplotlib that figures say they are by."""
    return {found[1].decode() for figure in figures if (found := re.search(rb"Matplotlib v([\w.+]+)", figure))}
