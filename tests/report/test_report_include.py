"""Parts of reports within another document: what is between the marks is made from the results, and nothing else."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from records import snapshot, whole

from harness.base.errors import HarnessError
from harness.cli import main
from harness.report import filled, load_table, render, table_document
from harness.report.include import included
from harness.report.tables.table_file import PAPER

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "results" / "published" / "mnist.jsonl"
BLOCK = "before\n\n<!-- include reports/table1.md: {} -->\nold\n\nold\n<!-- end -->\n\nafter <!-- end -->\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "table1.md").write_text("# Title\n\nNobody reads this.\n")
    return tmp_path


def fill(table, stored=None):
    stored = whole() if stored is None else stored
    return table_document(stored, *filled(table, stored))


def shown(text, folder, **options):
    return included(text, folder, lambda table: fill(table, **options), {"table1": lambda: "In short,\non two lines."})


@pytest.mark.parametrize(
    ("part", "first", "last"),
    [
        ("table", "Each cell: paper → ours (difference).", "- c: 1 of 2 runs stored; missing: seed 1"),
        (
            "statistics",
            "Accuracy over seeds, against Baseline.",
            "2 seeds cannot tell: even if all differences pointed",
        ),
        ("summary", "In short,", "on two lines."),
    ],
)
def test_a_part_is_written_between_its_marks(folder, part, first, last):
    made = shown(BLOCK.format(part), folder)
    lines = made.splitlines()
    assert lines[:3] == ["before", "", f"<!-- include reports/table1.md: {part} -->"]
    end = lines.index("<!-- end -->")
    assert lines[3] == first
    assert lines[end - 1].startswith(last)
    assert lines[end:] == ["<!-- end -->", "", "after <!-- end -->"]
    assert "old" not in made
    assert shown(made, folder) == made


@pytest.mark.parametrize("part", ["table", "statistics"])
def test_a_part_of_a_table_is_what_the_table_says_wherever_its_report_is(folder, part):
    (folder / "reports" / "table1.md").unlink()
    shutil.copy(PAPER / "table1.yml", folder / "mine.yml")
    block = shown(BLOCK.format(part), folder)
    assert shown(BLOCK.format(part).replace("reports/table1.md", "mine.yml"), folder) == block.replace(
        "reports/table1.md", "mine.yml"
    )
    table = "\n".join(line for line in block.splitlines() if line.startswith("|"))
    assert table
    assert table in render(fill(load_table(folder / "mine.yml")), "md")


def test_what_cannot_be_included_is_one_line(folder):
    with pytest.raises(HarnessError, match="there is no part 'tables' to include; did you mean 'table'"):
        shown(BLOCK.format("tables"), folder)
    with pytest.raises(HarnessError, match=r"^u\.md has no summary to include; these have one: table1$"):
        shown(BLOCK.format("summary").replace("table1.md", "u.md"), folder)
    with pytest.raises(HarnessError, match="there is no table 'rival'; did you mean 'rivals'"):
        shown(BLOCK.format("table").replace("table1.md", "rival.md"), folder)
    with pytest.raises(HarnessError, match=r"table1\.md has no statistics to include"):
        shown(BLOCK.format("statistics"), folder, stored=snapshot([], []))


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
    words = ["report", "include", str(document), "--from", str(PUBLISHED)]
    said = [CliRunner().invoke(main, words).stdout for _ in range(2)]
    assert said == [f"{document} (written again)\n", f"{document} (as it was)\n"]
    assert "| Baseline " in document.read_text()


@pytest.mark.parametrize("name", ["findings", "benchmarks"])
def test_a_summary_is_the_first_paragraph_of_its_report_which_need_not_be_there(folder, name):
    document = folder / "README.md"
    document.write_text(BLOCK.format("summary").replace("table1", name))
    stored = {"--from": PUBLISHED.parent, "--benchmarks": ROOT / "results" / "benchmarks"}
    words = ["report", "include", str(document), *(str(word) for option in stored.items() for word in option)]
    assert CliRunner().invoke(main, words).exit_code == 0
    first = (ROOT / "reports" / f"{name}.md").read_text().split("\n\n")[1]
    assert document.read_text() == BLOCK.format("summary").replace("table1", name).replace("old\n\nold", first)
