"""A study's own table from Python, as `harness report tables --study` prints it."""

from pathlib import Path

from harness.report import render, study_document
from harness.store.connection import open_reader
from harness.store.queries import snapshot
from harness.trial.datasets import DATASETS


def study_markdown(db: Path, study: str, spec_sha: str) -> str:
    """Return the table of a study, as its text of this SHA-256 says, as Markdown.

    Raises HarnessError where the study is not stored so.
    """
    with open_reader(db) as store:
        found = snapshot(store)
    stand_ins = {declared.name: declared.stand_in_for for declared in DATASETS.values()}
    return render(study_document(found, study, stand_ins, spec_sha=spec_sha), "md").rstrip("\n")
