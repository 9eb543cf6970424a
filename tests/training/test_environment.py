"""What is recorded of where an attempt ran, and that no fact takes a result along."""

import json
import subprocess
import sys

from harness.training import environment as recorded
from harness.training.environment import environment


def test_the_facts_that_explain_a_difference_are_there():
    found = environment("cpu", {"commit": "c0ffee", "dirty": False})
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["study"] == {"commit": "c0ffee", "dirty": False}
    assert {"harness", "torch", "numpy"} <= found["packages"].keys() <= {"harness", *found["installed"]}
    assert found["torch"] == found["packages"]["torch"]
    assert {"torch", "numpy"} <= found["blas"].keys()
    assert found["threads_in_use"]["torch"] >= 1
    assert found["driver"] is None
    assert not {"cuda", "cpu"} & found.keys()
    assert "study" not in environment("cpu")


def test_a_function_without_torch_records_what_it_imported_and_wakes_nothing():
    code = """
import json, sys
from harness.training.environment import environment
found = environment("cpu")
print(json.dumps([sorted(found["packages"]), "torch" in sys.modules, "numpy" in sys.modules, "blas" in found]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    packages, torch, numpy, blas = json.loads(done.stdout)
    assert "harness" in packages
    assert not {"torch", "numpy", "matplotlib"} & set(packages)
    assert (torch, numpy, blas) == (False, False, False)


def test_a_fact_that_cannot_be_told_takes_nothing_along(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", object())
    monkeypatch.setattr(recorded, "installed", lambda: 1 / 0)
    found = environment("cpu")
    assert "installed" not in found
    assert "blas" not in found
    assert found["packages"]["harness"]
    assert found["libc"] is not None


def test_variables_that_choose_other_instructions_are_recorded_and_no_others(monkeypatch):
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    monkeypatch.setenv("MY_TOKEN", "secret")
    found = environment("cpu")
    assert found["variables"]["MKL_CBWR"] == "AVX2"
    assert "secret" not in json.dumps(found)
