"""What stands in the page of the published results, without a browser."""

import json
import math
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import pytest
from records import snapshot

from harness.report.claims.findings import findings
from harness.report.claims.load import load_claims
from harness.report.claims.study_claims import StudyFinding
from harness.report.document import Cell, DocColumn, DocRow, Document
from harness.report.figures.groups import study_groups
from harness.report.figures.results import Results, Series
from harness.report.html import render_page
from harness.report.html.answers import answers
from harness.report.html.findings import Aside, Claimed, Found, verdicts
from harness.report.html.page import _environment
from harness.report.html.runs import log_of, repeat
from harness.report.html.tables import COUNTED, TableView
from harness.store.connection import open_memory
from harness.store.merge import open_results

PUBLISHED = Path(__file__).resolve().parents[3] / "results" / "published"
VOID = {"meta", "link", "img", "br", "hr", "input"}


class _Reader(HTMLParser):
    """Collects ids, links and texts, and checks that what opens closes."""

    def __init__(self):
        super().__init__()
        self.ids, self.links, self.sources, self.open, self.text = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        known = dict(attrs)
        self.ids += [known["id"]] if "id" in known else []
        self.links += [known["href"]] if "href" in known else []
        self.sources += [known["src"]] if "src" in known else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.text.append(data)


@pytest.fixture(scope="module")
def read(page):
    reader = _Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def test_it_is_small_and_asks_nobody(page, read):
    assert len(page.encode()) < 6_000_000
    assert all(link.startswith(("#", "data:")) for link in read.links)
    embedded = ("data:image/png;base64,", "data:image/svg+xml,")
    assert all(source.startswith(embedded) for source in read.sources)
    assert "default-src 'none'" in page
    assert not re.search(r"url\((?!#|%23)|@import|fetch\(|XMLHttpRequest", page)


def test_every_link_leads_somewhere_and_no_place_is_twice(read, page):
    places = [place for place in read.ids if place != "data"]
    assert len(places) == len(set(places))
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])
    targets = {trial["target"] for chart in data["curves"].values() for trial in chart["trials"]}
    targets |= {point["target"] for chart in data["costs"].values() for point in chart["points"]}
    assert targets
    assert targets | {link[1:] for link in read.links if link.startswith("#")} <= set(places)


def test_every_run_has_its_section_with_settings_and_command(read):
    lines = [json.loads(line) for file in PUBLISHED.glob("*.jsonl") for line in file.read_text().splitlines()]
    earlier = {line["supersedes"] for line in lines}
    assert {f"run-{line['uid'][:12]}" for line in lines if line["uid"] not in earlier} <= set(read.ids)
    text = "".join(read.text)
    assert "harness run grid mnist.yml --only 'Feature pooling (top-k), 50%' --threads 1" in text
    assert "harness run timing mnist.yml --only Baseline --threads 2" in text
    assert "harness run timing mnist.yml --only Baseline --kernels torch --threads 2" in text
    for word in (
        "stated",
        "inferred",
        "assumed",
        "§4.1 A: trained the network for 5 epochs",
        "by the study: epochs is 24 in cifar-fast",
    ):
        assert word in text


@pytest.mark.parametrize("study", ["mnist", "cifar-small"])
def test_each_command_makes_just_its_run(study, study_file):
    """In an empty store the command of each run has that one run to make, of the trial that it stands under."""
    from harness.cli.common import load_studies

    with open_results([PUBLISHED]) as store:
        results = Results(store, [PUBLISHED])
        groups = study_groups(results.snapshot, study)
    for group in groups:
        for seed, attempt in group.runs.items():
            words = shlex.split(repeat(results.snapshot, study, group.label, attempt))
            assert words[:4] == ["harness", "run", "grid", f"{study}.yml"]
            given = dict(zip(words[4::2], words[5::2], strict=True))
            overrides = [given["--set"]] if "--set" in given else []
            (loaded,) = load_studies([str(study_file(study))], overrides, given["--only"])
            (item,) = loaded.chosen
            assert (item.trial.key, seed in item.seeds) == (attempt.trial_key, True)
            assert ("--set" in given) == (item.seeds == (seed,))
            assert given["--threads"] == str(attempt.threads)


def test_the_command_names_the_trial_alone(study_file):
    from harness.cli.common import load_studies

    (study,) = load_studies([str(study_file("mnist"))], [], "Feature pooling (top-k), 50%")
    assert [item.name for item in study.chosen] == ["Feature pooling (top-k), 50%"]


def test_the_tables_are_there_with_paper_ours_and_difference(read):
    text = re.sub(r"\s+", " ", " ".join(read.text))
    assert {"table-1", "table-2", "table-3", "table-cifar-small"} <= set(read.ids)
    assert "0.9775 paper 0.9791 −0.0016" in text
    assert "other-device: measured on" in text


