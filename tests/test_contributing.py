"""The recipes of CONTRIBUTING.md work as they stand."""

import re
from pathlib import Path

from harness.layers.conformance import check_compressor
from harness.spec.plugins import load_object
from harness.spec.study import load_study

TEXT = (Path(__file__).resolve().parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")


def _block(language, first_line):
    blocks = re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)
    return next(block for block in blocks if block.startswith(first_line))


def test_the_recipe_for_a_compressor(tmp_path):
    (tmp_path / "my_layers.py").write_text(_block("python", "# my_layers.py"))
    study_file = tmp_path / "my_study.yml"
    study_file.write_text(_block("yaml", "# my_study.yml"))
    study = load_study(study_file)
    assert [item.name for item in study.trials] == ["every 2th channel", "every 4th channel"]
    check_compressor(load_object("my_layers:Every", [tmp_path])(2))


def test_the_files_that_it_names_exist():
    root = Path(__file__).resolve().parent.parent
    for path in re.findall(r"`((?:harness|tests)/[\w/.-]+)`", TEXT):
        assert (root / path).exists(), path
