"""Every hostile file of the corpus is refused: one line, no trace, little memory, and nothing outside the folder."""

import importlib
import json
import multiprocessing
import sys

import pytest
from hostile_core import CASES, run_group

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="bounds memory by the kernel")
MOST_MIB = 1024
CORPUS = ("hostile_texts", "hostile_data", "hostile_networks")
for _part in CORPUS:
    importlib.import_module(_part)  # enters its cases
PRELOAD = (
    "torch", "scipy.io", "h5py", "PIL.Image", "safetensors.torch", "optuna", "matplotlib",
    "harness.cli.run", "harness.cli.search", "harness.cli.report", "harness.cli.results.move", "harness.cli.denoise",
    "harness.data.acquire", "harness.data.own.arrays", "harness.data.own.folder", "harness.data.own.scaled",
    "harness.denoiser.denoisers", "harness.denoiser.pictures", "harness.execution.driver", "harness.execution.preview",
    "harness.models.denoising.dncnn", "harness.report", "harness.report.tables.table_file", "harness.search.run",
    "harness.search.file", "harness.store.take", "harness.store.export", "harness.study.study",
)  # fmt: skip


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """Return a function that says how a case ended: those of one kind run in one process, which nothing else is in."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*CORPUS, *PRELOAD])
    outcomes, begun = tmp_path_factory.mktemp("outcomes"), set()

    def find(name):
        kind = name.split()[0]
        if kind not in begun:
            begun.add(kind)
            group = [each for each in CASES if each.split()[0] == kind]
            process = context.Process(
                target=run_group, args=(CORPUS, group, tmp_path_factory.mktemp("hostile"), outcomes)
            )
            process.start()
            process.join(240)
            process.kill()
        file = outcomes / f"{name.replace('/', ' ')}.json"
        assert file.exists(), "it hangs, or has killed its process"
        return json.loads(file.read_text())

    return find


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_is_refused_in_a_line(name, outcome):
    found = outcome(name)
    assert "Traceback" not in found["said"], found["said"]
    assert found["code"] == 2, found
    assert len(found["said"].strip().splitlines()) == 1, found["said"]
    assert found["peak_mib"] < MOST_MIB
    assert set(found["beside"]) <= {"case", "secret"}