def test_it_opens_with_a_few_sentences_and_a_forest_plot(page, read):
    opening = page[: page.index('<section id="tables"')]
    assert 3 <= opening.count("<li><b ") <= 5
    assert "Of the 6 gains over the baseline that Table 1 prints, our runs rule out 5" in opening
    assert opening.count('class="ours"') == opening.count("<path class=") >= 6
    assert '<td class="n papers outside">+0.0100</td>' in opening
    assert "36 claims on parameters and FLOPs, which do not vary: all supported." in opening


def test_claims_of_studies_are_in_the_opening_beside_those_of_a_paper():
    claim = {
        "study": "s",
        "title": "a is better",
        "family": "",
        "why": "",
        "metric": "m",
        "unit": "",
        "on": "",
        "says": "better",
    }
    rest = {
        "by": 1,
        "reason": "",
        "pairs": (),
        "effect": 2.0,
        "interval": (1.5, 2.5),
        "seeds": (),
        "planned": (),
        "tests": 1,
    }
    studies = [StudyFinding(id=name, verdict="supported", **claim, **rest) for name in "ab"]
    papers = findings(snapshot([], []), load_claims())
    heads = [(answer.head, answer.text) for answer in answers(Found(papers, studies=studies), [])]
    assert [head for head, _ in heads] == ["Claims", "Costs", "Not run"]
    assert heads[0][1] == "2 of study s: 2 supported."
    assert [answer.head for answer in answers(Found(studies=studies), [])] == ["supported", "supported"]
    assert answers(Found(studies=studies), [])[0].text == "a is better: +2.00 [+1.50, +2.50]."


def test_each_claim_is_a_row_with_its_verdict_effect_and_interval(page):
    row = page[page.index('<tr id="claim-spatial-50-more-stable"') :]
    row = row[: row.index("</tr>")]
    assert '<span class="verdict v-contradicted">contradicted</span>' in row
    assert re.search(r'<td class="n" data-ours="1\.10[0-9]+">×1\.11 \[1\.01, 1\.22\]</td>', row)
    assert "(one-sided, after Holm, 9 seeds)" in row
    assert page.count('<tr id="claim-') == 231


def test_a_verdict_is_shown_with_what_qualifies_it_and_all_is_escaped():
    made = [Claimed("claim-x", "Table 7", "<b> & c", "too small", ("exploratory", "depends on kernels"), "", None, ())]
    template = _environment().get_template("findings.html.j2")
    shown = template.render(
        claims=made,
        verdicts=verdicts(made),
        places=["Table 7"],
        papers=[],
        asides={"Misprints": [Aside("", "1", "a < b")]},
    )
    assert '<span class="verdict v-too-small">too small</span>' in shown
    assert '&lt;b&gt; &amp; c <span class="muted">(exploratory; depends on kernels)</span>' in shown
    assert "a &lt; b" in shown
    assert verdicts(made) == {"too small": 1}


def test_a_cell_is_sorted_by_its_number_and_one_without_goes_last():
    cells = [Cell("t", "r", "c", ours=0.97866, text="0.9787 ± 0.0006"), Cell("t", "r", "d", ours=math.nan, text="nan")]
    cells.append(Cell("t", "r", "e", ours=0.5, text="0.5", paper=0.3, paper_text="0.3", match="exact"))
    document = Document("T", "c", tuple(map(DocColumn, "cde")), (DocRow("r", tuple(cells)),))
    view = TableView("own", document, {})
    assert (view.folds, view.has_runs) == (0, False)
    shown = str(_environment().get_template("table.html.j2").module.grid(view))
    assert re.findall(r'data-(\w+)="([^"]*)"', shown) == [
        ("ours", "0.97866"),
        ("ours", "0.5"),
        ("paper", "0.3"),
        ("gap", "0.2"),
    ]
    assert view.counts == {**dict.fromkeys(COUNTED, 0), "exact": 1, "not run": 2}


def test_an_empty_store_shows_the_papers_values():
    with open_memory() as store:
        page = render_page(Results(store, []))
    assert "Nothing is stored yet." in page
    assert "0.9791" in page
    assert 'id="curves"' not in page
    assert 'id="runs"' not in page


def test_results_without_the_papers_do(tmp_path):
    with open_results([PUBLISHED / "cifar-small.jsonl"]) as store:
        page = render_page(Results(store, [PUBLISHED / "cifar-small.jsonl"]))
    assert 'id="study-cifar-small"' in page
    assert "Fig. 4" not in page


def test_a_log_of_many_epochs_keeps_some_of_them():
    long = {("test", "accuracy"): Series(tuple(range(10, 1010, 10)), (0.5,) * 100)}
    lines = log_of(long).splitlines()
    assert len(lines) == 1 + 40 + 1
    assert (lines[1].split()[0], lines[-2].split()[0], lines[-1]) == ("10", "1,000", "(60 of 100 lines left out)")
    assert log_of({}) == ""
