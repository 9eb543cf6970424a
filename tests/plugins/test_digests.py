"""Digests of code: words do not count, code does, imports are followed, and every version of Python agrees."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.plugins import digests
from harness.plugins.digests import code_digest, plugin_digest, plugin_modules
from harness.study.study import load_study
from harness.trial import attempt_digest as code
from harness.trial.attempt_digest import attempt_digest
from harness.trial.datasets import DATASETS


def forget():
    for cached in (code._digest, code._digest_of_model):
        cached.cache_clear()


@pytest.fixture(autouse=True)
def _nothing_known():
    """Let no test see, or leave behind, a digest of code that another one has changed."""
    forget()
    yield
    forget()


SOURCE = '''\
"""What this is for."""
from __future__ import annotations
import functools as ft
from dataclasses import dataclass


@ft.cache
def f(a, /, b: int = 1, *args, c, d=None, **kw) -> str:
    """What it does."""
    return f"a{a!r:>{b}}b{{}}{c=}" f"{d:}" "x" f'{a["k"]:%Y-%m-%d}' f"" + f"{a:{b}.{c}}" + rf"\\d{b}" + f"{a:{b}{c}}"


@dataclass(frozen=True)
class K(object, metaclass=type):
    """A class."""

    x: int
    y: "str" = u"u"

    async def g(self):
        async with self.x as b, self.y as c:
            async for x in b:
                await c
        return [i async for i in self.x if i]


def h(x):
    match x:
        case {"a": 1, **rest}:
            pass
        case [1, 2, *_] | (3 | 4):
            pass
        case K(x=1, y=-2.5) if x:
            pass
        case None | True:
            pass
        case str() as s:
            pass
        case -1 + 2j:
            pass
        case _:
            pass
    if (n := len(x)) > 3:
        return lambda *a, k=1: {**a, 1: n}
    try:
        pass
    except* (ValueError, TypeError) as e:
        raise KeyError from e
    with (open(x) as a, open(x) as b):
        return 1e400, 1e-4, 1_000, 0x1F, b"\\x00a" b"b", "\\u0378 \\U0001fae8 × σ é", x[1:2, ..., ::3], not a, {b, 2}


def only():
    "a docstring alone"
'''
PINNED = "e1e40c6e08c1545a"


def digest(tmp_path: Path, **files: str) -> str:
    """Return the digest of the plug-in `m`, whose folder holds `files` by their names."""
    tmp_path.mkdir(exist_ok=True)
    for name, text in files.items():
        path = tmp_path.joinpath(*name.split("/")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    digests._read.cache_clear()
    return plugin_digest("m", tmp_path)


def test_the_digest_of_a_source_stays(tmp_path):
    assert digest(tmp_path, m=SOURCE) == PINNED, (
        "digests of code have changed, and all results that are stored would be taken for stale: undo this, or say in "
        "the notes of the release why it must be"
    )


@pytest.mark.parametrize("version", ["3.12", "3.13", "3.14"])
def test_other_versions_of_python_agree(tmp_path, version):
    python = shutil.which(f"python{version}")
    if python is None or subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip(f"there is no python{version} on the PATH that runs")
    mine = digest(tmp_path, m=SOURCE)
    program = (
        "import importlib.util, pathlib, sys\n"
        "spec = importlib.util.spec_from_file_location('digests', sys.argv[1])\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "print(module.plugin_digest('m', pathlib.Path(sys.argv[2])))\n"
    )
    run = [python, "-I", "-W", "ignore", "-c", program, str(digests.__file__), str(tmp_path)]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip() == mine


CODE = 'def f(x):\n    return x + 1, "word"\n'


@pytest.mark.parametrize(
    "same",
    [
        "# a comment\n\n" + CODE,
        '"""A docstring."""\n' + CODE,
        CODE.replace("(x):\n", '(x):\n    """What it does."""\n'),
        CODE.replace("x + 1", "(x  +\n  1)"),
        CODE.replace('"word"', "'word'"),
        CODE.replace('"word"', "'wo' 'rd'"),
        CODE.replace('"word"', 'u"word"'),
        CODE.replace('x + 1, "word"', '(x + 1, "word")'),
        CODE.replace("\n", "\r\n"),
        "# -*- coding: utf-8 -*-\n" + CODE,
    ],
)
def test_words_and_white_space_do_not_count(tmp_path, same):
    assert digest(tmp_path / "same", m=same) == digest(tmp_path / "code", m=CODE)


@pytest.mark.parametrize(
    "other",
    [
        CODE.replace("+", "-"),
        CODE.replace("1", "2"),
        CODE.replace("1", "1.0"),
        CODE.replace("word", "Word"),
        CODE.replace("x", "y"),
        CODE.replace("(x)", "(x=1)"),
        CODE.replace("def", "async def"),
        CODE.replace("word", "wôrd"),
        CODE + "print(1)\n",
        CODE + "'''no docstring'''\n",
        "import os\n" + CODE,
    ],
)
def test_code_counts(tmp_path, other):
    assert digest(tmp_path / "other", m=other) != digest(tmp_path / "code", m=CODE)


@pytest.mark.parametrize(
    "text",
    [
        "import helper\n",
        "import helper as h\n",
        "from helper import x\n",
        "from helper import *\n",
        "def f():\n    import helper\n",
        "if True:\n    try:\n        from helper import x as y\n    except ImportError:\n        pass\n",
    ],
)
def test_imports_are_followed_wherever_they_stand(tmp_path, text):
    first = digest(tmp_path, m=text, helper="x = 1\n")
    assert digest(tmp_path, helper="x = 1  # one\n") == first
    assert digest(tmp_path, helper="x = 22\n") != first
    assert digest(tmp_path, helper="x = 1\n", unrelated="x = 1\n") == first


def package_digest(root: Path, **files: str) -> str:
    digest(root, **files)
    return plugin_digest("p.sub.m", root)


@pytest.mark.parametrize(
    ("text", "helper"),
    [
        ("from . import helper\n", "p/sub/helper"),
        ("from .helper import x\n", "p/sub/helper"),
        ("from .. import helper\n", "p/helper"),
        ("from ..other.deep import x\n", "p/other/deep"),
        ("from p.other import deep\n", "p/other/deep"),
        ("import p.other.deep\n", "p/other/deep"),
        ("from ..other import x\n", "p/other/__init__"),
    ],
)
def test_imports_within_a_package(tmp_path, text, helper):
    files = {"p/__init__": "", "p/sub/__init__": "", "p/sub/m": text}
    first = package_digest(tmp_path, **files, **{helper: "x = 1\n"})
    assert package_digest(tmp_path, **{helper: "x = 22\n"}) != first
    assert package_digest(tmp_path, **{helper: "x = 1\n"}) == first
    assert package_digest(tmp_path, **{"p/__init__": "y = 1\n"}) != first  # it runs when the plug-in is imported


@pytest.mark.parametrize("text", ["from p.sub.deep import x\n", "import p.sub.deep\n", "from p.sub.missing import x\n"])
def test_the_packages_that_an_import_leads_through_are_run_too(tmp_path, text):
    files = {"p/sub/deep": "x = 1\n", "p/sub/__init__": "", "p/unrelated/__init__": ""}
    first = digest(tmp_path, m=text, **files)
    for name in ("p/__init__", "p/sub/__init__"):
        assert digest(tmp_path, **{name: '"""Words."""  # and an empty file\n'}) == first
        assert digest(tmp_path, **{name: "y = 1\n"}) != first
        assert digest(tmp_path, **{name: ""}) == first
    assert digest(tmp_path, **{"p/unrelated/__init__": "y = 1\n"}) == first
    with_import = digest(tmp_path, **{"p/__init__": "import helper\n"}, helper="y = 1\n")
    assert digest(tmp_path, helper="y = 2\n") != with_import


def test_imports_may_go_round(tmp_path):
    first = digest(tmp_path, m="import a\n", a="import b\n", b="import m, a\n")
    assert digest(tmp_path, b="import m, a\nx = 1\n") != first
    assert plugin_modules("m", tmp_path).keys() == {"m", "a", "b"}


def test_a_plug_in_is_followed_in_its_own_place_only(tmp_path):
    digest(tmp_path, m="import harness.layers.spatial\nfrom harness import cli\n", **{"harness/cli": "x = 1\n"})
    assert plugin_modules("m", tmp_path).keys() == {"m"}
    digest(tmp_path, torch="x = 1\n", **{"p/m": "import m, torch\nfrom p import n\n", "p/n": ""})
    assert plugin_modules("p.m", tmp_path).keys() == {"p.m", "p.n"}
    installed = tmp_path / "site-packages"
    digest(installed, m="import torch, os\n", torch="x = 1\n")
    assert plugin_modules("m", installed).keys() == {"m"}


# ---- ours ----------------------------------------------------------------------------------------------------------


def followed(*modules: str) -> set[str]:
    return set(digests._follow_ours(modules, digests._find_ours))


def test_of_ours_the_specification_and_what_has_no_effect_are_left_out():
    found = followed("harness.training.train", "harness.tasks.classification")
    assert {"harness.training.train", "harness.data.dataset", "harness.layers.build"} <= found
    assert not found & digests._WITHOUT_EFFECT
    assert not {name for name in found if name.split(".")[1] in digests._IN_THE_KEY | {"store", "cli"}}
    assert followed("harness.base.keys", "harness.trial", "torch") == set()


def test_modules_without_effect_exist():
    for name in digests._WITHOUT_EFFECT:
        assert digests.find_module(name, Path(digests.__file__).parents[2]), name


def test_ours_depend_on_the_set_and_not_on_its_order():
    one = code_digest(["harness.layers.spatial", "harness.layers.topk"])
    assert one == code_digest(["harness.layers.topk", "harness.layers.spatial", "harness.layers.topk"])
    assert one != code_digest(["harness.layers.spatial"])


BEFORE = {
    "training/__init__": "",
    "training/train": (
        "import torch\n"
        "import harness.layers.kernels as fast\n"
        "from harness.layers.spatial import Spatial as Pool, build\n"
        "from harness.tasks import labels\n"
        "from harness.training.outcome import Outcome\n"
        "def f(x):\n"
        "    from harness.layers import kernels\n"
        "    return Pool(build(x)), labels.read(fast.go(kernels.go(Outcome)))\n"
    ),
    "training/outcome": "class Outcome:\n    code = 1\n",
    "layers/__init__": "",
    "layers/spatial": "class Spatial:\n    stride = 2\ndef build(x):\n    return x\n",
    "layers/topk": "class TopK:\n    stride = 2\ndef build(x):\n    return -x\n",
    "layers/kernels": "from .topk import build as second\ndef go(x):\n    return second(x)\n",
    "tasks/__init__": "",
    "tasks/labels": "def read(x):\n    return x\n",
}
AFTER = {  # the same, in other folders under other names
    "core/loop": (
        "import torch\n"
        "from harness.core.result import Outcome\n"
        "from harness.science import quick as fast\n"
        "from harness.science.pool import Spatial as Pool, build\n"
        "from harness.truth import names\n"
        "def f(x):\n"
        "    import harness.science.quick as quick\n"
        "    return Pool(build(x)), names.read(fast.go(quick.go(Outcome)))\n"
    ),
    "core/result": BEFORE["training/outcome"],
    "core/__init__": '"""Words."""\n',
    "science/pool": BEFORE["layers/spatial"],
    "science/order": BEFORE["layers/topk"],
    "science/quick": BEFORE["layers/kernels"].replace(".topk", "harness.science.order"),
    "truth/names": BEFORE["tasks/labels"],
}


@pytest.fixture
def own_digest(tmp_path, monkeypatch):
    """Return the digest of a module of a package that stands in for ours, of files by their names."""

    def made(files, module):
        root = tmp_path / str(len(list(tmp_path.iterdir()))) / "harness"
        for name, text in files.items():
            path = root / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        monkeypatch.setattr(digests, "PACKAGE", root)
        return code_digest([f"harness.{module}"])

    return made


def test_code_of_ours_may_move_and_be_renamed(own_digest):
    assert own_digest(BEFORE, "training.train") == own_digest(AFTER, "core.loop")


def test_a_real_module_may_be_renamed(tmp_path, monkeypatch):
    """As a refactoring does it: the file, and every import of it."""
    before = code_digest(["harness.training.train"])
    root = tmp_path / "harness"
    shutil.copytree(digests.PACKAGE, root, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(digests, "PACKAGE", root)
    assert code_digest(["harness.training.train"]) == before
    renamed = {
        "harness.training.outcome": "harness.training.a_new_name",
        "harness.layers.kernels.ops": "harness.layers.x",
    }
    for old, new in renamed.items():
        tmp_path.joinpath(*old.split(".")).with_suffix(".py").rename(
            tmp_path.joinpath(*new.split(".")).with_suffix(".py")
        )
    for path in root.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        moved = text.replace("from harness.layers.kernels import ops", "from harness.layers import x as ops")
        for old, new in renamed.items():
            moved = moved.replace(old, new)
        if moved != text:
            path.write_text(moved, encoding="utf-8")
    assert {"harness.training.a_new_name", "harness.layers.x"} <= followed("harness.training.train")
    assert code_digest(["harness.training.train"]) == before


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("training/outcome", "code = 1", "code = 2"),
        ("layers/topk", "-x", "+x"),  # reached through another module
        ("tasks/labels", "return x", "return 2 * x"),
        ("training/train", "spatial import Spatial as Pool, build", "topk import TopK as Pool, build"),
        ("training/train", "labels.read", "labels.write"),
        ("training/train", "kernels.go", "labels.go"),  # the same function of another module
        ("training/train", "import torch", "import torch as t"),
    ],
)
def test_code_of_ours_counts_wherever_it_lies(own_digest, module, old, new):
    changed = {**BEFORE, module: BEFORE[module].replace(old, new)}
    assert changed != BEFORE
    assert own_digest(changed, "training.train") != own_digest(BEFORE, "training.train")


def test_a_name_counts_by_the_module_of_ours_that_it_comes_from(own_digest):
    """Both modules are followed either way: which of them the function is taken from is all that differs."""
    both = BEFORE["training/train"] + "from harness.layers.topk import build as other\ndef g(x):\n    return other(x)\n"
    swapped = both.replace("spatial import Spatial as Pool, build", "spatial import Spatial as Pool, build as other")
    swapped = swapped.replace("topk import build as other", "topk import build")
    one = own_digest({**BEFORE, "training/train": both}, "training.train")
    assert own_digest({**BEFORE, "training/train": swapped}, "training.train") != one


def test_a_trial_counts_the_code_of_its_own_compressor_only(study_file, monkeypatch):
    trials = {item.name: item.trial for item in load_study(study_file("quickstart")).trials}
    names = ["Baseline", *(f"{kind}, 50%" for kind in ("Feature pooling (spatial pooling)", "Feature pooling (top-k)"))]
    seen: dict[str, tuple[str, ...]] = {}
    for name in names:
        monkeypatch.setattr(
            "harness.trial.attempt_digest._digest", lambda modules, _, name=name: seen.setdefault(name, modules)[0]
        )
        attempt_digest(trials[name].config, [DATASETS["digits"]])
    baseline, spatial, topk = (set(seen[name]) for name in names)
    assert spatial - baseline == {"harness.layers.spatial"}
    assert topk - baseline == {"harness.layers.topk"}
    for modules in (baseline, spatial):
        assert not {"harness.layers.topk", "harness.layers.width", "harness.layers.conv1x1"} & followed(*modules)


def test_what_only_a_gpu_runs_counts_there_alone(study_file, monkeypatch):
    config = load_study(study_file("quickstart")).trials[0].trial.config
    assert "harness.training.capture" in followed("harness.training.train")
    before = {
        device: attempt_digest(config, [DATASETS["digits"]], device=device) for device in ("cpu", "cuda:0", "cuda:1")
    }
    assert before["cuda:0"] == before["cuda:1"] != before["cpu"]
    read = digests._read_source

    def edited(path, name, *stat):
        source = read(path, name, *stat)
        return replace(source, text=f"{source.text}x") if name == "harness.training.capture" else source

    monkeypatch.setattr(digests, "_read_source", edited)
    forget()
    after = {device: attempt_digest(config, [DATASETS["digits"]], device=device) for device in before}
    assert after["cpu"] == before["cpu"]
    assert after["cuda:0"] != before["cuda:0"]


def test_each_kind_of_attempt_and_each_dataset_has_its_own_digest(study_file):
    config = load_study(study_file("quickstart")).trials[0].trial.config
    by_kind = {
        kind: attempt_digest(config, [DATASETS["digits"]], kind) for kind in ("train", "evaluate", "timing", "check")
    }
    assert by_kind["check"] == by_kind["train"]
    assert len(set(by_kind.values())) == 3
    assert attempt_digest(config, [DATASETS["mnist"]]) != by_kind["train"]
    assert all(len(value) == digests.DIGITS for value in by_kind.values())


def test_what_is_declared_of_a_model_counts(study_file, monkeypatch):
    from harness.trial.models import MODELS, ModelDeclaration, Site

    config = load_study(study_file("quickstart")).trials[0].trial.config
    before = attempt_digest(config, [DATASETS["digits"]])
    old = MODELS["mnist_cnn"]
    other = ModelDeclaration(old.name, old.input_shape, 10, {"conv2": Site("conv2", 64, narrowable=True)}, old.code)
    monkeypatch.setattr("harness.trial.models.MODELS", {"mnist_cnn": other})
    forget()
    assert attempt_digest(config, [DATASETS["digits"]]) != before
