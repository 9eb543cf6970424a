"""The recipes of CONTRIBUTING.md, and the example of docs/studies.md, work as they stand."""

import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import harness.layers
from harness.attempt.messages import LOG_FILE
from harness.base.errors import HarnessError, SpecError
from harness.cli import main
from harness.execution.executors import check_executor
from harness.layers.build import build_compressor
from harness.layers.conformance import check_compressor
from harness.plugins.plugin import entry_points, load_object
from harness.report.figures.results import Results
from harness.report.figures.style import Drawn, styled
from harness.store.merge import open_results
from harness.study.study import load_study
from harness.tasks.base import ReadsAhead, SharedTask, Task
from harness.tasks.parts import TaskInParts
from harness.testing.executors import ExecutorTests
from harness.trial.compressors import COMPRESSORS, CompressorDeclaration

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def _block(language, first_line, text=TEXT):
    blocks = re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)
    return next(block for block in blocks if block.startswith(first_line))


def test_the_recipe_for_a_compressor(tmp_path):
    (tmp_path / "my_layers.py").write_text(_block("python", "# my_layers.py"))
    study_file = tmp_path / "my_study.yml"
    study_file.write_text(_block("yaml", "# my_study.yml"))
    study = load_study(study_file)
    assert [item.name for item in study.trials] == ["every 2th channel", "every 4th channel"]
    check_compressor(load_object("my_layers:Every", [tmp_path])(2))


def test_a_built_in_compressor_is_one_file_and_one_line(tmp_path, monkeypatch):
    (tmp_path / "every.py").write_text(_block("python", "# my_layers.py"))
    monkeypatch.setattr(harness.layers, "__path__", [*harness.layers.__path__, str(tmp_path)])
    line = _block("python", "CompressorDeclaration(")
    declared = CompressorDeclaration(*re.findall(r'"(.*?)"', line))
    monkeypatch.setitem(COMPRESSORS, declared.name, declared)

    text = _block("yaml", "# my_study.yml").replace("my_layers:Every", "every")
    (tmp_path / "s.yml").write_text(text)
    configs = [item.trial.config["compressors"] for item in load_study(tmp_path / "s.yml").trials]
    assert configs == [{"conv2": {"kind": "every", "stride": stride}} for stride in (2, 4)]
    assert type(build_compressor(configs[0]["conv2"])).__module__ == "harness.layers.every"
    wrong = {
        "'stride' must be": ("stride: [2, 4]", "stride: [1, 4]"),
        "unknown key 'powr'": ('"every"', '"every", powr: 2'),
    }
    for message, (old, new) in wrong.items():
        (tmp_path / "s.yml").write_text(text.replace(old, new))
        with pytest.raises(SpecError, match=message):
            load_study(tmp_path / "s.yml")


def test_the_files_that_it_names_exist():
    for path in set(re.findall(r"`((?:harness|tests)/[\w/.-]+)`", TEXT)) - {"harness/layers/every.py"}:
        assert (ROOT / path).exists(), path


def _quotes():
    """Yield each block that quotes a file of the repository: the file, and the lines."""
    for first, lines in re.findall(r"```(?:python|yaml)\n# ((?:harness|tests)/\S+)\n(.*?)```", TEXT, flags=re.DOTALL):
        yield pytest.param(first, lines.splitlines(), id=f"{first}: {lines.strip().splitlines()[0]}")


@pytest.mark.parametrize(("path", "lines"), list(_quotes()))
def test_the_lines_that_it_quotes_are_in_the_file_in_this_order(path, lines):
    text = (ROOT / path).read_text(encoding="utf-8")
    for line in lines:
        assert line.strip() in text, line
        text = text[text.index(line.strip()) :]


def test_an_attempt_is_made_again_as_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for language, name in (("yaml", "debug.yml"), ("python", "slope.py"), ("python", "again.py")):
        (tmp_path / name).write_text(_block(language, f"# {name}"))
    ran = CliRunner().invoke(main, ["run", "grid", "debug.yml", "--db", "results/harness.db"])
    assert "[1/2] debug: rate 0.1, seed 0: failed (ZeroDivisionError: float division by zero; trace: " in ran.stderr
    failed = {(path / LOG_FILE).exists(): path.name for path in (tmp_path / "results" / "artifacts").iterdir()}
    shown, debugged = re.search(
        r"\$ python again.py .*?\n(.*?)\$ python -m pdb .*?…\n(.*?)```", TEXT, re.DOTALL
    ).groups()
    assert _python("again.py", failed[False][:8]) == shown
    printed = _python("-m", "pdb", "-c", "continue", "again.py", failed[True][:8], typed="p rate\nq\nq\n")
    for line in debugged.replace("(Pdb) p rate\n", "(Pdb) ").splitlines():
        assert line.removeprefix("> …") in printed


