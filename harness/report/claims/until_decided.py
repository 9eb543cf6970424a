"""How many seeds the claims of a study still need, if its seeds run until all are decided.

Each claim needs the seeds up to its next look, and none after the look that decides it. A trial runs as many as the one
of its claims that needs most: so rows stop when they are decided, and the baseline, which most claims are about, stops
last. A trial that no claim is about stops with the first look.
"""

import math
from collections.abc import Mapping, Sequence

from harness.report.claims.study_claims import StudyFinding, study_findings
from harness.store.records import Snapshot
from harness.study.claims import StudyClaim
from harness.study.study import Study


def seeds_needed(study: Study, found: Snapshot) -> Mapping[str, int]:
    """Return how many of its seeds each trial of a study needs for now, by the trial's key."""
    claims: Sequence[StudyClaim] = study.claims or ()
    first = min((claim.looks.at[0] for claim in claims if claim.looks), default=0)
    needed = {item.trial.key: first for item in study.trials}
    findings = _findings(study.name, claims, found)
    for claim in claims:
        n = _needed(claim, findings.get(claim.id))
        for item in (item for pair in claim.pairs for item in pair):
            needed[item.trial.key] = max(needed[item.trial.key], n)
    return needed


def _findings(study: str, claims: Sequence[StudyClaim], found: Snapshot) -> Mapping[str, StudyFinding]:
    """Return what came of the claims so far; nothing if the store has others than the file says now."""
    stored = {record.name: record.content for record in found.claims if record.study == study and record.stands}
    if stored != {claim.id: claim.content() for claim in claims}:
        return {}
    return {finding.id: finding for finding in study_findings(found, study) if finding.withdrawn is None}


def _needed(claim: StudyClaim, finding: StudyFinding | None) -> int:
    """Return up to which of its seeds a claim must have run for now."""
    at = () if claim.looks is None else claim.looks.at
    if finding is None or not at:
        return at[0] if at else len(claim.seeds)
    later = [n for n in at if n > finding.looked]
    ends = finding.is_decided or (finding.effect is not None and math.isnan(finding.effect))  # nan: it cannot be
    return later[0] if later and not ends else finding.looked
