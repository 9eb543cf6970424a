"""Calques in what people read: README, documents, help, errors, public docstrings. `make lint` runs this file.

Much of this project was written by people who think in another language. These are the phrases that a native engineer
has to read twice, each with what to write instead. Code blocks, `code` and private docstrings are not looked at.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

_PER = (
    "run|row|line|image|second|epoch|step|core|worker|trial|study|seed|batch|channel|attempt|machine|fault|claim|metric"
)
_COUNTED = "seconds|images|threads|rows?|lines?|epochs|steps|points|values?|bars?|figures?"
_THERE = "there (?:is|are|was|were)|none|nothing|no|neither"

CALQUES: dict[str, tuple[str, str, str]] = {
    # pattern: what to write instead, an example of it, an example that is good English
    rf"\b(?:{_COUNTED}) an? (?:{_PER})\b": ("per", "it prints a line a fault", "a line that a fault brings"),
    r"\bRaises? \w+,? where\b": (
        "if",
        "Raises HarnessError where it is missing",
        "Raises HarnessError if it is missing",
    ),
    r"\b(?:None|nan|False|nothing|empty|infinite) where\b": ("if", "None where it lacks one", "None if it lacks one"),
    rf"\bwhere (?:{_THERE})\b(?! but)": ("if", "it is made where there is none", "the folder where the files are"),
    r"(?<!as it )\bstands\b(?! (?:for|in for|still|in the way)\b)": ("is", "the p stands beside it", "as it stands"),
    r"\b(?:can|may|cannot|could) stand\b(?! (?:for|in for|in)\b)": (
        "go, be",
        "where one can stand",
        "it can stand for it",
    ),
    r"\bstands? twice\b": ("occurs twice", "a seed stands twice", "a seed occurs twice"),
    r"\banew\b": ("again", "its keys are made anew", "its keys are made again"),
    r"\b(?:goes|went) on\b(?! (?:to|with)\b)|\bgone on with\b": (
        "resumes, continues",
        "the same call goes on",
        "it goes on to the next page",
    ),
    r"\bmend(?:s|ed|ing)?\b": ("fix", "mend the file", "amend the file"),
    r"\bforemost\b": ("primary, first", "the foremost metric", "the primary metric"),
    r"\b[Mm]ake at most so many\b|\bso many (?:runs|images) at\b": ("N", "Make at most so many runs.", "so many that"),
    r"(?<!there )(?<!There )\b(?:is|are|was) no (?:plug-in|compressor|network|denoiser|function|file|folder|row|column|"
    r"number|whole number|word|model|state dict|method|option|fault|problem|crash|regular file|list|stride|claim)\b": (
        "is not a",
        "'x' is no compressor",
        "there is no compressor",
    ),
    r"\bthat there is not\b": ("an unknown …", "for an executor that there is not", "for an unknown executor"),
    r"\b(?:is|are|be) whole\b(?! (?:number|image|picture|grid|study|command|batch))": (
        "intact",
        "whether it is whole",
        "the whole",
    ),
    r"\b(?:[Tt]wice|second) is the same as once\b": (
        "is idempotent",
        "Twice is the same as once",
        "Merging is idempotent",
    ),
    r"\bdigits behind the point\b": ("decimal places", "two digits behind the point", "two decimal places"),
    r"\bof whose \w+ it\b": ("whose", "of whose points it leaves some out", "whose points it leaves out"),
    r"\b(?:tells|told) (?:where|whether|what|how)\b": ("says", "FILE tells where it is", "FILE says where it is"),
    r"\bthere is no such (?:store|file to)\b": ("no …", "there is no such store", "no results database here"),
}


def documents() -> Iterator[tuple[str, str]]:
    """Yield place and text of each line of prose in the documents."""
    for path in DOCUMENTS:
        text = re.sub(r"```.*?```", lambda block: "\n" * block[0].count("\n"), path.read_text("utf-8"), flags=re.DOTALL)
        for number, line in enumerate(text.splitlines(), 1):
            yield f"{path.relative_to(ROOT)}:{number}", re.sub(r"`[^`]*`", "`…`", line)


def sources() -> Iterator[tuple[str, str]]:
    """Yield place and text of what the package's modules say: public docstrings, help, errors and warnings."""
    for path in sorted((ROOT / "harness").rglob("*.py")):
        name = path.relative_to(ROOT)
        for line, text in said(ast.parse(path.read_text("utf-8"))):
            yield f"{name}:{line}", re.sub(r"`[^`]*`", "`…`", " ".join(text.split()))


_SAYS = re.compile(r"Error$|^(echo|warning|option|argument|Command|command)$")
_DOCUMENTED = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def said(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and text of what a module says to people."""
    yield from _docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if _SAYS.search(called):
                for part in (*node.args, *(keyword.value for keyword in node.keywords)):
                    yield from _texts(part)


def _docstrings(node: ast.AST) -> Iterator[tuple[int, str]]:
    if text := ast.get_docstring(node):  # type: ignore[arg-type]
        yield getattr(node, "lineno", 1), text
    for inner in getattr(node, "body", ()):
        if isinstance(inner, _DOCUMENTED) and not inner.name.startswith("_"):
            yield from _docstrings(inner)


def _texts(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the texts in an expression; what is filled into one is a dash."""
    if isinstance(node, ast.JoinedStr):
        pieces = (piece.value if isinstance(piece, ast.Constant) else "–" for piece in node.values)
        yield node.lineno, "".join(map(str, pieces))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.lineno, node.value
    elif not isinstance(node, ast.Call):
        for inner in ast.iter_child_nodes(node):
            yield from _texts(inner)


def calques(text: str) -> list[str]:
    """Return what to write instead of each calque in a text."""
    found = ((re.search(pattern, text), better) for pattern, (better, _, _) in CALQUES.items())
    return [f"'{match[0]}': write '{better}'" for match, better in found if match]


def main() -> int:
    """Print one line per calque, and return 1 if there is any."""
    found = [f"{place}: {calque}" for place, text in (*documents(), *sources()) for calque in calques(text)]
    print("\n".join([*found, f"{len(found)} calques"]))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
