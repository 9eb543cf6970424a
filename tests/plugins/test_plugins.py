"""A study that names a person's own layer: found beside it, part of the key, imported anew when it was edited."""

import importlib.util
import random
import sys

import pytest

from harness.base.errors import HarnessError
from harness.plugins import plugin as plugins
from harness.plugins.plugin import is_plugin, load_object, load_plugin

LAYER = """\
from dataclasses import dataclass


@dataclass(frozen=True)
class Mine:
    stride: int
    alpha: float = 0.5
    mode: str = "soft"

    def layer(self, channels): ...

    conv_channels = out_channels = layer
"""
MADE = """\
class Mine:
    def layer(self, channels): ...
    conv_channels = out_channels = layer
    def __init__(self, stride):
"""
NO_COMPRESSOR = "'mine_layer:Mine' is not a compressor: a class with conv_channels, out_channels, layer is wanted"
TRIALS = """\
trials:
  - name: A
    at: conv2
    compressor:
      kind: mine_layer:Mine
      stride: 2
"""


@pytest.fixture(autouse=True)
def _forget():
    """Leave no plug-in of a test behind."""
    before, loaded = dict(sys.modules), dict(plugins._loaded)
    yield
    for name in sys.modules.keys() - before.keys():
        if getattr(sys.modules[name], "__file__", None) and "mine" in name:
            del sys.modules[name]
    plugins._loaded.clear()
    plugins._loaded.update(loaded)


@pytest.fixture
def key(load, tmp_path, head):
    """Return a function that writes the layer and gives the trial's key."""

    def _key(layer=LAYER, trials=TRIALS, folder=tmp_path):
        folder.mkdir(exist_ok=True)
        (folder / "mine_layer.py").write_text(layer, encoding="utf-8")
        return load(head + trials, folder=folder).trials[0].trial.key

    return _key


def test_a_file_beside_the_study(load, tmp_path, head):
    (tmp_path / "mine_layer.py").write_text(LAYER, encoding="utf-8")
    study = load(head + TRIALS)
    options = study.trials[0].trial.config["compressors"]["conv2"]
    assert options == {"kind": "mine_layer:Mine", "stride": 2, "code": options["code"]}
    assert options["code"] == load_plugin("mine_layer:Mine", study.plugin_folders)[1]
    assert str(tmp_path) not in sys.path


def test_the_code_is_in_the_key_and_comments_are_not(key):
    first = key()
    assert key("# a comment\n" + LAYER) == first
    assert key(LAYER.replace("class Mine:\n", 'class Mine:\n    """Mine."""\n\n')) == first
    assert key(LAYER + "\nX = 1\n") != first
    assert key() == first


def test_what_it_imports_from_its_folder_is_in_the_key(key, tmp_path):
    (tmp_path / "mine_helper.py").write_text("ALPHA = 0.5\n", encoding="utf-8")
    layer = "from mine_helper import ALPHA\n" + LAYER.replace("0.5", "ALPHA")
    first = key(layer)
    (tmp_path / "mine_helper.py").write_text("ALPHA = 0.7\n", encoding="utf-8")
    assert key(layer) != first
    assert load_object("mine_layer:Mine", [tmp_path])(2).alpha == 0.7


def test_options_at_the_plug_ins_own_defaults_stay_out(key):
    first = key()
    assert key(trials=TRIALS + "      alpha: 0.5\n      mode: soft\n") == first
    assert key(trials=TRIALS + "      alpha: 0.6\n") != first
    assert key(trials=TRIALS + "      mode: hard\n") != first


