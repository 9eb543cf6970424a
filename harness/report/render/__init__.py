"""The formats: each renders a `Document`, in one small file per format for people, and one for machines."""

from collections.abc import Callable, Mapping

from harness.base.errors import HarnessError, did_you_mean
from harness.report.document import Document
from harness.report.render.html import to_html
from harness.report.render.latex import to_latex
from harness.report.render.machines import to_csv, to_json
from harness.report.render.markdown import to_markdown

FORMATS: Mapping[str, Callable[[Document], str]] = {
    "md": to_markdown,
    "html": to_html,
    "latex": to_latex,
    "csv": to_csv,
    "json": to_json,
}


def render(document: Document, format: str) -> str:  # noqa: A002 -- the word of the command's option
    """Return the document as "md", "html", "latex", "csv" or "json", ending in a line break. Raises HarnessError
    otherwise.
    """
    if format not in FORMATS:
        raise HarnessError(f"unknown format '{format}'{did_you_mean(format, FORMATS)}")
    return FORMATS[format](document)


__all__ = ["FORMATS", "render"]
