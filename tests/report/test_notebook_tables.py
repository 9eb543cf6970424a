"""A study's table as HTML: what a notebook shows, and as a text the Markdown that it always was."""

from html.parser import HTMLParser
from pathlib import Path

import pytest

import harness
from harness.base.errors import HarnessError
from harness.report import render
from harness.report.document import Cell, DocColumn, DocRow, Document, Footnote, Note

PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "published"


class Fields(HTMLParser):
    """The texts of a table's fields, and which elements are open."""

    def __init__(self, text):
        super().__init__()
        self.fields, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag in {"th", "td"}:
            self.fields.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"th", "td"} & set(self.open):
            self.fields[-1] += data


def test_a_table_has_the_fields_of_its_markdown():
    table = harness.load(PUBLISHED / "cifar-small.jsonl").table("cifar-small")
    assert table.startswith("**Study cifar-small.** mean ± standard deviation")
    assert repr(table) == str(table)
    assert table.render("csv").startswith("row,Runs,")
    page = Fields(table._repr_html_())
    assert page.open == []
    lines = [line for line in table.splitlines() if line.startswith("|") and "---" not in line]
    assert page.fields == [field.strip() for line in lines for field in line.strip("|").split("|")]
    assert "<details><summary>Notes</summary>" in table._repr_html_()
    with pytest.raises(HarnessError, match="unknown format 'htm'; did you mean 'html'"):
        table.render("htm")


def test_what_a_person_wrote_is_no_html():
    cell = Cell("t", "a", "b", text="<b>1", bold=True, paper_text="2", difference="-1", marks=("a",))
    document = Document(
        title="<script>",
        caption="x & y",
        columns=(DocColumn("b"),),
        rows=(DocRow("a\x1b", (cell,)),),
        footnotes=(Footnote("a", "<i>"),),
        notes=(Note("n", ("<u>",)),),
    )
    text = render(document, "html")
    assert "<script>" not in text
    assert "<strong>&lt;script&gt;.</strong> x &amp; y" in text
    assert Fields(text).fields == ["", "b", "a\\x1b", "2 → <b>1 (-1)a"]
    assert "<li>&lt;u&gt;</li>" in text
    assert "<sup>a</sup> &lt;i&gt;" in text


def test_of_a_study_that_is_not_stored():
    with pytest.raises(HarnessError, match="cifar"):
        harness.load(PUBLISHED / "mnist.jsonl").table("cifar")
