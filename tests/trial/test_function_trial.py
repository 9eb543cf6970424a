"""Trials of a person's own function: what stands in their key, and what is refused before anything runs."""

import re

import pytest

from harness.attempt.metrics import Metric
from harness.base.errors import HarnessError
from harness.study.study import load_study
from harness.trial.function import load_target

STUDY = """\
study: own
task: function
target: train.py:run
seeds: [0, 1]
metrics: {accuracy: maximize}
trials:
  - name: "width {arguments.width}"
    arguments: {epochs: 3}
    grid: {arguments.width: [4, 8]}
"""
CODE = """\
raise RuntimeError("a study is read without importing what it names")

def run(context, *, width, epochs=3):
    return {"accuracy": 1}
"""


@pytest.fixture
def load(tmp_path):
    def read(text=STUDY, code=CODE):
        (tmp_path / "train.py").write_text(code)
        (tmp_path / "own.yml").write_text(text)
        return load_study(tmp_path / "own.yml")

    return read


def test_a_grid_of_arguments(load):
    trials = load().trials
    assert [item.name for item in trials] == ["width 4", "width 8"]
    first = trials[0].trial
    assert first.config["arguments"] == {"width": 4}  # epochs is at the signature's default
    assert first.config["task"].keys() == {"kind", "target", "code"}
    assert (first.is_function, first.protocol_name, first.precision, first.data) == (True, "train.py:run", "fp32", ())
    assert first.metrics == (Metric("accuracy"),)
    assert dict(first.directions) == {"accuracy": "maximize"}


def keys(study):
    return [item.trial.key for item in study.trials]


def test_the_key_is_of_code_and_arguments(load):
    before = keys(load())
    assert keys(load(code=CODE + "# a comment\n")) == before
    assert keys(load(STUDY.replace("maximize", "minimize"))) == before
    assert not set(keys(load(code=CODE.replace("1}", "2}")))) & set(before)
    assert not set(keys(load(STUDY.replace("epochs: 3", "epochs: 4")))) & set(before)
    assert not set(keys(load(STUDY.replace("task: function", "task: {kind: function, precision: bf16}")))) & set(before)


DEFAULTS = ["1", "[1]", "[[1], 2]", "{'a': 1}", "[{'a': [1]}]"]


@pytest.mark.parametrize("default", DEFAULTS)
def test_types_are_told_apart_from_a_default_at_every_depth(load, default):
    code = CODE.replace("width", f"width={default}")
    written = [default.replace("'", ""), *(default.replace("'", "").replace("1", one) for one in ("true", "1.0"))]
    grid = f"[{', '.join(written)}]"
    trials = load(STUDY.replace("[4, 8]", grid), code).trials
    assert trials[0].trial.config["arguments"] == {}
    assert len({item.trial.key for item in trials}) == 3


@pytest.mark.parametrize("file", ["train.v2.py", "train.py.old.py", ".train.py"])
def test_a_file_with_dots_in_its_name_is_one_like_others(load, tmp_path, file):
    (tmp_path / file).write_text("from parts import a\nfrom train import b\n" + CODE.split("\n\n")[1])
    (tmp_path / "parts.py").write_text("a = 1\n")
    text = STUDY.replace("train.py:", f"{file}:")
    before = keys(load(text, "b = 1\n"))
    folders = [str(tmp_path)]
    assert load_target(f"{file}:run", folders)[0](None, width=1) == {"accuracy": 1}
    (tmp_path / "parts.py").write_text("a = 2\n")
    assert not set(keys(load(text, "b = 1\n"))) & set(before)
    (tmp_path / file).write_text("def run(context, *, width, epochs=3):\n    return {'accuracy': width}\n")
    assert load_target(f"{file}:run", folders)[0](None, width=7) == {"accuracy": 7}  # imported anew
    (tmp_path / file).write_text("1 / 0\n")
    with pytest.raises(HarnessError, match=f"cannot import '{re.escape(file[:-3])}': ZeroDivisionError"):
        load_target(f"{file}:run", folders)


