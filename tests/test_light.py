"""What `pip install ablation-harness` brings is enough for functions, tables, statistics and results.

What needs more says in one line which extra to install.
"""

import json
import os
import shlex
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from harness.base.errors import HarnessError
from harness.base.extras import EXTRAS, LIBRARIES, MissingPartError, missing_part, needs, parts_named

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FUNCTION = """\
def run(context, *, rate):
    loss = 1.0
    for step in range(3):
        loss *= 1 - rate
        context.report(step, loss=loss)
    return {"score": loss + context.seed / 100}
"""
STUDY = """\
study: own
task: function
target: train.py:run
metrics: {score: maximize}
seeds: [0, 1]
trials:
  - {name: "rate {arguments.rate}", grid: {arguments.rate: [0.1, 0.5]}}
"""
SEARCH = """\
search: found
task: function
target: train.py:run
metrics: {score: maximize}
seeds: [0]
space: {arguments.rate: {low: 0.1, high: 0.9}}
"""
NETWORK = "import torch\n\nclass Net(torch.nn.Module):\n    pass\n"
OF_A_PERSON = """\
study: net
task: classification
dataset: digits
model: net.py:Net
protocol: digits-quick
seeds: [0]
trials: [{name: A}]
"""


@pytest.fixture(scope="module")
def light(tmp_path_factory):
    """Return a folder for PYTHONPATH: links to the base requirements of the harness and what these require."""
    folder = tmp_path_factory.mktemp("light")
    todo, known = list(PROJECT["dependencies"]), set()
    while todo:
        wanted = Requirement(todo.pop())
        if wanted.name in known or (wanted.marker is not None and not wanted.marker.evaluate({"extra": ""})):
            continue
        known.add(wanted.name)
        found = distribution(wanted.name)
        todo += found.requires or ()
        for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(found.locate_file(top))
    (folder / "harness").symlink_to(ROOT / "harness")
    return folder


@pytest.fixture(scope="module")
def python(light):
    """Return a function that runs Python where nothing else is installed (-S)."""

    def run(*arguments, cwd):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HARNESS_")}
        environment = {**kept, "PYTHONPATH": str(light)}
        command = [sys.executable, "-S", *map(str, arguments)]
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="module")
def lab(python, tmp_path_factory):
    """Return a folder with studies, of which that of a function has run."""
    folder = tmp_path_factory.mktemp("lab")
    files = {"train.py": FUNCTION, "own.yml": STUDY, "found.yml": SEARCH, "net.py": NETWORK, "net.yml": OF_A_PERSON}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    done = python("-m", "harness", "run", "grid", "own.yml", "--threads", "1", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "4 done, 0 left, 0 held" in done.stdout
    return folder


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("report tables --study own.yml", "**0.7340 ± 0.0071 (n = 2, best 0.7390)**"),
        ("report compare 'own:rate 0.1' 'own:rate 0.5'", "paired by seed, 2 pairs"),
        ("report findings", "# Findings"),
        ("results list", "score 0.729"),
        ("results verify", "2 trials, 4 attempts"),
        ("results export --out rows.csv", "rows.csv"),
        ("report tables --table 1", "Feature pooling"),
        ("model list", "vgg16"),
        ("data list", "digits"),
        ("doctor", "torch not installed (pip install 'ablation-harness[torch]')"),
    ],
)
def test_without_extras_there_are_functions_tables_statistics_and_results(python, lab, command, said):
    done = python("-m", "harness", *shlex.split(command), cwd=lab)
    assert "Traceback" not in done.stderr
    assert said in done.stdout
    assert done.returncode == (1 if command == "doctor" else 0)


QUICKSTART = ROOT / "ablations" / "quickstart.yml"


@pytest.mark.parametrize(
    ("command", "library", "extra"),
    [
        (f"run grid {QUICKSTART}", "torch", "torch"),
        (f"run grid {QUICKSTART} --dry-run", "torch", "torch"),
        (f"run grid {QUICKSTART} --db new.db", "torch", "torch"),
        ("run grid own.yml --device cuda", "torch", "torch"),
        (f"run timing {QUICKSTART}", "torch", "torch"),
        ("model sites torchvision:resnet18", "torch", "torch"),
        ("model sweep", "torch", "torch"),
        ("model save own:A:0 a.npz", "torch", "torch"),
        ("model export own:A:0 a.onnx", "torch", "torch"),
        ("model compare own:A own:B", "torch", "torch"),
        ("denoise picture.png", "torch", "torch"),
        ("data verify digits", "scikit-learn", "torch"),
        ("data get mnist", "torch", "torch"),
        ("bench ops --quick", "torch", "kernels"),
        ("bench epoch --case digits", "torch", "kernels"),
        ("bench overhead", "torch", "torch"),
        ("bench report --from RESULTS/benchmarks --out bench.md", "matplotlib", "figures"),
        ("search arguments found.yml", "Optuna", "search"),
        (f"search placement {ROOT / 'ablations' / 'cifar-search.yml'}", "Optuna", "search"),
        ("report figures", "matplotlib", "figures"),
        ("report html", "Jinja", "figures"),
        ("results serve", "datasette", "dash"),
        ("results serve --search found.yml", "Optuna's dashboard", "dash"),
        ("results export --rows results --out rows.parquet", "pyarrow", "parquet"),
    ],
)
def test_what_needs_an_extra_says_which_in_one_line(python, lab, command, library, extra):
    done = python("-m", "harness", *command.replace("RESULTS", str(ROOT / "results")).split(), cwd=lab)
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert line == f"Error: this needs {library}: pip install 'ablation-harness[{extra}]'"
    assert "Traceback" not in done.stderr
    assert not (lab / "new.db").exists()


