"""What the server of workers imports for which trials."""

from harness.attempt.messages import Execution
from harness.execution.libraries import COMPILER, LIGHT, WITH_TORCH, libraries_of

UNTRAINED = {"task": {"kind": "denoising"}}
NETWORK = {**UNTRAINED, "protocol": {}}


def function(folder, code, name="own"):
    (folder / f"{name}.py").write_text(code)
    return {"task": {"kind": "function", "target": f"{name}.py:run"}}, [str(folder)]


def test_a_network_needs_torch_and_a_function_what_its_code_imports(tmp_path):
    assert libraries_of([(NETWORK, ())]) == WITH_TORCH
    assert libraries_of([function(tmp_path, "import json\nimport jax\n")]) == LIGHT
    numbers = function(tmp_path, "def run(context):\n    import numpy as np\n", "numbers")
    assert libraries_of([numbers]) == (*LIGHT, "numpy")
    assert "torch" in libraries_of([numbers, (NETWORK, ())])


def test_torchs_optimisers_import_its_compiler_which_a_function_may_use_and_networks_do_without(tmp_path):
    assert libraries_of([(UNTRAINED, ()), (NETWORK, ())]) == (*LIGHT, "torch")
    assert set(libraries_of([function(tmp_path, "import torch\n")])) == {*WITH_TORCH, COMPILER}
    assert set(libraries_of([(NETWORK, ())], [Execution(processes=2)])) == {*WITH_TORCH, COMPILER}
    assert libraries_of([(NETWORK, ())], [Execution()]) == WITH_TORCH


def test_what_a_function_imports_from_its_folder_counts(tmp_path):
    (tmp_path / "parts.py").write_text("from harness.layers import ChannelPool\n")
    assert "torch" in libraries_of([function(tmp_path, "import parts\n")])
    (tmp_path / "parts.py").write_text("from harness.base import files\nimport torchless\n")
    assert "torch" not in libraries_of([function(tmp_path, "import parts\n")])
