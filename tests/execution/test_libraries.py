"""What the server of workers imports for which trials."""

from harness.execution.libraries import LIGHT, WITH_TORCH, libraries_of

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


def test_optimisers_import_a_large_part_of_torch_which_what_is_not_trained_does_without(tmp_path):
    assert libraries_of([(UNTRAINED, ())]) == (*LIGHT, "torch")
    assert set(libraries_of([(UNTRAINED, ()), (NETWORK, ())])) == set(WITH_TORCH)
    assert set(libraries_of([function(tmp_path, "import torch\n")])) == set(WITH_TORCH)


def test_what_a_function_imports_from_its_folder_counts(tmp_path):
    (tmp_path / "parts.py").write_text("from harness.layers import ChannelPool\n")
    assert "torch" in libraries_of([function(tmp_path, "import parts\n")])
    (tmp_path / "parts.py").write_text("from harness.base import files\nimport torchless\n")
    assert "torch" not in libraries_of([function(tmp_path, "import parts\n")])
