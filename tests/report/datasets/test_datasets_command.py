"""`harness report datasets`: which runs are of which method and data set, what decides, what is said of the rest."""

import csv
import io
import json
from contextlib import chdir
from pathlib import Path

import pytest
from click.testing import CliRunner
from own_runs import store_runs

from harness.cli import main
from harness.report.datasets.scores import read_scores
from harness.report.figures.datasets import dataset_figures
from harness.report.figures.results import Results
from harness.report.figures.style import styled
from harness.store.connection import open_store
from harness.store.queries import snapshot

STUDY = """study: own
task: function
target: train.py:run
metrics: {score: {direction: maximize, unit: dB}}
seeds: [0, 1]
trials:
  - name: "{arguments.kind} on {arguments.dataset}"
    grid: {arguments.kind: [base, good, same], arguments.dataset: [d0, d1, d2, d3, d4, d5, d6, d7]}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_DB", raising=False)
    prepare(tmp_path)
    return tmp_path


def prepare(folder):
    (folder / "train.py").write_text("def run(context, *, kind='base', dataset='d0', width=1):\n    return {}\n")


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """Return a folder with the study and its runs, which tests only read."""
    folder = tmp_path_factory.mktemp("ready")
    prepare(folder)
    with chdir(folder):
        stored()
    return folder


@pytest.fixture
def own(ready, monkeypatch):
    monkeypatch.chdir(ready)


def values(seed, kind="base", dataset="d0"):
    """`good` is better on each data set, by 2 to 2.7; `same` now better, now worse."""
    on = int(dataset[1:])
    gain = {"base": 0, "good": 2 + on / 10 + seed / 10, "same": (on + 1) * (-1) ** on / 10}[kind]
    return {"score": 10 * on + gain + (seed - 0.5) / 2}


def any_width(seed, kind="base", dataset="d0", width=1):
    return values(seed, kind, dataset)


def stored(text=STUDY, runs=values):
    Path("own.yml").write_text(text)
    store_runs("own.yml", runs)


def call(*words, code=0):
    done = CliRunner().invoke(main, ["report", "datasets", *words], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.stderr


@pytest.mark.usefixtures("own")
def test_one_study_one_command_one_verdict():
    text = call("own.yml")
    assert "- good is better than base: ahead on 8 of 8 data sets, p 0.023 after Holm over 3" in text
    assert "base and same: undecided" in text
    (ranks,) = [line for line in text.splitlines() if line.startswith("| mean rank")]
    assert [float(part) for part in ranks.split("|")[2:-1]] == [1.0, 2.5, 2.5]
    assert "Friedman: the methods differ" in text
    assert "means over 2 seeds" in text


def test_a_data_set_counts_once_however_many_seeds_it_has():
    two = STUDY.replace(", d4, d5, d6, d7", "").replace(", same", "")
    stored(two)
    few = json.loads(call("own", "--format", "json"))["pairs"]
    stored(two.replace("[0, 1]", "[0, 1, 2, 3]"))
    many = json.loads(call("own", "--format", "json"))["pairs"]
    assert [pair["test"]["p"] for pair in few] == [pair["test"]["p"] for pair in many] == [0.125]


def test_too_few_data_sets_whatever_they_show():
    stored(STUDY.replace(", d5, d6, d7", "").replace(", same", ""))
    text = call("own.yml")
    assert "good and base: too few data sets to tell (5; smallest attainable p 0.062): 6 without a tie could" in text
    assert "Friedman: too few to tell whether any of the 2 methods differ on 5 data sets" in text
    assert "Nemenyi" not in text  # of two methods it says nothing that the test does not


def test_against_a_baseline_fewer_tests_are_corrected_for():
    stored(STUDY.replace("trials:", "baseline: base on d0\ntrials:").replace("[0, 1]", "[0]"))
    found = json.loads(call("own.yml", "--format", "json"))
    assert found["against"] == "base"
    assert [(pair["b"], pair["a"], pair["verdict"]) for pair in found["pairs"]] == [
        ("good", "base", "better"),
        ("same", "base", "undecided"),
    ]
    assert found["pairs"][0]["test"]["p_holm"] == 2 * found["pairs"][0]["test"]["p"]
    assert json.loads(call("own.yml", "--against", "good", "--format", "json"))["pairs"][0]["verdict"] == "worse"


def test_lower_may_be_better():
    stored(STUDY.replace("maximize", "minimize").replace(", same", ""))
    text = call("own.yml", "--against", "base")
    assert "good is worse than base: ahead on 0 of 8 data sets" in text
    found = json.loads(call("own.yml", "--against", "base", "--rope", "1", "--format", "json"))
    (good,) = [pair for pair in found["pairs"] if pair["b"] == "good"]
    assert good["posterior"]["worse"] > 0.95
    assert good["improvement"]["value"] == 0
    assert all(each["posterior"]["worse"] > 0.95 for each in good["by_dataset"])


@pytest.mark.usefixtures("own")
def test_a_region_of_practical_equivalence():
    found = json.loads(call("own.yml", "--rope", "3", "--format", "json"))
    assert {pair["b"]: round(pair["posterior"]["same"]) for pair in found["pairs"]} == {"good": 1, "base": 1}
    assert "same 1.00" in call("own.yml", "--rope", "3")


@pytest.mark.usefixtures("own")
def test_seeds_that_split_the_same_data_say_less():
    apart, overlapping = (
        json.loads(call("own.yml", "--overlap", share, "--format", "json"))["pairs"][0]["by_dataset"][0]["posterior"]
        for share in ("0", "0.3")
    )
    assert overlapping["better"] < apart["better"] < 1


def test_only_seeds_that_all_methods_have_run_and_whole_data_sets_count():
    def some(seed, kind="base", dataset="d0"):
        return {"score": float("nan")} if (kind, dataset) == ("same", "d7") else values(seed, kind, dataset)

    text = STUDY.replace("    grid:", "    exclude: [{arguments.kind: same, arguments.dataset: d6}]\n    grid:")
    more = "".join(
        f"  - {{name: {kind} on d8, arguments: {{kind: {kind}, dataset: d8}}, seeds: {seeds}}}\n"
        for kind, seeds in (("base", [0]), ("good", [0, 1]), ("same", [0, 1]))
    )
    stored(text + more, some)
    found = json.loads(call("own.yml", "--format", "json"))
    assert found["datasets"] == ["d0", "d1", "d2", "d3", "d4", "d5", "d8"]
    assert found["left_out"] == [
        "d6 (no run of same)",
        "d7 (same diverged, which speaks against it)",
        "1 seed of d8 that not all methods have run",
    ]
    assert "- d6 (no run of same)" in call("own.yml")


def test_settings_that_go_with_the_data_set_make_no_method():
    """A width that each data set has one of is no other method."""
    text = STUDY.replace(
        "    grid: {arguments.kind: [base, good, same], arguments.dataset: [d0, d1, d2, d3, d4, d5, d6, d7]}",
        "    grid: {arguments.kind: [base, good]}\n    zip: {arguments.dataset: [d0, d1], arguments.width: [3, 4]}",
    )
    stored(text, any_width)
    assert json.loads(call("own.yml", "--format", "json"))["methods"][0]["name"] == "good"
    assert "good" in call("own.yml", "--by", "arguments.width")


def test_several_settings_name_a_method():
    text = STUDY.replace("[base, good, same]", "[base, good], arguments.width: [1, 2]").replace(
        "on {arguments.dataset}", "{arguments.width} on {arguments.dataset}"
    )
    stored(text.replace(", d4, d5, d6, d7", ""), any_width)
    found = json.loads(call("own.yml", "--format", "json"))
    assert [method["name"] for method in found["methods"]] == [
        "kind good, width 1", "kind good, width 2", "kind base, width 1", "kind base, width 2",
    ]  # fmt: skip
    assert found["pairs"][0]["test"] | {"p": 1, "ties": 4} == found["pairs"][0]["test"]
    assert "are both 'base' on 'd0'" in call("own.yml", "--methods", "arguments.kind", code=2)


@pytest.mark.usefixtures("own")
def test_as_csv_and_latex():
    rows = list(csv.DictReader(io.StringIO(call("own.yml", "--format", "csv"))))
    assert [row["row"] for row in rows[:8]] == [f"d{i}" for i in range(8)]
    assert float(rows[3]["good"]) == pytest.approx(32.35)
    latex = call("own.yml", "--format", "latex", "--bare")
    assert latex.count(r"\begin{tabular}") == 2
    assert "Friedman" not in latex


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--metric", "scoer"], "no metric 'scoer'; did you mean 'score'?"),
        (["--by", "arguments.width"], "--by arguments.width: all trials of study 'own' have the same, or none sets it"),
        (["--methods", "arguments.width"], "--methods arguments.width: all trials"),
        (["--against", "god"], "--against takes a method, not 'god'; did you mean 'good'?"),
        (["--rope", "-1"], "Invalid value for '--rope'"),
        (["--overlap", "1"], "Invalid value for '--overlap'"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(words, why):
    assert why in call("own.yml", *words, code=2)


def test_a_study_without_data_sets_says_what_its_trials_differ_in():
    stored("study: own\ntask: function\ntarget: train.py:run\nmetrics: {score: maximize}\nseeds: [0]\ntrials:\n"
           '  - {name: "{arguments.kind}", grid: {arguments.kind: [base, good]}}\n')  # fmt: skip
    text = call("own.yml", code=2)
    assert (
        "--by says which setting is the data set, e.g. --by arguments.kind; its trials differ in arguments.kind" in text
    )
    assert "one method on each data set" in call("own.yml", "--by", "arguments.kind", code=2)


def test_one_method_or_one_data_set_is_nothing_to_compare():
    def diverges(seed, kind="base", dataset="d0"):
        return {"score": float("nan")} if dataset == "d1" else values(seed, kind, dataset)

    stored(STUDY.replace("[d0, d1, d2, d3, d4, d5, d6, d7]", "[d0, d1]"), diverges)
    assert "has 3 methods on 1 data set by 'arguments.dataset'; two of each can be compared; left out: d1" in call(
        "own.yml", code=2
    )


def test_networks_by_the_data_sets_of_their_evaluations(published_store):
    """BM3D and others on two sets of photographs: the condition is the foremost, unless another is named."""
    found = read_scores(published_store, "denoise-classical")
    assert found.by == "dataset"
    assert {"bm3d", "nl_bayes"} <= set(found.methods)
    assert found.metric.name == "psnr_db"
    assert "sigma" in found.condition
    other = read_scores(published_store, "denoise-classical", metric="psnr_db, gaussian, sigma 50")
    assert other.condition == "gaussian, sigma 50"
    dataset = found.datasets[0]
    assert other.runs["bm3d"][dataset][0] < found.runs["bm3d"][dataset][0]


@pytest.mark.usefixtures("own")
def test_figures_of_ranks_and_profiles():
    with open_store("results/harness.db") as store, styled():
        ranks, profiles = dataset_figures(Results(store, []), "own")
        labels = [text.get_text() for text in ranks.figure.axes[0].texts]
        assert {"good (1.00)", "base (2.50)"} <= set(labels)
        assert any(label.startswith("critical difference 1.17") for label in labels)
        assert [line.get_label() for line in profiles.figure.axes[0].lines] == ["good", "base", "same"]
        assert (ranks.name, profiles.name) == ("ranks-own-score", "profiles-own-score")


def test_no_figure_of_too_few_data_sets():
    stored(STUDY.replace(", d5, d6, d7", "").replace("[0, 1]", "[0]"))
    with open_store("results/harness.db") as store:
        assert dataset_figures(Results(store, []), "own") == []
        assert len(read_scores(snapshot(store), "own").datasets) == 5