def _python(*words, typed=None):
    """Return what Python prints, with a person who types so."""
    done = subprocess.run([sys.executable, *words], input=typed, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def test_the_recipe_for_a_task(tmp_path, monkeypatch):
    site, info = tmp_path / "site", tmp_path / "site" / "signals-1.0.dist-info"
    info.mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "execution" / "signals_package" / "signals.py", site)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: signals\nVersion: 1.0\n")
    name, target = re.search(r'"harness.tasks"\]\n(\w+) = "(.*)"', TEXT).groups()
    (info / "entry_points.txt").write_text(f"[harness.tasks]\n{name} = {target}\n")
    (tmp_path / "signals.yml").write_text(_block("yaml", "# signals.yml"))
    monkeypatch.syspath_prepend(site)
    entry_points.cache_clear()
    try:
        trials = [item.trial for item in load_study(tmp_path / "signals.yml").trials]
    finally:
        entry_points.cache_clear()
    assert [len(trial.evaluations) for trial in trials] == [3, 3]
    assert {metric.name for metric in trials[0].metrics} == {"psnr_db", "improved"}


def test_the_recipe_for_a_task_has_all_that_is_asked_of_one():
    table = TEXT.partition("| asked | answer |")[2].partition("\n\n")[0]
    listed = {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1] if row else "")}
    kinds = (Task, SharedTask, ReadsAhead, TaskInParts)
    members = {name for kind in kinds for name, _ in inspect.getmembers(kind, inspect.isfunction)}
    asked = members | set(Task.__annotations__)
    assert listed == {name for name in asked if not name.startswith("_")}


def test_the_recipe_for_an_executor(monkeypatch, tmp_path):
    recipe = _block("python", "# my_executor.py")
    (tmp_path / "my_executor.py").write_text(
        f"from harness.execution.executors.local import LocalExecutor as MyExecutor\n{recipe}"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("harness.execution.executors.entry_points", lambda _: {"mine": "my_executor:KIND"})
    assert check_executor("mine", 1, None, {"queue": "long"}).queue == "long"
    with pytest.raises(HarnessError, match="the executor 'mine': unknown key 'que'; did you mean 'queue'"):
        check_executor("mine", 1, None, {"que": "long"})
    assert "class TestMyExecutor(ExecutorTests):" in _block("python", "from harness.testing.executors")
    assert ExecutorTests.time_limit


def test_the_recipe_for_a_figure(tmp_path):
    (tmp_path / "spread.py").write_text(_block("python", "# spread.py"))
    spread = load_object("spread:spread", [tmp_path])
    sources = [ROOT / "results" / "published" / "cifar-small.jsonl"]
    with open_results(sources) as store, styled():
        drawn = spread(Results(store, sources), "cifar-small")
    assert isinstance(drawn, Drawn)
    labels = [label.get_text() for label in drawn.figure.axes[0].get_yticklabels()]
    assert labels == [item.name for item in load_study(ROOT / "ablations" / "cifar-small.yml").trials]


def test_the_example_of_a_study(tmp_path):
    file = tmp_path / "placements.yml"
    file.write_text(_block("yaml", "study: placements", (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")))
    trials = load_study(file).trials
    assert [item.name for item in trials[:3]] == ["Baseline", "spatial, 50%", "spatial, 75%"]
    assert (len(trials), sum(len(item.seeds) for item in trials)) == (11, 23)


def test_the_example_of_the_papers_page_is_the_study_of_table_1(tmp_path):
    file = tmp_path / "mine.yml"
    file.write_text(_block("yaml", "study: mnist", (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")))
    published = {item.name: item.trial.key for item in load_study(ROOT / "ablations" / "mnist.yml").trials}
    mine = {item.name: item.trial.key for item in load_study(file).trials}
    assert mine.items() <= published.items()
    assert len(mine) == 3
