"""The wheel: everything that the package reads is in it, and it is what a process imports where it is installed.

And its name, its extras and the tested versions: every line that tells what to install names what there is.
"""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import harness
from harness.base.extras import DISTRIBUTION

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_every_file_of_the_package_is_in_the_wheel(wheel):
    ours = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "harness").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert {Path(name).suffix for name in ours} >= {".py", ".yml", ".j2", ".js", ".css", ".typed"}
    assert packed == ours


def test_the_installed_package_finds_its_files(installed, tmp_path):
    code = (
        "import harness, harness.report.html.page\n"
        "from harness.trial.protocol import resolve_protocol\n"
        "print(harness.__file__, resolve_protocol({'kind': 'mnist-paper'}).name)"
    )
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
    assert said.split() == [str(installed / "harness" / "__init__.py"), "mnist-paper"]


STUDIES = {
    "own.yml": """\
study: own
task: function
target: own.py:run
metrics: {installed: maximize}
seeds: [0, 1]
trials: [{name: A}]
""",
    "digits.yml": """\
study: digits
task: classification
dataset: digits
model: mnist_cnn
protocol: {kind: digits-quick, epochs: 1, batch_size: 250}
seeds: [0]
execution: {threads: 1}
trials: [{name: pooled, at: conv2, compressor: {kind: spatial, stride: 8}}]
""",
}
OWN = """\
def run(context):
    import harness.training.function as ours

    context.report(1, installed=0)
    return {"installed": float(ours.__file__.startswith(INSTALLED))}
"""


def test_the_installed_command_runs_studies_outside_the_checkout(installed, tmp_path):
    for name, text in STUDIES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "own.py").write_text(f"INSTALLED = {str(installed)!r}\n{OWN}", encoding="utf-8")
    script = (
        "from importlib.metadata import entry_points as all; (script,) = all(group='console_scripts', name='harness')"
    )
    environment = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}

    def harness_command(*arguments):
        command = [sys.executable, "-c", f"{script}; script.load()()", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "this call: 3 done; in all 3 done, 0 left, 0 held" in harness_command("run", "grid", *STUDIES)
    assert "1.0000 ± 0.0000 (n = 2, best 1.0000)" in harness_command("report", "tables", "--study", "own.yml")
    assert harness_command("results", "verify").startswith("ok")


def test_the_wheel_has_the_name_and_the_version_that_the_code_says(wheel):
    assert wheel.name.startswith(f"{DISTRIBUTION.replace('-', '_')}-{harness.__version__}-")
    assert (PROJECT["name"], PROJECT["version"]) == (DISTRIBUTION, harness.__version__)


def test_every_line_on_what_to_install_names_what_there_is():
    texts = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *(ROOT / "harness").rglob("*.py")]
    hints = [hint for file in texts for hint in re.findall(r"pip install '([^']*)'", file.read_text(encoding="utf-8"))]
    wanted = [Requirement(hint) for hint in hints if "{" not in hint and not hint.startswith(".")]
    assert {each.name for each in wanted} == {DISTRIBUTION}
    assert {extra for each in wanted for extra in each.extras} <= set(PROJECT["optional-dependencies"])


def test_the_tested_versions_are_those_that_the_project_takes():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert all(re.fullmatch(r"[\w.-]+==\d[\w.]*|#.*", line) for line in lines)  # no address, no suffix of a build
    pinned = {canonicalize_name(name): version for name, version in pinned.items()}
    known = [*PROJECT["dependencies"], *(line for lines in PROJECT["optional-dependencies"].values() for line in lines)]
    wanted = [Requirement(line) for line in known]
    ours = [each for each in wanted if each.name not in {DISTRIBUTION, "triton"}]  # triton is torch's build's
    assert [str(each) for each in ours if not each.specifier.contains(pinned[canonicalize_name(each.name)])] == []
