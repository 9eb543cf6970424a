"""A page about a person's own study: its verdicts first, and nothing of a paper that it has nothing to do with."""

import math
import re
from contextlib import chdir
from html import unescape
from pathlib import Path

import pytest
from click.testing import CliRunner
from own_runs import store_runs

import harness
from harness.cli import main

STUDY = """study: NAME
task: function
target: train.py:run
metrics: {loss: minimize}
seeds: [0, 1, 2, 3, 4, 5, 6, 7]
baseline: base
trials:
  - {name: "{arguments.kind}", grid: {arguments.kind: [base, good]}}
claims:
  - {id: good, a: good, b: base, metric: loss, says: better, by: 2}
"""
BARE = STUDY[: STUDY.index("claims:")]
HTML = Path(harness.__file__).parent / "report" / "html"
PUBLISHED = Path(__file__).resolve().parents[3] / "results" / "published" / "mnist.jsonl"


def values(seed, kind="base"):
    return {"loss": 100 + 10 * seed - (4 + seed % 3) * (kind == "good")}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Three studies of a function in one store."""
    folder = tmp_path_factory.mktemp("own")
    with chdir(folder):
        Path("train.py").write_text("def run(context, *, kind='base'):\n    return {}\n")
        three = STUDY.replace("[base, good]", "[base, good, bad]")
        for name, text in (("mine", STUDY), ("other", STUDY), ("three", three)):
            Path(f"{name}.yml").write_text(text.replace("NAME", name))
            store_runs(f"{name}.yml", values)
    return folder


def page(lab, *arguments):
    with chdir(lab):
        done = CliRunner().invoke(main, ["report", "html", "--out", "page.html", *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.stderr
        return Path("page.html").read_text(encoding="utf-8")


def words_of(written):
    """Return the texts of a page."""
    bare = re.sub(r"<(script|style)\b.*?</\1>", "", written, flags=re.DOTALL)
    texts = (re.sub(r"\s+", " ", unescape(text)).strip() for text in re.split(r"<[^>]+>", bare))
    return [text for text in texts if text]


def text_of(written):
    bare = re.sub(r"<(script|style|svg)\b.*?</\1>", "", written, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", bare)))


def test_its_verdicts_come_first_with_a_plot_then_its_table(lab):
    written = page(lab, "--study", "mine.yml")
    text = text_of(written)
    assert "<title>harness: study mine</title>" in written
    places = [text.index(words) for words in ("Study mine", "supported", "good is better than base", "Click a heading")]
    assert places == sorted(places)
    assert written.index('class="forest"') < written.index('id="tables"')


def test_what_it_says_of_every_study_is_a_twentieth_of_its_text_at_most(lab):
    """Each sentence, heading and label that stands in a template counts, once, as being about no study."""
    templates = " ".join(re.sub(r"\s+", " ", path.read_text(encoding="utf-8")) for path in HTML.glob("*.j2"))
    texts = words_of(page(lab, "--study", "three.yml"))
    of_every_study = {text for text in texts if len(text) > 3 and text in templates}
    assert any("each run's results, log" in text for text in of_every_study)
    assert sum(map(len, of_every_study)) < 0.05 * sum(map(len, texts))


def test_without_claims_it_opens_with_the_differences_to_the_baseline_else_with_means(lab):
    with chdir(lab):
        for name, text in (("against", BARE), ("means", BARE.replace("baseline: base\n", ""))):
            Path(f"{name}.yml").write_text(text.replace("NAME", name))
            store_runs(f"{name}.yml", values, db="bare.db")
    against, means = (text_of(page(lab, "--db", "bare.db", "--study", name)) for name in ("against", "means"))
    assert "No claims None was written down, so nothing is decided" in against
    assert "loss over seeds, against base difference [95%] good −4.8750 [−5.5727, −4.1773]" in against
    assert "loss, mean over the seeds mean [95%] base 135" in means


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_what_is_no_number_is_left_out_of_the_plot(lab, broken):
    with chdir(lab):
        Path("nan.yml").write_text(BARE.replace("NAME", "nan"))
        store_runs("nan.yml", lambda seed, kind="base": {"loss": broken if kind == "good" else seed}, db=f"{broken}.db")
    assert 'class="forest"' in page(lab, "--db", f"{broken}.db", "--study", "nan")


@pytest.mark.parametrize("arguments", [["--study", "mine"], []], ids=["one study", "all that is stored"])
def test_nothing_of_the_paper_is_in_it(lab, arguments):
    text = text_of(page(lab, *arguments))
    for words in ("paper", "Feature Pooling", "Table 1", "misprint", "MNIST"):
        assert words.lower() not in text.lower()


def test_the_other_study_is_left_out(lab):
    assert "other" in text_of(page(lab))
    assert "study other" not in text_of(page(lab, "--study", "mine"))


def test_an_unknown_study_is_said(lab):
    with chdir(lab):
        done = CliRunner().invoke(main, ["report", "html", "--study", "min"], catch_exceptions=False)
    assert (done.exit_code, "did you mean 'mine'?" in done.stderr) == (2, True)


def test_where_runs_of_the_paper_are_stored_it_is_there(lab):
    with chdir(lab):
        CliRunner().invoke(main, ["results", "merge", str(PUBLISHED), "--db", "both.db"], catch_exceptions=False)
    assert "Feature Pooling" in text_of(page(lab, "--db", "both.db"))
    assert "Table 1" in text_of(page(lab, "--db", "both.db", "--study", "mnist"))