def test_what_a_declared_network_costs_is_told(python, lab):
    done = python("-m", "harness", "cost", QUICKSTART, cwd=lab)
    assert done.returncode == 0, done.stderr
    assert "12,855,498" in done.stdout


def test_a_network_of_a_person_says_it_with_its_place(python, lab):
    done = python("-m", "harness", "run", "grid", "net.yml", cwd=lab)
    why = "cannot import 'net': this needs torch: pip install 'ablation-harness[torch]'"
    assert done.stderr == f"Error: net.yml:4: {why}\n"


def test_the_library_says_it_too(python, lab):
    code = (
        "import json, harness\n"
        "said = []\n"
        "for part in (lambda: harness.load().runs(), lambda: __import__('harness.layers').layers.Spatial,\n"
        f"             lambda: harness.run({str(QUICKSTART)!r})):\n"
        "    try: part()\n"
        "    except ImportError as error: said.append(str(error))\n"
        "print(json.dumps([*said, repr(harness.load())]))\n"
    )
    done = python("-c", code, cwd=lab)
    assert done.returncode == 0, done.stderr
    *said, stored = json.loads(done.stdout)
    assert said == [f"this needs {e}: pip install 'ablation-harness[{e}]'" for e in ("pandas", "torch", "torch")]
    assert "4 runs of 1 studies" in stored


def test_an_extra_brings_the_libraries_that_are_said_to_come_with_it():
    extras = PROJECT["optional-dependencies"]
    assert {*EXTRAS, "all", "test", "docs", "dev"} == {*extras}
    (everything,) = extras["all"]
    assert Requirement(everything).extras == {*EXTRAS}
    owners = packages_distributions()
    for module in LIBRARIES.keys() & owners.keys() - {"llvmlite"}:  # which comes with numba
        named = {canonicalize_name(Requirement(line).name) for line in extras[LIBRARIES[module][1]]}
        assert {canonicalize_name(owner) for owner in owners[module]} & named, module


@pytest.mark.parametrize(
    "error", [ValueError("x"), ModuleNotFoundError("x", name="mine"), ImportError("x", name="torch")]
)
def test_other_errors_are_no_missing_part(error):
    assert missing_part(error) is None
    with pytest.raises(type(error)) as caught, parts_named():
        raise error
    assert caught.value is error


def test_a_library_that_is_there_and_lacks_a_module_is_not_called_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", ModuleType("pyarrow"))
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'pyarrow\.nothing'"), parts_named():
        import_module("pyarrow.nothing")


def test_a_missing_part_is_both_of_our_errors_and_an_import_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPartError) as caught:
        needs("json", "pyarrow")
    assert isinstance(caught.value, HarnessError)
    assert isinstance(caught.value, ImportError)
    assert caught.value.name == "pyarrow"


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """Return an environment of its own, made new; without an index of packages its tests are skipped."""
    folder = tmp_path_factory.mktemp("empty")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    commands = folder / "venv" / "bin"
    looked = [commands / "pip", "download", "-q", "--no-deps", "-d", folder, "tabulate"]
    if subprocess.run(looked, capture_output=True, check=False).returncode != 0:
        pytest.skip("no index of packages can be reached")
    return commands


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_pip_install_in_an_empty_environment_is_enough_for_a_function(empty, tmp_path):
    subprocess.run([empty / "pip", "install", "-q", ROOT], check=True, capture_output=True)
    (tmp_path / "train.py").write_text(FUNCTION, encoding="utf-8")
    (tmp_path / "own.yml").write_text(STUDY, encoding="utf-8")

    def harness(*words):
        return subprocess.run([empty / "harness", *words], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert "4 done, 0 left, 0 held" in harness("run", "grid", "own.yml").stdout
    assert "rate 0.1" in harness("report", "tables", "--study", "own.yml").stdout
    assert "ablation-harness[torch]" in harness("run", "grid", str(QUICKSTART)).stderr


def test_windows_is_refused_in_one_line():
    code = "import sys; sys.platform = 'win32'; import harness.cli"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "Error: harness does not run on Windows: use Linux, also inside Windows (WSL)\n"
