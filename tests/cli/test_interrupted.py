"""Ctrl-C before attempts run: one exit code and one word, whatever an import makes of it."""

import os
import signal
import subprocess
import sys
from contextlib import chdir, suppress

import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.execution.interruptions import interruptions, interruptions_remembered, was_interrupted

OWN = "def run(context):\n    return {'m': 1}\n"
STUDY = """\
study: own
task: function
target: own.py:run
metrics: {m: maximize}
seeds: [0]
trials:
  - name: A
"""


def swallows():
    with suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def fails():
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise ImportError("cannot load module more than once per process") from None


@pytest.mark.parametrize("library", [swallows, fails])
def test_ctrl_c_is_heard_whatever_a_library_makes_of_it(tmp_path, monkeypatch, library):
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "study.yml").write_text(STUDY)
    monkeypatch.setattr("harness.execution.driver.add_studies", lambda *_: library())
    with chdir(tmp_path):
        result = CliRunner().invoke(main, ["run", "grid", "study.yml", "--threads", "1"])
    assert result.exit_code == 130
    assert "interrupted" in result.stderr
    assert "Traceback" not in result.stderr
    assert "this call" not in result.stdout  # nothing was begun
    assert not list(tmp_path.glob("results/artifacts/*"))


@pytest.mark.parametrize("library", [swallows, fails])
def test_so_it_is_where_nothing_is_run(monkeypatch, library):
    monkeypatch.setattr("harness.data.locations.data_root", library)
    result = CliRunner().invoke(main, ["data", "list"])
    assert result.exit_code == 130


KILLED = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
from harness.cli import main
main(["run", "grid", "study.yml"])
"""


@pytest.mark.parametrize("module", ["harness.cli.app", "click", "harness.cli.run", "harness.execution.driver"])
def test_ctrl_c_while_a_module_is_imported_leaves_no_trace(tmp_path, module):
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "study.yml").write_text(STUDY)
    code = KILLED.format(module=module)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 130
    assert done.stderr in {b"", b"interrupted\n"}
    assert not (tmp_path / "results").exists()


def test_python_is_left_as_it_was():
    with interruptions_remembered():
        assert not was_interrupted()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert was_interrupted()
        with interruptions() as received:
            assert received == [signal.SIGINT]
    assert not was_interrupted()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with interruptions() as received:
        assert received == []
