"""The recipes of CONTRIBUTING.md, and the example of docs/studies.md, work as they stand."""

import re
from pathlib import Path

from harness.layers.conformance import check_compressor
from harness.plugins.plugin import load_object
from harness.study.study import load_study

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


def test_the_files_that_it_names_exist():
    for path in re.findall(r"`((?:harness|tests)/[\w/.-]+)`", TEXT):
        assert (ROOT / path).exists(), path


def test_the_example_of_a_study(tmp_path):
    file = tmp_path / "placements.yml"
    file.write_text(_block("yaml", "study: placements", (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")))
    trials = load_study(file).trials
    assert [item.name for item in trials[:3]] == ["Baseline", "spatial, 50%", "spatial, 75%"]
    assert (len(trials), sum(len(item.seeds) for item in trials)) == (11, 23)


def test_the_example_of_the_readme_is_the_study_of_table_1(tmp_path):
    file = tmp_path / "mine.yml"
    file.write_text(_block("yaml", "study: mnist", (ROOT / "README.md").read_text(encoding="utf-8")))
    published = {item.name: item.trial.key for item in load_study(ROOT / "ablations" / "mnist.yml").trials}
    mine = {item.name: item.trial.key for item in load_study(file).trials}
    assert mine.items() <= published.items()
    assert len(mine) == 3
