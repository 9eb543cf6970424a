"""Every hostile file of the corpus is refused: one line, no trace, little memory, and nothing outside the folder."""

import importlib
import json
import sys

import pytest
from hostile_core import CASES, forked, run_group

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="bounds memory by the kernel")
MOST_MIB = 1024
CORPUS = ("hostile_texts", "hostile_data", "hostile_networks")
for _part in CORPUS:
    importlib.import_module(_part)  # enters its cases


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """Return a function that says how a case ended: those of one kind run in one process, which nothing else is in."""
    context = forked()
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
