"""Whose code a study may name: a person's own and what she installed, never what every machine has anyway."""

import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.api import run
from harness.base.errors import HarnessError
from harness.cli import main
from harness.plugins.origin import without_plugins
from harness.plugins.plugin import load_plugin
from harness.study.study import load_study

HEAD = "study: s\nseeds: [0]\n"
NETWORK = f"{HEAD}task: classification\ndataset: digits\nprotocol: digits-quick\n"
OTHERS = {  # what a study may name, with a place for the name
    "model": NETWORK + "model: {{kind: '{0}', command: 'touch done'}}\ntrials: [{{name: A}}]\n",
    "compressor": NETWORK + "model: mnist_cnn\nat: conv2\ncompressor: {{kind: '{0}', command: 'touch done'}}\n"
    "trials: [{{name: A}}]\n",
    "dataset": HEAD + "task: classification\ndataset: {{kind: '{0}', command: 'touch done'}}\nmodel: mnist_cnn\n"
    "protocol: digits-quick\ntrials: [{{name: A}}]\n",
    "target": HEAD + "task: function\ntarget: '{0}'\nmetrics: {{x: maximize}}\narguments: {{command: 'touch done'}}\n"
    "trials: [{{name: A}}]\n",
}
OWN = """\
import os
import functools
import subprocess
from importlib import import_module
from os import system
from torch.hub import load
from harness.base.files import atomic_write

shell = functools.partial(subprocess.run, shell=True)
again = functools.partial(shell)
check = subprocess
Child = subprocess.Popen


def run(context, *, command):
    return {"x": 1}


class Worker:
    def __call__(self, **options):
        return system("touch done")
"""


@pytest.fixture
def said(tmp_path, monkeypatch):
    """Return a function that gives the line with which a dry run refuses what a study names, and sees that it ran
    nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))

    def _said(what, kind, *options):
        Path("s.yml").write_text(OTHERS[what].format(kind), encoding="utf-8")
        result = CliRunner().invoke(main, ["run", "grid", "s.yml", "--dry-run", *options])
        assert not Path("done").exists()
        assert (result.exit_code, result.stdout) == (2, "")
        return result.stderr.strip()

    return _said


@pytest.mark.parametrize("what", OTHERS)
@pytest.mark.parametrize(
    ("kind", "owner"),
    [
        ("os:system", "'os' belongs to Python's standard library"),
        ("posix:system", "'posix' belongs to Python's standard library"),
        ("subprocess:run", "'subprocess' belongs to Python's standard library"),
        ("importlib.util:find_spec", "'importlib.util' belongs to Python's standard library"),
        ("harness.base.files:atomic_write", "'harness.base.files' belongs to the harness itself"),
        ("torch.hub:load", "'torch.hub' belongs to torch, which the harness itself needs"),
        ("pip:main", "'pip' belongs to pip, which the harness itself needs"),
        (f"{os.__file__}:system", "belongs to Python's standard library"),
    ],
)
def test_what_every_machine_has_is_no_plug_in(said, what, kind, owner):
    message = said(what, kind)
    assert message.count("\n") == 0
    assert f"'{kind}' is not a plug-in: " in message
    assert owner in message


@pytest.mark.parametrize("what", OTHERS)
@pytest.mark.parametrize("name", ["system", "import_module", "load", "atomic_write", "shell", "again", "Child"])
def test_nor_what_a_plug_in_only_imports(said, what, name):
    Path("own.py").write_text(OWN, encoding="utf-8")
    message = said(what, f"own.py:{name}")
    assert f"'own.py:{name}' is not a plug-in: it is imported from '" in message


@pytest.mark.parametrize("what", OTHERS)
@pytest.mark.parametrize("name", ["os", "check", "os.system"])
def test_nor_a_module_or_what_is_in_it(said, what, name):
    Path("own.py").write_text(OWN, encoding="utf-8")
    assert "s.yml:" in said(what, f"own.py:{name}")


@pytest.mark.parametrize("what", ["model", "compressor"])
@pytest.mark.parametrize("name", ["Worker", "run"])
def test_nor_what_is_of_another_kind(said, what, name):
    Path("own.py").write_text(OWN.replace("def run(context, *, command):", "def run():"), encoding="utf-8")
    message = said(what, f"own.py:{name}")
    assert ("is not a network" if what == "model" else "is not a compressor") in message or "unknown option" in message


def test_a_link_beside_the_study_does_not_hide_where_it_leads(said, tmp_path):
    (tmp_path / "mine.py").symlink_to(os.__file__)
    assert "belongs to Python's standard library" in said("model", "mine.py:system")


def test_a_file_included_from_elsewhere_brings_no_library_along(tmp_path):
    folder = os.path.relpath(Path(os.__file__).parent, tmp_path)
    (tmp_path / "s.yml").write_text(OTHERS["target"].format(f"{folder}/os.py:system"), encoding="utf-8")
    with pytest.raises(HarnessError, match="belongs to Python's standard library"):
        load_study(tmp_path / "s.yml")


def test_what_a_package_gives_on_from_its_own_modules_or_another_package(tmp_path, monkeypatch):
    site = tmp_path / "site-packages"
    packages = {"strange_nets": "from .core import tiny\n", "strange_more": "from strange_nets import tiny\n"}
    for package, text in packages.items():
        (site / package).mkdir(parents=True)
        (site / package / "__init__.py").write_text(text, encoding="utf-8")
    (site / "strange_nets" / "core.py").write_text("def tiny(): ...\n", encoding="utf-8")
    monkeypatch.syspath_prepend(site)
    found = [load_plugin(f"{name}:tiny", [])[0] for name in ("strange_nets", "strange_more")]
    assert [each.__module__ for each in found] == ["strange_nets.core"] * 2
    for name in [name for name in sys.modules if name.startswith("strange_")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize("what", OTHERS)
def test_no_plugins_refuses_them_all_before_they_are_imported(said, what):
    Path("own.py").write_text("open('done', 'w')\n" + OWN, encoding="utf-8")
    assert "'own.py:run' is a plug-in, and --no-plugins refuses these" in said(what, "own.py:run", "--no-plugins")


def test_no_plugins_holds_from_the_environment_and_from_python(said, monkeypatch, tmp_path):
    Path("own.py").write_text("open('done', 'w')\n" + OWN, encoding="utf-8")
    Path("s.yml").write_text(OTHERS["target"].format("own.py:run"), encoding="utf-8")
    with pytest.raises(HarnessError, match="--no-plugins refuses"):
        run("s.yml", plugins=False, db=tmp_path / "h.db")
    monkeypatch.setenv("HARNESS_NO_PLUGINS", "1")
    assert "--no-plugins refuses" in said("target", "own.py:run")


def test_no_plugins_leaves_what_is_built_in(study_file):
    with without_plugins():
        assert load_study(study_file("quickstart")).trials
