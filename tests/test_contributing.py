"""The recipes of CONTRIBUTING.md, and the example of docs/studies.md, work as they stand."""

import re
from pathlib import Path

import pytest

import harness.layers
from harness.base.errors import SpecError
from harness.layers.build import build_compressor
from harness.layers.conformance import check_compressor
from harness.plugins.plugin import load_object
from harness.study.study import load_study
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
