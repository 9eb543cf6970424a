"""docs/python.md: its cells run one after another in an empty folder and print what it says; its columns are all."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from harness.api import CURVES, ITEMS, RESULTS, RUNS

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "python.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """Return what each cell prints, and the names that they leave."""
    cells = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    (module,) = [cell for cell in cells if cell.startswith("# rings.py")]
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("HARNESS_DB", raising=False)
        patch.chdir(tmp_path_factory.mktemp("notebook"))
        Path("rings.py").write_text(module)
        names, outputs = {}, []
        for cell in cells:
            if cell is module:
                continue
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(cell, "docs/python.md", "exec"), names)  # noqa: S102
            outputs.append(out.getvalue())
        names["shown"] = names["best"]._repr_markdown_()
    return outputs, names


def test_the_cells_print_what_the_document_says(printed):
    (first, second, third), names = printed
    assert first == re.search(r"```text\n(.*?)```", TEXT, flags=re.DOTALL)[1]
    assert second.startswith("4 0 False\n**Study notebook.**")
    assert second.count("2 of 2") == 2
    mean = names["mean"]
    assert third == f"{mean.round(3).to_dict()} 4\n"
    assert mean[8] > mean[1] > 0.4


def test_a_notebook_shows_summary_and_table(printed):
    shown = printed[1]["shown"]
    assert "nothing to do: 4 done, 0 left, 0 held" in shown
    assert "| width 8" in shown


def columns(title):
    (table,) = re.findall(rf"^\| `{title}\(\)` .*\n\|---.*\n((?:\|.*\n)+)", TEXT, flags=re.MULTILINE)
    return [word for line in table.splitlines() for word in re.findall(r"`([^`]+)`", line.split("|")[1])]


def test_the_columns_of_the_document_are_those_of_the_frames(printed):
    first = ["study", "trial", "seed", "attempt"]
    assert [*first, *columns("runs")][:-3] == list(RUNS)
    assert [*first, *columns("results")] == list(RESULTS)
    assert [*first, *columns("curves")] == list(CURVES)
    assert [*first, *columns("items")] == list(ITEMS)
    names = printed[1]
    assert list(names["runs"].columns) == [*RUNS, "arguments.width"]
    assert list(names["found"].columns) == list(RESULTS)
    assert list(names["curves"].columns) == list(CURVES)
    assert len(names["curves"]) == 4 * 100
