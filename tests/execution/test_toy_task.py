"""A task that is no classification, from another package and in one file: all that the harness does, it does for it.

`signals_package/signals.py` is registered by an entry point; nothing in `harness/` knows of it.
"""

import csv
import json
import math
import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from harness.plugins.plugin import entry_points

HERE = Path(__file__).parent
STUDY = """\
study: signals
task: {kind: signals, sigma: 0.4}
model: signals:Net
protocol: {kind: digits-quick, epochs: 3, batch_size: 20}
seeds: [0, 1]
evaluate: [{}, {condition: noisy, sigma: [0.1, 0.8]}, {condition: offset}]
execution: {threads: 1, checkpoint_every_s: 0}
trials:
  - name: Baseline
  - name: pooled
    at: conv2
    compressor: {kind: spatial, stride: 2}
"""

SEARCH = """\
search: places
task: {kind: signals, sigma: 0.4}
model: signals:Net
protocol: {kind: digits-quick, epochs: 1, batch_size: 120, train_on: without_validation}
seeds: [0]
compressor: {kind: spatial}
strides: [2]
sampler: brute
execution: {threads: 1}
"""
TABLE = """\
table: mine
caption: Signals.
match: by name
study: signals
expect: {task: signals, dataset: signals, seeds: [0, 1]}
select: best
columns:
  - {key: psnr, label: PSNR, source: result, metric: psnr_db, unit: dB, format: {digits: 2}, better: higher,
     evaluation: {condition: {kind: noisy, sigma: 0.4}}}
  - {key: better, label: Improved, source: result, metric: improved, unit: percent, format: {digits: 1}, better: higher,
     evaluation: {condition: {kind: noisy, sigma: 0.1}}}
rows:
  - {label: Baseline, select_by: psnr}
  - {label: pooled, select_by: psnr}
"""