def test_the_same_file_in_two_folders_has_one_key(key, tmp_path):
    assert key(folder=tmp_path / "a") == key(folder=tmp_path / "b")


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("stride: 2\n", "stride: 2\n      alhpa: 1\n", 13, "unknown option 'alhpa'; did you mean 'alpha'?"),
        ("      stride: 2\n", "", 10, "the option 'stride' is missing"),
        (
            "stride: 2",
            "stride: 3",
            12,
            "stride 3 does not divide the 32 channels at 'conv2'; possible: 2, 4, 8, 16, 32",
        ),
        ("stride: 2", "stride: 0", 12, "'mine_layer:Mine' has stride 0: a whole number from 1 is wanted"),
        ("stride: 2", "stride: two", 12, "'mine_layer:Mine' has stride 'two': a whole number from 1 is wanted"),
        ("mine_layer:Mine", "mine_layer:Mien", 11, "'mine_layer' has no 'Mien'; did you mean 'Mine'?"),
        ("mine_layer:Mine", "'mine_layer:'", 11, "'mine_layer:' is not of the form module:object"),
        (
            "stride: 2\n",
            "stride: 2\n      code: abc\n",
            13,
            "'code' is where the digest of a plug-in's code is, no option",
        ),
        (
            "stride: 2",
            "stride: .inf",
            11,
            "the options of 'mine_layer:Mine' must be finite numbers, words, lists: {'stride': inf}",
        ),
    ],
)
def test_wrong_options_are_said_in_one_line(refusal, tmp_path, head, old, new, line, message):
    (tmp_path / "mine_layer.py").write_text(LAYER, encoding="utf-8")
    assert refusal(head + TRIALS.replace(old, new)) == f"s.yml:{line}: {message}"


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("class Mine:\n  def\n", "cannot import 'mine_layer': SyntaxError: invalid syntax (mine_layer.py, line 2)"),
        ("import mine_no\n", "cannot import 'mine_layer': ModuleNotFoundError: No module named 'mine_no'"),
        ("1 / 0\n", "cannot import 'mine_layer': ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(0)\n", "cannot import 'mine_layer': SystemExit: 0"),
        (f"import sys\n{MADE}        sys.exit(0)\n", "'mine_layer:Mine' refuses its options: 0"),
        ("raise ValueError('one\\n  two')\n", "cannot import 'mine_layer': ValueError: one two"),
        (f"{MADE}        raise ValueError('a,\\nb')\n", "'mine_layer:Mine' refuses its options: a, b"),
        (f"{MADE}        pass\n", "'mine_layer:Mine' refuses its options: 'Mine' object has no attribute 'stride'"),
        ("def Mine(stride):\n    raise SystemError('called')\n", NO_COMPRESSOR),
        ("class Mine:\n    def __init__(self, stride):\n        raise SystemError('called')\n", NO_COMPRESSOR),
        ("import os as Mine\n", NO_COMPRESSOR),
    ],
)
def test_wrong_code_is_said_in_one_line(refusal, tmp_path, head, layer, message):
    (tmp_path / "mine_layer.py").write_text(layer, encoding="utf-8")
    assert refusal(head + TRIALS) == f"s.yml:11: {message}"


def test_a_module_that_is_nowhere(refusal, tmp_path, head):
    assert refusal(head + TRIALS) == (
        f"s.yml:11: cannot import 'mine_layer' of 'mine_layer:Mine': there is no such module in {tmp_path}, sys.path"
    )


def test_the_name_of_another_module_is_refused(refusal, tmp_path, head):
    (tmp_path / "random.py").write_text(LAYER, encoding="utf-8")
    message = refusal(head + TRIALS.replace("mine_layer", "random"))
    assert message == (
        "s.yml:11: cannot import 'random': ImportError: "
        "'random' is the name of another module; give the file another name"
    )
    assert sys.modules["random"] is random


def test_an_edited_file_gives_a_fresh_class(tmp_path):
    path = tmp_path / "mine_layer.py"
    path.write_text(LAYER, encoding="utf-8")
    first, code = load_plugin("mine_layer:Mine", [str(tmp_path)])
    assert load_plugin("mine_layer:Mine", [str(tmp_path)]) == (first, code)
    path.write_text(LAYER.replace("0.5", "0.6"), encoding="utf-8")  # within a second, and of the same size
    second, changed = load_plugin("mine_layer:Mine", [str(tmp_path)])
    assert (first(2).alpha, second(2).alpha) == (0.5, 0.6)
    assert code != changed