def test_what_it_imports_from_its_folder_counts(load, tmp_path):
    (tmp_path / "layers_of_mine.py").write_text("a = 1\n")
    code = CODE.replace("raise", "import layers_of_mine\nraise")
    before = keys(load(code=code))
    (tmp_path / "layers_of_mine.py").write_text("a = 2\n")
    assert keys(load(code=code)) != before


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("target: train.py:run\n", "", 6, "'target' is missing: write FILE.py:FUNCTION or package.module:function"),
        (
            "train.py:run",
            "train.py",
            3,
            "'target' must not be 'train.py': write FILE.py:FUNCTION or package.module:fun",
        ),
        ("train.py:run", "trian.py:run", 3, "there is no file trian.py for 'trian.py:run' in "),
        ("train.py:run", "train.py:runs", 3, "cannot import 'train': RuntimeError: a study is read without importing"),
        ("epochs: 3}", "epoch: 3}", 8, "unknown argument 'epoch'; did you mean 'epochs'? (of train.py:run)"),
        ("[4, 8]", "[4, .inf]", 9, "'width' must be made of finite numbers, words, lists: inf"),
        ("metrics: {accuracy: maximize}\n", "", 6, "'metrics' is missing: what the function returns, as {accuracy: "),
        ("maximize", "maximise", 5, "'accuracy' is to maximize or to minimize, not 'maximise'; did you mean 'maximiz"),
        ("target:", "model: vgg16\ntarget:", 3, "'model' goes with 'task: classification' only: leave it out"),
        ("target:", "dataset: mnist\ntarget:", 3, "'dataset' goes with 'task: classification' only: leave it out"),
        ("task: function", "task: funktion", 2, "unknown task 'funktion'; did you mean 'function'?"),
        ("task: function", "task: {kind: function, precision: fp8}", 2, "'precision' must be fp32, tf32 or bf16, not"),
        ("task: function", "task: {kind: function, sigma: 1}", 2, "unknown key 'sigma'"),
    ],
)
def test_what_is_refused(load, old, new, line, message):
    assert STUDY.count(old) == 1
    with pytest.raises(HarnessError) as caught:
        load(STUDY.replace(old, new), CODE.replace("raise", "if __name__ != 'x':\n    raise"))
    place, _, said = str(caught.value).partition(": ")
    assert said.startswith(message)
    assert place.endswith(f"own.yml:{line}")


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ("def run():\n    pass\n", "'train.py:run' takes no context: write def run(context, *, width, …)"),
        ("def run(*, width, epochs):\n    pass\n", "'train.py:run' takes no context"),
        ("run = 3\n", "'train.py:run' is not a function, but int"),
    ],
)
def test_what_is_no_function_of_a_context(load, definition, message):
    with pytest.raises(HarnessError, match=r"own\.yml") as caught:
        load(code=definition)
    assert message in str(caught.value)


def test_a_classification_has_no_target(tmp_path):
    (tmp_path / "s.yml").write_text(
        "study: s\ntask: classification\ndataset: digits\nmodel: mnist_cnn\nprotocol: digits-quick\nseeds: [0]\n"
        "trials:\n  - name: A\n    target: train.py:run\n"
    )
    with pytest.raises(HarnessError, match="'target' goes with 'task: function' only: leave it out"):
        load_study(tmp_path / "s.yml")


def test_an_argument_without_a_default_must_be_given(load):
    text = STUDY.replace("width {arguments.width}", "A").replace("    grid: {arguments.width: [4, 8]}\n", "")
    with pytest.raises(HarnessError, match=r"own.yml:8: the argument 'width' is missing \(of train.py:run\)"):
        load(text)


def test_a_metric_has_the_unit_and_direction_that_the_study_says(load):
    text = STUDY.replace("{accuracy: maximize}", "{psnr: {direction: maximize, unit: dB}, loss: minimize}")
    first, _ = load(text).trials
    assert first.trial.metrics == (Metric("psnr", "dB"), Metric("loss", better="lower"))


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{psnr: {direction: up}}", "'psnr' is to maximize or to minimize, not 'up'"),
        ("{psnr: {unit: dB}}", "'psnr' is to maximize or to minimize, not None"),
        ("{psnr: {direction: maximize, units: dB}}", "unknown key 'units' of metric 'psnr'; did you mean 'unit'?"),
        ("{psnr: {direction: maximize, unit: 3}}", "the unit of 'psnr' must be a short word such as dB, not 3"),
    ],
)
def test_a_metric_is_refused(load, written, message):
    with pytest.raises(HarnessError) as caught:
        load(STUDY.replace("{accuracy: maximize}", written))
    assert message in str(caught.value)
