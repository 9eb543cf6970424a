"""What holds of all documents: each is in the index, links and paths lead to files, modules have the names of today."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
STUDIES = sorted((ROOT / "ablations").glob("*.yml"))
MODULES = sorted((ROOT / "harness").rglob("*.py"))
_EXAMPLES = {"harness/layers/every.py"}  # what a recipe tells a reader to write
_PATH = r"(?<![\w./-])((?:harness|tests|docs)/[\w/.-]*[\w/])"


def _name(path):
    return str(path.relative_to(ROOT))


def _without_code(text):
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def test_the_index_has_every_document():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    missing = [path.name for path in (ROOT / "docs").glob("*.md") if f"({path.name})" not in index]
    assert set(missing) == {"README.md"}
    assert "(docs/README.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_site_has_every_document_once():
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    pages = re.findall(r": (\S+\.md)$", site, flags=re.MULTILINE)
    assert sorted(pages) == sorted({*pages})
    assert [page for page in pages if not (ROOT / page).is_file()] == []
    assert {_name(path) for path in DOCUMENTS} <= {*pages}


def test_the_readme_can_be_read_at_once():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 130


def _anchors(path):
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_links_lead_to_files_and_headings(document):
    for link in re.findall(r"\]\(([^)\s]+)\)", _without_code(document.read_text(encoding="utf-8"))):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


@pytest.mark.parametrize("file", [*DOCUMENTS, *STUDIES], ids=_name)
def test_paths_lead_to_files(file):
    for path in re.findall(_PATH, file.read_text(encoding="utf-8")):
        assert (ROOT / path).exists() or "NAME" in path or path in _EXAMPLES, path


def _leads_somewhere(name):
    """Return whether `harness.a.b.c` is a module, or what a module holds."""
    place, words = ROOT / "harness", name.split(".")[1:]
    while words and (place / words[0]).is_dir():
        place /= words.pop(0)
    file = place / "__init__.py"
    if words and (place / f"{words[0]}.py").is_file():
        file = place / f"{words.pop(0)}.py"
    return not words or re.search(rf"\b{words[0]}\b", file.read_text(encoding="utf-8")) is not None


_DOTTED = r"(?<![\w.-])harness(?:\.[A-Za-z_]\w*)+"
_NO_MODULES = {
    "harness.db",
    "harness.fish",
    "harness.compressors",
    "harness.datasets",
    "harness.executors",
    "harness.layers.every",
}
"""Files, groups of entry points, and what a recipe tells a reader to write."""


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_modules_that_a_document_names_exist(document):
    for name in re.findall(_DOTTED, document.read_text(encoding="utf-8")):
        assert name in _NO_MODULES or _leads_somewhere(name), name


def test_modules_and_files_that_docstrings_name_exist():
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                where = f"{_name(module)}:{node.lineno}"
                for name in re.findall(_DOTTED, node.value):
                    assert name in _NO_MODULES or _leads_somewhere(name), f"{where}: {name}"
                for path in re.findall(rf"{_PATH}(?<=\.md|\.py)", node.value):
                    assert (ROOT / path).exists(), f"{where}: {path}"


def test_the_changelog_has_parts_that_can_be_read():
    parts = re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    days = [part.splitlines()[0] for part in parts]
    assert days[0] == "Unreleased"
    assert [day[:10] for day in days[1:]] == sorted((day[:10] for day in days[1:]), reverse=True)
    for part in parts:
        assert len(re.findall(r"^- ", part, flags=re.MULTILINE)) <= 25, part.splitlines()[0]
        heads = re.findall(r"^### (.*)", part, flags=re.MULTILINE)
        assert heads == [head for head in ("Added", "Changed", "Fixed") if head in heads], part.splitlines()[0]
