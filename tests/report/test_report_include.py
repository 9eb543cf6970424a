"""Parts of reports within another document: what is between the marks is written anew, and nothing else."""

import pytest
from click.testing import CliRunner

from harness.base.errors import HarnessError
from harness.cli import main
from harness.report.include import included

REPORT = """\
**T.** Caption.

Each cell: paper → ours (difference).

| a |
| --- |
| 1 |

- a: a footnote
- b: another

Accuracy over seeds, against Baseline.

| b |
| --- |
| 2 |

- sd: sample standard deviation
- 3 seeds cannot tell
"""
BLOCK = "before\n\n<!-- include reports/t.md: {} -->\nold\n\nold\n<!-- end -->\n\nafter <!-- end -->\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "t.md").write_text(REPORT)
    return tmp_path


@pytest.mark.parametrize(
    ("part", "first", "last"),
    [
        ("table", "Each cell: paper → ours (difference).", "- b: another"),
        ("statistics", "Accuracy over seeds, against Baseline.", "3 seeds cannot tell"),
        ("summary", "Each cell: paper → ours (difference).", "Each cell: paper → ours (difference)."),
    ],
)
def test_a_part_is_written_between_its_marks(folder, part, first, last):
    made = included(BLOCK.format(part), folder)
    lines = made.splitlines()
    assert lines[:3] == ["before", "", f"<!-- include reports/t.md: {part} -->"]
    end = lines.index("<!-- end -->")
    assert (lines[3], lines[end - 1]) == (first, last)
    assert lines[end:] == ["<!-- end -->", "", "after <!-- end -->"]
    assert "old" not in made
    assert included(made, folder) == made


def test_what_cannot_be_included_is_one_line(folder):
    with pytest.raises(HarnessError, match="there is no part 'tables' to include; did you mean 'table'"):
        included(BLOCK.format("tables"), folder)
    with pytest.raises(HarnessError, match="is not there to be included"):
        included(BLOCK.format("table").replace("t.md", "u.md"), folder)
    (folder / "reports" / "t.md").write_text("# Nothing\n")
    with pytest.raises(HarnessError, match=r"t\.md has no table to include"):
        included(BLOCK.format("table"), folder)


def test_a_block_without_an_end_is_refused_and_takes_nothing_along(folder):
    document = folder / "README.md"
    text = BLOCK.format("table").replace("<!-- end -->\n\nafter <!-- end -->", "\nprose") + BLOCK.format("summary")
    document.write_text(text)
    result = CliRunner().invoke(main, ["report", "include", str(document)])
    assert result.exit_code == 2
    assert f"{document}: line 3: a block is" in result.stderr
    assert document.read_text() == text


def test_the_command_writes_a_document_anew_once(folder):
    document = folder / "README.md"
    document.write_text(BLOCK.format("table"))
    shown = [CliRunner().invoke(main, ["report", "include", str(document)]).stdout for _ in range(2)]
    assert shown == [f"{document} (written anew)\n", f"{document} (as it was)\n"]
    assert "| 1 |" in document.read_text()
