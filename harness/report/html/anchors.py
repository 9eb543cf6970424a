"""Names of places in the page, so that a point, a row and a section find each other."""

from harness.report.claims.findings import Finding
from harness.report.claims.study_claims import StudyFinding
from harness.store.records import AttemptRecord, TrialRecord


def trial_id(trial: TrialRecord | str) -> str:
    """Return the place of a trial, given or by its key."""
    return f"trial-{(trial if isinstance(trial, str) else trial.key)[:12]}"


def run_id(attempt: AttemptRecord) -> str:
    """Return the place of an attempt."""
    return f"run-{attempt.uid[:12]}"


def study_id(study: str) -> str:
    """Return the place of a study."""
    return f"study-{study}"


def claim_id(finding: Finding | StudyFinding) -> str:
    """Return the place of a claim; only those of the paper keep theirs when they are withdrawn."""
    of = f"of-{finding.study}-" if isinstance(finding, StudyFinding) else ""
    return f"claim-{of}{finding.id}"