def install(folder):
    """Install the package in a folder, as pip does."""
    folder.mkdir(parents=True)
    shutil.copy(HERE / "signals_package" / "signals.py", folder)
    info = folder / "signals-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: signals\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[harness.tasks]\nsignals = signals:TASK\n")
    (info / "RECORD").write_text("signals.py,,\n")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The package, installed for this process and for those that it starts."""
    folder = tmp_path_factory.mktemp("site") / "site-packages"
    install(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        entry_points.cache_clear()
        yield folder
    entry_points.cache_clear()


@pytest.fixture(scope="module")
def another(new_lab, site):
    """Return a function that makes a folder with the study, in which commands find the package."""

    def make():
        lab = new_lab(PYTHONPATH=str(site))
        (lab.folder / "study.yml").write_text(STUDY)
        return lab

    return make


@pytest.fixture(scope="module")
def ran(another):
    lab = another()
    ended = lab.here("run", "grid", "study.yml")
    assert ended.code == 0, ended.err
    return lab


def test_it_trains_and_is_evaluated_under_its_conditions(ran):
    assert ran.states() == ["done"] * 4
    found = ran.query("""SELECT e.condition_json, x.name, count(*), min(x.value) FROM result x
        JOIN evaluation e ON e.id = x.evaluation_id GROUP BY 1, 2 ORDER BY 1, 2""")
    conditions = ['{"kind":"noisy","sigma":0.1}', '{"kind":"noisy","sigma":0.4}', '{"kind":"noisy","sigma":0.8}']
    expected = [(c, name) for c in [*conditions, '{"kind":"offset"}'] for name in ("improved", "psnr_db")]
    assert [row[:3] for row in found] == [(*pair, 4) for pair in expected]
    psnr = {condition: least for condition, name, _, least in found if name == "psnr_db"}
    assert psnr[conditions[1]] > 8 > -20 * math.log10(0.4) - 1  # better than the noise that it was trained on


def test_its_values_by_item_and_what_its_metrics_are_are_stored(ran):
    assert set(ran.query("SELECT name, count, encoding, length(packed) FROM sample")) == {
        ("psnr", 48, "float32", 192), ("better", 48, "bits", 6),
    }  # fmt: skip
    ((metrics,),) = set(ran.query("SELECT metrics_json FROM trial"))
    assert json.loads(metrics) == [
        {"name": "psnr_db", "unit": "dB", "better": "higher", "by_item": "psnr"},
        {"name": "improved", "unit": "fraction", "better": "higher", "by_item": "better"},
    ]


def test_its_curve_has_its_metrics_by_epoch(ran):
    points = ran.query("SELECT split, name, count(*) FROM metric WHERE attempt_id = 1 GROUP BY 1, 2 ORDER BY 1, 2")
    assert points == [("test", "improved", 3), ("test", "psnr_db", 3)]


def test_its_studys_table_has_its_metrics_in_their_order_with_units(ran):
    ended = ran.here("report", "tables", "--study", "study.yml")
    head, _, *rows = [line.strip("| ").split(" | ") for line in ended.out.splitlines() if line.startswith("|")]
    conditions = ["noisy, sigma 0.1", "noisy, sigma 0.4", "noisy, sigma 0.8", "offset"]
    of = [f"{name} (signals test, {c})" for c in conditions for name in ("psnr_db [dB]", "improved")]
    assert [" ".join(cell.split()) for cell in head][-11:] == ["Runs", *of, "Parameters", "MACs"]
    for metric in range(2, 10, 2):
        best = max(rows, key=lambda row: float(row[metric].strip("* ").split()[0]))
        assert re.fullmatch(r"\*\*-?\d+\.\d\d ± \d+\.\d\d \(n = 2, best -?\d+\.\d\d\)\*\*", best[metric].strip())
        assert sum("**" in row[metric] for row in rows) == 1
    (error,) = re.findall("binomial standard error of an improved of", ended.out)
    assert error
    cells = json.loads(ran.here("report", "tables", "--study", "study.yml", "--format", "json").out)
    assert {cell["unit"] for cell in cells if "psnr_db" in cell["column"]} == {"dB"}
    assert {cell["unit"] for cell in cells if "improved" in cell["column"]} == {"fraction"}


def test_a_table_of_it_compares_its_networks_by_item(ran):
    (ran.folder / "mine.yml").write_text(TABLE)
    ended = ran.here("report", "tables", "--file", "mine.yml")
    assert ended.code == 0, ended.err
    pooled = [line for line in ended.out.splitlines() if line.startswith("| pooled")]
    assert re.search(r"[+−]\d\.\d\d \[[+−]\d\.\d\d, [+−]\d\.\d\d\] \([01], [01]\) \|$", pooled[1])
    assert "By image [95%] (seeds)" in ended.out
    assert re.search(r"\(\d+/\d+; [01], [01]\) \|$", pooled[2])  # bits: McNemar's test
    assert ended.out.count("binomial standard error of an improved of") == 1
    text = ran.here("report", "tables", "--file", "mine.yml", "--format", "csv").out
    head, *rows = csv.reader(text.splitlines())
    assert [name for name in head if name.endswith("items mean difference")] == ["PSNR [dB] items mean difference"]
    assert [len(row) for row in rows] == [len(head)] * 2


def test_its_curve_is_printed(ran):
    ended = ran.here("results", "curve", "signals:pooled:1", "--metric", "psnr_db")
    assert re.search(r"signals:pooled:1 +test +psnr_db +12–36 +[▁▂▃▄▅▆▇█]{3} ", ended.out)


def test_its_runs_are_compared_item_by_item(ran):
    runs = ("signals:Baseline:0", "signals:pooled:0")
    whole = json.loads(ran.here("report", "compare", *runs, "--format", "json").out)["metrics"]
    first = whole["signals/test psnr (kind noisy, sigma 0.4)"]
    assert (first["images"], first["mcnemar"]) == (48, None)
    assert first["difference"] == pytest.approx(first["b"] - first["a"])
    assert first["bootstrap_95"][0] < first["difference"] < first["bootstrap_95"][1]
    bits = whole["signals/test better (kind noisy, sigma 0.1)"]
    assert bits["difference"] == pytest.approx((bits["only_b"] - bits["only_a"]) / 48)
    named = json.loads(ran.here("report", "compare", *runs, "--metric", "psnr_db", "--format", "json").out)["metrics"]
    assert named == {words: found for words, found in whole.items() if "/test psnr " in words}
    methods = ran.here("report", "compare", "signals:Baseline", "signals:pooled", "--metric", "psnr_db")
    assert "signals/test psnr_db (kind offset)" in methods.out


def test_its_figures_show_its_foremost_metric(ran):
    ended = ran.here("report", "figures", "--out", "figures")
    assert ended.code == 0, ended.err
    made = {path.stem: path.read_text() for path in (ran.folder / "figures").glob("*.svg")}
    scatters = {
        f"scatter-signals-signals-test-{c}" for c in ("noisy-sigma-0.1", "noisy-sigma-0.4", "noisy-sigma-0.8", "offset")
    }
    others = {"parameters-signals", "macs-signals", "psnr_db-sigma-signals-signals-test-noisy"}
    assert made.keys() == others | scatters
    assert "<!-- psnr_db [dB] (signals test, noisy, sigma 0.4) -->" in made["parameters-signals"]
    assert "<!-- psnr_db [dB] (signals test, noisy) -->" in made["psnr_db-sigma-signals-signals-test-noisy"]
    assert "study signals" not in ended.err.replace("Training time, study signals", "")


def test_its_page_has_its_metrics(ran):
    ended = ran.here("report", "html", "--out", "page.html")
    assert ended.code == 0, ended.err
    page = (ran.folder / "page.html").read_text()
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])
    labels = [metric["label"] for metric in data["curves"]["signals"]["metrics"]]
    assert labels == ["psnr_db [dB], test", "Improved, test"]
    assert data["costs"]["signals"]["metric"] == "psnr_db [dB]"
    assert "psnr_db [dB] against costs</h2>" in page
    assert re.search(r"2 runs · psnr_db \[dB\] \d+\.\d\d \(signals test, noisy, sigma 0\.4\)", page)


def test_a_search_of_where_compressors_stand_in_it(another):
    lab = another()
    (lab.folder / "search.yml").write_text(SEARCH)
    ended = lab.here("search", "placement", "search.yml", "--confirm", 5, "--format", "json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert (found["objectives"], found["outcomes"], found["stopped"]) == (
        ["psnr_db", "parameters"], {"value": 2}, "exhausted",
    )  # fmt: skip
    splits = lab.query("SELECT DISTINCT d.split FROM evaluation e JOIN dataset d ON d.id = e.dataset_id")
    assert splits == [("validation",)], "a search never meets the test set"
    assert [type(place["confirmed"]) for place in found["front"]] == [float] * len(found["front"])
    shown = lab.here("search", "placement", "search.yml").out
    assert shown.split()[:4] == ["placement", "psnr_db", "parameters", "MACs"]
    assert "psnr_db [dB] on the validation split" in (lab.folder / "places-front.svg").read_text()
    assert "psnr_db on the test set" in (lab.folder / "places-front.yml").read_text()
    assert lab.here("run", "grid", "places-front.yml", "--dry-run").code == 0
    wrong = lab.here("search", "placement", "search.yml", "--objectives", "accuracy")
    assert wrong.code == 2
    assert "--objectives: an item of 'objectives' must be psnr_db, parameters or macs, not 'accuracy'" in wrong.err


def test_it_is_said_how_far_it_is_in_its_own_words(ran, another):
    lab = another()
    ended = lab.here("run", "grid", "study.yml", "--limit", 1)
    assert "epoch 3/3, psnr_db " in ended.err
    assert "accuracy" not in ended.err
    assert lab.found() == {key: found for key, found in ran.found().items() if key in lab.found()}, "the same bits"


def test_killed_in_the_middle_it_resumes_to_the_same_bits(ran, another, wait_until):
    lab = another()
    process = lab.start("run", "grid", "study.yml", "--limit", 1)
    wait_until(lambda: list(lab.artifacts.glob("*/checkpoint.pt")))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    ended = lab.here("run", "grid", "study.yml", "--limit", 1)
    assert ended.code == 0, ended.err
    assert "resumes" in ended.err
    ((run, found),) = lab.found().items()
    assert found == ran.found()[run]


def test_another_evaluation_is_made_from_the_stored_weights(ran):
    (ran.folder / "more.yml").write_text(STUDY.replace("0.8]", "0.8, 1.5]"))
    ended = ran.here("run", "grid", "more.yml", "--limit", 1)
    assert ended.code == 0, ended.err
    assert ran.query("SELECT kind, state FROM attempt ORDER BY id DESC LIMIT 1") == [("evaluate", "done")]


def test_edited_it_is_another_trial(ran, site, another):
    module = site / "signals.py"
    text = module.read_text()
    module.write_text(text.replace("(1, 2, 5)", "(1, 2, 6)"))
    lab = another()
    try:
        assert lab.here("run", "grid", "study.yml", "--limit", 1).code == 0
    finally:
        module.write_text(text)
    assert lab.found()
    assert not lab.found().keys() & ran.found().keys()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("sigma: 0.4", "sigma: 0", "study.yml:2: 'sigma' must be greater than 0, not 0"),
        ("sigma: 0.4", "sgima: 0.4", "study.yml:2: unknown key 'sgima'; did you mean 'sigma'?"),
        ("model:", "dataset: digits\nmodel:", "the task 'signals' brings its own data: leave 'dataset' out"),
        (
            "condition: offset",
            "condition: ofset",
            "unknown condition 'ofset' of task 'signals'; did you mean",
        ),
        ("condition: offset", "condition: offset, sigma: 1", "unknown key 'sigma'"),
        ("stride: 2", "stride: 3", "stride 3 does not divide the 8 channels at 'conv2'"),
    ],
)
def test_what_is_wrong_in_a_study_of_it_is_one_line(ran, old, new, message):
    (ran.folder / "wrong.yml").write_text(STUDY.replace(old, new))
    ended = ran.here("run", "grid", "wrong.yml", "--dry-run")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert message in ended.err.replace("wrong.yml", "study.yml")