def test_two_folders_with_the_same_names(tmp_path):
    for name, alpha in (("a", "0.1"), ("b", "0.2")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "mine_helper.py").write_text(f"ALPHA = {alpha}\n", encoding="utf-8")
        (folder / "mine_layer.py").write_text(
            "from mine_helper import ALPHA\n" + LAYER.replace("0.5", "ALPHA"), encoding="utf-8"
        )
    for name, alpha in (("a", 0.1), ("b", 0.2), ("a", 0.1)):
        target, _ = load_plugin("mine_layer:Mine", [str(tmp_path / name)])
        assert target(2).alpha == alpha


def test_two_folders_with_packages_of_the_same_name(tmp_path):
    for name, alpha in (("a", "0.1"), ("b", "0.2")):
        package = tmp_path / name / "mine_parts"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("", encoding="utf-8")
        (package / "core.py").write_text(f"ALPHA = {alpha}\n", encoding="utf-8")
        layer = "from mine_parts.core import ALPHA\n" + LAYER.replace("0.5", "ALPHA")
        (tmp_path / name / "mine_layer.py").write_text(layer, encoding="utf-8")
    for name, alpha in (("a", 0.1), ("b", 0.2), ("a", 0.1)):
        target, _ = load_plugin("mine_layer:Mine", [str(tmp_path / name)])
        assert target(2).alpha == alpha
    (package / "more.py").write_text("", encoding="utf-8")
    (tmp_path / "b" / "mine_other.py").write_text("import mine_parts.more\nnumber = 1\n", encoding="utf-8")
    assert load_plugin("mine_other:number", [str(tmp_path / "b")])[0] == 1


def test_a_package_beside_the_study(tmp_path):
    folder = tmp_path / "mine_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("", encoding="utf-8")
    (folder / "base.py").write_text("STRIDE = 4\n", encoding="utf-8")
    layer = "from .base import STRIDE\n\n\nclass Mine:\n    stride = STRIDE\n"
    (folder / "layer.py").write_text(layer, encoding="utf-8")
    first, code = load_plugin("mine_package.layer:Mine", [str(tmp_path)])
    (folder / "base.py").write_text("STRIDE = 8\n", encoding="utf-8")
    second, changed = load_plugin("mine_package.layer:Mine", [str(tmp_path)])
    assert (first.stride, second.stride) == (4, 8)
    assert code != changed


def test_a_worker_refuses_code_that_was_edited_since(tmp_path):
    (tmp_path / "mine_layer.py").write_text(LAYER, encoding="utf-8")
    target = load_object("mine_layer:Mine", [tmp_path])
    code = load_plugin("mine_layer:Mine", [str(tmp_path)])[1]
    assert load_object("mine_layer:Mine", [tmp_path], digest=code) is target
    (tmp_path / "mine_layer.py").write_text(LAYER + "X = 1\n", encoding="utf-8")
    with pytest.raises(HarnessError) as caught:
        load_object("mine_layer:Mine", [tmp_path], digest=code)
    assert str(caught.value) == ("the code of 'mine_layer:Mine' was edited since this was planned; run the study again")


def test_no_bytecode_is_left_beside_a_study(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (tmp_path / "mine_layer.py").write_text(LAYER, encoding="utf-8")
    load_plugin("mine_layer:Mine", [str(tmp_path)])
    assert sys.dont_write_bytecode is False
    assert not (tmp_path / "__pycache__").exists()


def test_what_is_a_plug_in():
    assert [is_plugin(kind) for kind in ("a:b", "spatial", None, ["a:b"])] == [True, False, False, False]
    assert importlib.util.find_spec("mine_layer") is None
