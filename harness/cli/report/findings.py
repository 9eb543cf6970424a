"""`harness report findings`: what came of the claims of studies, and of those of the paper."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.base.errors import HarnessError
from harness.cli.common import format_option, named_study, paper_option, plugins_option, sources_option
from harness.cli.completion import studies_and_files

if TYPE_CHECKING:
    from harness.report.claims.findings import Finding
    from harness.report.claims.study_claims import StudyFinding
    from harness.report.tables.printed_gains import PrintedGain
    from harness.store.records import Snapshot


@click.command()
@click.option("--study", metavar="FILE|NAME", help="Only the claims of this study.", shell_complete=studies_and_files)
@paper_option
@click.option("--long", is_flag=True, help="All that each verdict rests on, withdrawn readings, the paper's misprints.")
@click.option("--check", is_flag=True, help="Exit with 1 if a claim is contradicted, with 3 if one is undecided.")
@plugins_option
@sources_option
@format_option("md", "json")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write this file instead of printing.")
def findings(
    study: str | None, paper: str | None, long: bool, check: bool, sources: tuple[Path, ...], fmt: str, out: Path | None
) -> None:
    """Print what came of the claims of studies and of the paper: verdict, effect and interval, a line per claim.

    --format json has everything. The paper's part is left out with --study, and if claims of studies are stored and no
    trial of the paper is.

    \b
    harness report findings --study own.yml --check
    harness report findings --from results/published --long
    harness report findings --from results/published --out reports/findings.md
    harness report findings --paper FOLDER
    """
    from harness.base.files import atomic_write
    from harness.report.claims.findings import findings_of, gains
    from harness.report.claims.study_claims import study_findings
    from harness.report.figures.results import Results
    from harness.report.tables.table_file import PAPER, find_paper
    from harness.store.merge import open_results

    name, spec_sha = (None, None) if study is None else named_study(study)
    if study is not None and paper is not None:
        raise HarnessError("--study or --paper: the claims of one or of the other")
    folder = PAPER if paper is None else find_paper(paper)
    if not (folder / "claims.yml").is_file():
        raise HarnessError(f"--paper {paper}: no claims.yml is there")
    with open_results(sources) as store:
        results = Results(store, sources)
        if name is not None:
            _check_stored(results.snapshot, name, spec_sha)
        own = study_findings(results.snapshot, name) if paper is None else []
        papers = [] if name is not None else findings_of(results, folder)
        shows_paper = name is None and (not own or any(f.test != "arithmetic" and f.effect is not None for f in papers))
        printed = gains(results.snapshot, folder) if shows_paper else []
    text = _text(own, papers if shows_paper else None, folder, printed, "long" if long and fmt == "md" else fmt)
    if out is None:
        click.echo(text.rstrip("\n"))
    else:
        atomic_write(out, text)
        click.echo(out)
    if check:
        sys.exit(_exit_code(own, papers if shows_paper else []))


def _check_stored(snapshot: "Snapshot", study: str, spec_sha: str | None) -> None:
    """Raise HarnessError if a study has no claims in the store, or is stored with another text than its file has."""
    places = snapshot.places([study])
    if spec_sha is not None and spec_sha not in {place.spec_sha for place in places}:
        todo = "'harness run grid' stores its claims before it runs anything"
        raise HarnessError(f"study '{study}' is not stored as this file says (its text has changed): {todo}")
    if not any(record.study == study for record in snapshot.claims):
        raise HarnessError(f"study '{study}' has no claims: write some under 'claims:' in its file, before its runs")


def _text(
    own: Sequence["StudyFinding"],
    papers: Sequence["Finding"] | None,
    paper: Path,
    printed: Sequence["PrintedGain"],
    form: str,
) -> str:
    """Return the findings as JSON, as Markdown of a line per claim, or as long Markdown."""
    from harness.report.claims.document import findings_json, findings_markdown
    from harness.report.claims.load import load_claims
    from harness.report.claims.misprints import load_misprints
    from harness.report.claims.study_words import study_markdown

    misprints = () if papers is None else load_misprints(paper=paper)
    untested = () if papers is None else load_claims(paper=paper).untested
    if form == "json":
        return findings_json(papers or (), misprints, untested, printed, own)
    long = form == "long"
    whole = "" if papers is None else findings_markdown(papers, misprints, untested, printed, long=long)
    return f"{study_markdown(own, long=long)}\n{whole}" if own else whole


def _exit_code(own: Sequence["StudyFinding"], papers: Sequence["Finding"]) -> int:
    """Return the code of the claims that stand; of the paper's, but for those that were written after the results."""
    from harness.report.claims.study_claims import check

    return check([*(f.verdict for f in own), *(f.verdict for f in papers if not f.exploratory)])
