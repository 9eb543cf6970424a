"""What is published holds together: keys, Table 1, the optimiser's rule, reports that regenerate byte by byte."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.execution.plan import plan
from harness.store.connection import open_memory
from harness.store.export import published_lines
from harness.store.merge import merge_jsonl, open_results
from harness.store.queries import curve, samples, snapshot
from harness.study.grid import Override
from harness.study.study import load_study
from harness.trial.protocol import resolve_protocol

ROOT = Path(__file__).resolve().parent.parent
PUBLISHED = ROOT / "results" / "published"
FILES = sorted(PUBLISHED.glob("*.jsonl"))
PARAMETERS = [12.260, 6.135, 3.072, 6.135, 3.072, 6.133, 3.069]
FLOPS = [2.571e7, 1.286e7, 6.442e6, 1.286e7, 6.442e6, 1.286e7, 6.435e6]
IN_PART = {"cifar": "protocol.precision=bf16"}  # run by run, as a GPU is at hand; and with what was set
TARGET = 0.979  # the paper's baseline, which the optimiser's rule aims at


def _tables(*arguments):
    result = CliRunner().invoke(main, ["report", "tables", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def table_1():
    return json.loads(_tables("--table", 1, "--from", PUBLISHED / "mnist.jsonl", "--format", "json"))


def test_the_studies_are_there():
    cifar, mnist = "cifar cifar-fast-rate cifar-small", "claims-mnist mnist mnist-optimiser sensitivity-mnist same-code"
    denoise = "denoise-25 denoise-any denoise-quickstart denoise-small-rate denoise-speed"
    classical = "denoise-classical denoise-constants denoise-preparations same-code-classical"
    attacked = "adversarial-denoisers adversarial-lite0 adversarial-tuning"
    named = f"{cifar} {mnist} {denoise} {classical} {attacked} imagenette imagenette-64"
    assert {file.stem for file in FILES} == set(named.split())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_merging_twice_is_as_once_and_an_export_gives_the_file_back(file):
    with open_memory() as store:
        first, second = merge_jsonl(store, file), merge_jsonl(store, file)
        assert (first.known, second.added) == (0, 0)
        assert first.added == second.known == len(file.read_text().splitlines())
        assert "".join(f"{line}\n" for line in published_lines(store, studies=None)) == file.read_text()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_store_merged_from_all_has_nothing_to_do(file, study_file, tmp_path):
    overrides = [Override.parse(IN_PART[file.stem])] if file.stem in IN_PART else []
    with open_results(FILES) as store:
        planned = plan([load_study(study_file(file.stem), overrides)], snapshot(store), tmp_path)
    assert planned.of("done") or planned.of("held")
    assert bool(planned.of("left")) == (file.stem in IN_PART)
    assert set(planned.held_by_reason()) <= {"stale"}  # as soon as code that made them is changed


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_lines_say_what_they_come_from_and_name_no_place(file):
    for line in map(json.loads, file.read_text().splitlines()):
        assert line["environment"]["torch"]
        assert line["environment"]["device"]
        assert "host" not in line["environment"]
        assert line["code_digest"]
        said = json.dumps([line["environment"], line["execution"]]).replace("https://", "").replace("GNU/Linux", "")
        assert "/" not in said


def test_the_optimiser_of_mnist_paper_is_what_the_rule_gives():
    with open_results([PUBLISHED / "mnist-optimiser.jsonl"]) as store:
        found = snapshot(store)
    distance = {}
    for attempt in found.attempts:
        protocol = found.trials[attempt.trial_key].config["protocol"]
        assert protocol["train_on"] == "without_validation"
        assert attempt.seed == 1000
        ((key, _), *_) = attempt.results
        assert found.evaluations[key].split == "validation"
        accuracy = attempt.results[key, "accuracy"]
        distance[json.dumps(protocol["optimizer"], sort_keys=True)] = abs(accuracy - TARGET)
    assert len(distance) == 6
    chosen = resolve_protocol({"kind": "mnist-paper"}).canonical()["optimizer"]
    assert json.dumps(chosen, sort_keys=True) == min(distance, key=distance.__getitem__)


def test_the_learning_rate_of_cifar_fast_is_what_the_rule_gives():
    with open_results([PUBLISHED / "cifar-fast-rate.jsonl"]) as store:
        found = snapshot(store)
    accuracy = {}
    for attempt in found.attempts:
        config = found.trials[attempt.trial_key].config
        assert config["protocol"]["train_on"] == "without_validation"
        assert config["model"] == {"kind": "vgg16", "width": 0.25}
        assert attempt.seed == 1000
        assert {found.evaluations[key].split for key, _ in attempt.results} == {"validation"}
        rate = config["protocol"]["optimizer"]["learning_rate"]
        accuracy[rate] = next(value for (_, name), value in attempt.results.items() if name == "accuracy")
    assert sorted(accuracy) == [0.05, 0.1, 0.2, 0.4]
    chosen = resolve_protocol({"kind": "cifar-fast"}).settings.optimizer
    assert chosen.learning_rate == max(accuracy, key=accuracy.__getitem__)


def test_cifar_small_is_whole_and_its_baseline_has_learnt():
    cells = json.loads(_tables("--table", "cifar-small", "--from", PUBLISHED / "cifar-small.jsonl", "--format", "json"))
    accuracy = {cell["row"]: cell for cell in cells if cell["column"] == "accuracy"}
    assert len(accuracy) == 11
    for cell in accuracy.values():
        assert (cell["select"], len(cell["values"]), None in cell["values"]) == ("mean", 3, False)
        assert cell["ours"] == pytest.approx(sum(cell["values"]) / 3)
        assert cell["dataset"] == "cifar10"
    assert min(accuracy["Baseline"]["values"]) >= 80
    macs = {cell["row"]: cell["ours"] for cell in cells if cell["column"] == "macs"}
    parameters = {cell["row"]: cell["ours"] for cell in cells if cell["column"] == "parameters"}
    assert macs["narrow, 2FP, stride 2"] < macs["spatial, 2FP, stride 2"] < macs["Baseline"]
    assert parameters["narrow, 2FP, stride 2"] == pytest.approx(parameters["spatial, 2FP, stride 2"], abs=0.0025)


def test_imagenette_is_whole_and_its_networks_have_learnt():
    cells = json.loads(_tables("--table", "imagenette", "--from", PUBLISHED / "imagenette.jsonl", "--format", "json"))
    accuracy = {cell["row"]: cell for cell in cells if cell["column"] == "accuracy"}
    assert len(accuracy) == 5
    assert min(value for cell in accuracy.values() for value in cell["values"]) > 20, "ten classes"
    parameters = {cell["row"]: cell["ours"] for cell in cells if cell["column"] == "parameters"}
    for at in ("layer1", "layer3"):
        assert parameters[f"spatial, {at}, stride 2"] < parameters[f"conv1x1, {at}, stride 2"] < parameters["Baseline"]


def test_table_1_has_all_its_cells(table_1):
    assert len(table_1) == 35
    assert all(cell["ours"] is not None and cell["paper"] is not None for cell in table_1)
    by_column = {column: [c for c in table_1 if c["column"] == column] for column in {c["column"] for c in table_1}}
    assert [c["ours"] for c in by_column["parameters"]] == PARAMETERS
    assert [c["ours"] for c in by_column["flops"]] == FLOPS
    for cell in by_column["accuracy"]:
        assert cell["match"] == "exact"
        assert cell["select"] == "best"
        assert len(cell["values"]) == 2
        assert cell["ours"] == max(cell["values"])
        assert min(cell["values"]) > 0.95
        assert (cell["dataset"], cell["protocol"]) == ("mnist", "mnist-paper")
    for column in ("training time", "testing time"):
        assert {cell["match"] for cell in by_column[column]} == {"other-device"}
        assert all(cell["ours"] > 0 for cell in by_column[column])


def test_table_1_without_torch(table_1):
    """The same cells come out of a process in which torch cannot be imported."""
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('torch', 'torchvision', 'ptflops'): raise ImportError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from harness.cli import main\n"
        f"main(['report', 'tables', '--table', '1', '--from', {str(PUBLISHED / 'mnist.jsonl')!r}, '--format', 'json'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == table_1


def test_the_page_of_the_paper_shows_what_the_results_say(tmp_path):
    page = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
    copy = tmp_path / "paper.md"
    copy.write_text(page, encoding="utf-8")
    stored = ["--from", str(PUBLISHED), "--benchmarks", str(PUBLISHED.with_name("benchmarks"))]
    assert CliRunner().invoke(main, ["report", "include", str(copy), *stored]).exit_code == 0
    assert copy.read_text(encoding="utf-8") == page, "make tables"
    assert page.count("<!-- include ") == page.count("<!-- end -->") == 5
    assert len(re.findall(r"^\| .* → .* \|$", page, flags=re.MULTILINE)) == 7


def test_the_commands_of_the_readme_exist_with_their_options():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^(?:\$ )?harness (.*?)(?: +#.*)?$", readme, flags=re.MULTILINE)
    assert len(lines) >= 3
    for words in map(shlex.split, lines):
        names = words[:1] if words[0] == "doctor" else words[:2]
        shown = CliRunner().invoke(main, [*names, "--help"])
        assert shown.exit_code == 0, names
        assert {word for word in words if word.startswith("--")} <= set(re.findall(r"--[\w-]+", shown.output)), words


def test_what_the_readme_leads_to_is_there():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", readme) if not target.startswith("http")]
    assert len(targets) > 15
    assert [target for target in targets if not (ROOT / target).is_file()] == []
    assert readme.count("\n") < 130


def test_each_run_was_observed_as_designed():
    with open_results([PUBLISHED / "mnist.jsonl"]) as store:
        runs = [attempt for attempt in snapshot(store).attempts if attempt.accepted]
        assert len(runs) == 14
        for attempt in runs:
            points = curve(store, attempt.uid)
            steps = {(p.split, p.name): [] for p in points}
            for point in points:
                steps[point.split, point.name].append(point.step)
            every_100, every_epoch = list(range(100, 3001, 100)), list(range(600, 3001, 600))
            assert steps["test[:2000]", "accuracy"] == every_100
            assert steps["test[:1000]", "hidden_mean"] == steps["test[:1000]", "hidden_variance"] == every_100
            assert steps["test", "accuracy"] == every_epoch
            (sample,) = samples(store, attempt.uid)
            assert (sample.name, sample.count, len(sample.packed)) == ("correct", 10_000, 1_250)
            accuracy = next(v for (_, name), v in attempt.results.items() if name == "accuracy")
            assert sum(byte.bit_count() for byte in sample.packed) / 10_000 == pytest.approx(accuracy)
