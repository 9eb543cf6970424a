"""`harness report figures`: what is drawn from the published results, what is not, and that the bytes stay the same."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest
from click.testing import CliRunner

from harness.base.errors import HarnessError
from harness.cli import main
from harness.report.figures.groups import table_groups
from harness.report.figures.numbers import mean_and_all, read_numbers
from harness.report.figures.results import Results
from harness.report.figures.style import styled
from harness.report.figures.training import fig_4, lines, middle
from harness.store.artifacts import read_artifact
from harness.store.connection import open_store
from harness.store.queries import artifacts

PUBLISHED = Path(__file__).resolve().parents[3] / "results" / "published"
STUDIES = ("mnist", "claims-mnist")
LINES = [json.loads(line) for study in STUDIES for line in (PUBLISHED / f"{study}.jsonl").open(encoding="utf-8")]
RUNS = [line for line in LINES if line["kind"] == "train"]
SEEDS = sorted({line["seed"] for line in RUNS})  # of Table 1
MNIST = {"fig4", "fig5", "fig5-maps", "fig6", "time-mnist", "parameters-mnist", "macs-mnist"}
CIFAR = {"parameters-cifar-small", "macs-cifar-small", "placements-cifar-small"}
ALWAYS = {"svg": MNIST, "pdf": CIFAR}


def mapped(label):
    """The seeds of a row of Table 1 of which the maps are published."""
    kept = {
        line["seed"]: artifact["sha256"]
        for line in RUNS
        if label in {study["trial_name"] for study in line["studies"]}
        for artifact in line["artifacts"]
        if artifact["kind"] == "maps"
    }
    return {seed for seed, sha in kept.items() if (PUBLISHED / "artifacts" / f"{sha}.npz").exists()}


def call(*words):
    return CliRunner().invoke(main, ["report", "figures", *map(str, words)])


@pytest.fixture(
    scope="module",
    params=[("svg", PUBLISHED / "mnist.jsonl"), ("pdf", PUBLISHED / "cifar-small.jsonl")],
    ids=["svg", "pdf"],
)
def twice(request, tmp_path_factory):
    """The figures of one published file, drawn by a process of their own and by this one."""
    form, source = request.param
    first, second = (tmp_path_factory.mktemp(f"{name}-{form}") / "figures" for name in ("first", "second"))
    words = ["--from", str(source), "--format", form, "--out"]
    code = f"from harness.cli import main; main({['report', 'figures', *words, str(first)]!r})"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=120)
    assert call(*words, second).exit_code == 0
    return form, first, second


def test_two_processes_give_the_same_bytes(twice):
    form, first, second = twice
    names = sorted(path.name for path in first.iterdir())
    assert {f"{name}.{form}" for name in ALWAYS[form]} <= set(names)
    assert names == sorted(path.name for path in second.iterdir())
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    page = first.with_name("figures.md").read_text()
    assert page == second.with_name("figures.md").read_text()
    assert {f"figures/{name}" for name in names} == set(re.findall(r"\]\((figures/[^)]+)\)", page))


def test_what_is_not_stored_is_named(tmp_path):
    result = call("--from", PUBLISHED / "cifar-small.jsonl", "--out", tmp_path / "figures")
    assert result.exit_code == 0, result.output
    assert not (tmp_path / "figures" / "fig4.svg").exists()
    assert "not drawn: Fig. 4. Test accuracy while training (MNIST): no run of Table 1" in result.stderr
    assert "not drawn: PSNR against σ: no PSNR is stored" in result.stderr
    assert "Fig. 4. Test accuracy while training (MNIST): no run of Table 1" in (tmp_path / "figures.md").read_text()


def test_an_empty_store_draws_nothing_and_says_so(tmp_path):
    open_store(tmp_path / "empty.db").close()
    result = call("--from", tmp_path / "empty.db", "--out", tmp_path / "figures")
    assert result.exit_code == 0, result.output
    assert list(tmp_path.glob("figures/*")) == []
    assert "there are no numbers to Figs. 4, 5 and 6" in (tmp_path / "figures.md").read_text()


def test_fig_4_shows_the_three_networks_of_the_paper(published):
    with styled():
        figure = fig_4(published).figure
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    networks = ("Baseline", "Feature pooling (spatial pooling), 50%", "Feature pooling (top-k), 50%")
    assert texts == [f"{name} (n = {len(SEEDS)})" for name in networks]
    thick = [line for line in figure.axes[0].lines if line.get_linewidth() > 1]
    thin = [line for line in figure.axes[0].lines if line.get_linewidth() < 1]
    assert (len(thick), len(thin)) == (3, 3 * len(SEEDS))
    assert len(thick[0].get_xdata()) == 30  # 3,000 steps, every 100


def test_the_thick_line_is_the_median(published):
    group = table_groups(published.snapshot)[0]
    seeds = lines(published, group, "accuracy")
    middling = middle(list(seeds.values()))
    assert middling.values[-1] == pytest.approx(median(s.values[-1] for s in seeds.values()))


def test_numbers_of_the_published_runs(published):
    numbers = read_numbers(published)
    assert len(numbers.readings) == 6 * 7 + 6  # similarity to the baseline: not of the baseline itself
    for reading in numbers.readings:
        of_maps = reading.quantity in {"similarity to the baseline", "total variation"}
        assert set(reading.values) == (mapped(reading.label) if of_maps else set(SEEDS)), reading
    base = next(r for r in numbers.of("steps to 97%") if r.label == "Baseline")
    assert (base.values[0], base.values[1]) == (1200, 1400)
    assert all(0.9 < value <= 1 for r in numbers.of("similarity to the baseline") for value in r.values.values())
    assert len(numbers.between_baselines) == math.comb(len(mapped("Baseline")), 2)
    assert {p.claim.id for p in numbers.pointing} >= {"spatial-50-more-stable", "spatial-50-maps-closer"}
    for p in numbers.pointing:
        sign = {"less": -1, "greater": 1}[p.claim.direction]
        assert p.agreeing == sum(sign * (p.first.values[s] - p.second.values[s]) > 0 for s in p.seeds)


def test_numbers_are_printed_alone(tmp_path):
    result = call("--from", PUBLISHED, "--numbers", "--out", tmp_path / "figures")
    assert result.exit_code == 0
    assert re.search(r"\| Baseline \| 0\.96\d\d \(0\.96\d\d[^)]*\) \| 1\d\d\d \(\d{4}[^)]*\) \|", result.stdout)
    few = f"With {len(SEEDS)} seeds no outcome has a p below {0.5 ** len(SEEDS):.2g}"
    assert (few if len(SEEDS) < 5 else "Decided by `harness report findings`, not here.") in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_maps_are_found_beside_a_database_too(published, tmp_path):
    run = table_groups(published.snapshot)[0].runs[0]
    kept = next(a for a in artifacts(published.store, run.uid) if a.kind == "maps")
    content = (PUBLISHED / "artifacts" / f"{kept.sha256}.npz").read_bytes()
    path = tmp_path / "artifacts" / run.uid / kept.path
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    elsewhere = Results(published.store, [tmp_path / "harness.db"], published.snapshot)
    assert elsewhere.maps(run).maps.shape == (10, 32, 28, 28)
    assert read_artifact([tmp_path / "other" / "harness.db"], run.uid, kept) is None
    path.write_bytes(content[:-1] + b"?")
    with pytest.raises(HarnessError, match=r"is not what attempt .* left: its SHA-256 differs"):
        elsewhere.maps(run)


def test_one_study_has_its_own_figures_in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sources = ("--from", PUBLISHED / "denoise-classical.jsonl", "--from", PUBLISHED / "cifar-small.jsonl")
    result = call(*sources, "--study", PUBLISHED.parents[1] / "ablations" / "denoise-classical.yml")
    assert result.exit_code == 0, result.output
    folder = tmp_path / "reports" / "figures" / "denoise-classical"
    drawn = [file.name for file in folder.iterdir()]
    assert len(drawn) > 10
    assert all("denoise-classical" in name for name in drawn)
    assert "Fig. 4" not in folder.with_name("denoise-classical.md").read_text()
    assert "image, study denoise-classical: the macs of its networks are not counted" in result.stderr
    assert "no study 'nosuch' is stored" in call(*sources, "--study", "nosuch").output
    assert "leave --study out" in call(*sources, "--study", "denoise-classical", "--numbers").output


def test_figures_need_no_torch():
    code = (
        "import sys, harness.report.figures.make, harness.report.figures.page, harness.report.html;"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_many_values_are_a_range():
    assert mean_and_all([0.5], 2) == "0.50"
    assert mean_and_all([0.5, 0.7], 2) == "0.60 (0.50, 0.70)"
    assert mean_and_all([5.0, 1.0, 2.0, 3.0, 4.0], 0) == "3 (1 to 5)"
