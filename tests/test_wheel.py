"""The wheel: everything that the package reads is in it, and it is what a process imports where it is installed."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


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
