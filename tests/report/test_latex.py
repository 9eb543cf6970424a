"""LaTeX of every table compiles: the paper's eight, ours, studies' own and a person's, in one minimal document."""

import re
import shutil
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from records import whole

from harness.report import (
    filled,
    load_our_table,
    load_paper_table,
    load_table,
    our_tables,
    paper_tables,
    render,
    study_document,
    table_document,
)
from harness.report.figures.groups import study_names
from harness.report.render.latex import escape
from harness.store.connection import open_memory
from harness.store.merge import open_results
from harness.store.queries import samples, snapshot

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "results" / "published"
OWN = re.search(r"```yaml\n(.*?)```", (ROOT / "docs" / "tables.md").read_text(encoding="utf-8"), flags=re.DOTALL)[1]
FRAME = "\\documentclass{{article}}\n\\usepackage{{booktabs}}\n\\begin{{document}}\n{}\n\\end{{document}}\n"
MOST_PT = 10  # a table may be so much wider than the text
ODD = '50% & a_b #1 {x} $y ~ ^ \\ "q" -- § ± × é σ₁² Ωβ ∇f→∞ x⁻¹ <|> [*] ` 中'


def tables(source, own):
    """Return every table as a document by its name: what is stored in `source` filled in, the rest empty."""
    with open_results([source]) if source else open_memory() as store:
        found = snapshot(store)
        forms = {f"table {n}": load_paper_table(n) for n in paper_tables()}
        forms |= {name: load_our_table(name) for name in our_tables()}
        forms["own"] = load_table(own)
        made = {}
        for name, table in forms.items():
            whole_table, *expected = filled(table, found)
            if whole_table.rows:
                made[name] = table_document(found, whole_table, *expected, samples=partial(samples, store))
        return made | {f"study {name}": study_document(found, name) for name in study_names(found)}


def odd():
    """Return a study's table in which every text has what LaTeX takes for something else, on several pages."""
    document = study_document(whole(), "mnist")
    rows = [
        replace(row, label=ODD, cells=tuple(replace(cell, text=ODD[:20], marks=("a",)) for cell in row.cells))
        for row in document.rows
    ]
    notes = [replace(note, text=ODD, lines=(ODD, ODD)) for note in document.notes]
    return replace(document, caption=ODD, title=ODD, rows=tuple(rows * 7), notes=tuple(notes))


def long(document):
    """Return a document with as many rows as nearly fill one page and two, with the notes that it has."""
    rows = document.rows * 3
    return {f"{count} rows": replace(document, rows=rows[:count]) for count in (7, 8, 9, 10, 11, 12, 13, 20, 23, 24)}


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    own = tmp_path_factory.mktemp("own") / "pooling.yml"
    own.write_text(OWN)
    stored = {f"{name}, stored": document for name, document in tables(PUBLISHED, own).items()}
    return tables(None, own) | stored | long(stored["table 2, stored"]) | {"odd": odd()}


def test_no_table_is_left_out(documents):
    numbers = range(1, 9)
    assert {f"table {n}" for n in numbers} | {f"table {n}, stored" for n in numbers} <= set(documents)
    assert {"cifar-small, stored", "own, stored", "study mnist, stored"} <= set(documents)
    assert documents["table 1, stored"].statistics
    assert documents["cifar-small, stored"].statistics


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed (texlive-latex-recommended)")
def test_all_compile_in_a_minimal_document(documents, tmp_path):
    parts = [
        f"\\typeout{{BEGIN {i}}}\n{render(document, 'latex')}\\clearpage"
        for i, document in enumerate(documents.values())
    ]
    (tmp_path / "all.tex").write_text(FRAME.format("\n".join(parts)))
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        timeout=120,
    )
    log = done.stdout.decode(errors="replace")
    assert done.returncode == 0, log[-2000:]
    assert int(re.search(r"Output written on all\.pdf \((\d+) pages", log)[1]) >= len(documents)
    shown = log.split("BEGIN ")[1:]
    wide = {
        name: [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt", text)]
        for name, text in zip(documents, shown, strict=True)
    }
    assert {name: found for name, found in wide.items() if max(found, default=0) > MOST_PT} == {}
    for name, text in zip(documents, shown, strict=True):
        assert "Float too large" not in text, name


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("β₁ = 0.9, σ², ε = 10⁻³", r"$\beta_{1}$ = 0.9, $\sigma^{2}$, $\epsilon$ = 10$^{-3}$"),
        ("Ω Δλ xᵢ x₁₀ L∞", r"$\Omega$ $\Delta$$\lambda$ x$_{i}$ x$_{10}$ L$\infty$"),
        ("Α ς μ∇f ≈ ∂", r"$\mathrm{A}$ $\varsigma$ $\mu$$\nabla$f $\approx$ $\partial$"),
        ("a ← b ≠ c… ø", r"a $\leftarrow$ b $\neq$ c\ldots{} \o{}"),
    ],
)
def test_letters_indices_and_symbols_of_names_are_spelled(name, spelled):
    assert escape(name) == spelled
