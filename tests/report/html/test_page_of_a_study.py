"""A page about a person's own study: its verdicts first, and nothing of a paper that it has nothing to do with."""

import re
from contextlib import chdir
from html import unescape
from pathlib import Path

import pytest
from click.testing import CliRunner
from own_runs import store_runs

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
PUBLISHED = Path(__file__).resolve().parents[3] / "results" / "published" / "mnist.jsonl"


def values(seed, kind="base"):
    return {"loss": 100 + 10 * seed - (4 + seed % 3) * (kind == "good")}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Two studies of a function in one store."""
    folder = tmp_path_factory.mktemp("own")
    with chdir(folder):
        Path("train.py").write_text("def run(context, *, kind='base'):\n    return {}\n")
        for name in ("mine", "other"):
            Path(f"{name}.yml").write_text(STUDY.replace("NAME", name))
            store_runs(f"{name}.yml", values)
    return folder


def page(lab, *arguments):
    with chdir(lab):
        done = CliRunner().invoke(main, ["report", "html", "--out", "page.html", *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.stderr
        return Path("page.html").read_text(encoding="utf-8")


def text_of(written):
    bare = re.sub(r"<(script|style|svg)\b.*?</\1>", "", written, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", bare)))


def test_its_verdicts_come_first_with_a_plot_then_its_table(lab):
    written = page(lab, "--study", "mine.yml")
    text = text_of(written)
    assert "<title>harness: study mine</title>" in written
    places = [text.index(words) for words in ("Study mine", "supported", "good is better than base", "Click a heading")]
    assert places == sorted(places)
    assert written.index("data:image/svg+xml;base64,") < written.index('id="tables"')


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
