"""The import hook for torchvision, each test in a process of its own."""

import subprocess
import sys

import pytest

NAMES = "[n for n in ('nms', 'qnms') if hasattr(torch.ops.torchvision, n)]"


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.parametrize("name", ["harness", "harness.layers", "harness.torchvision_compat"])
def test_importing_the_harness_imports_no_torch(name):
    loaded = "{'torch', 'torchvision', 'ptflops'} & set(sys.modules)"
    assert run(f"import sys, {name}; print({loaded})") == "set()"


def test_using_the_layers_and_models_changes_no_registry():
    code = "import sys, torch, harness.layers, harness.models.build, harness.cost.count\n"
    code += "harness.layers.channel_pool(torch.zeros(1, 2, 1, 1), 2)\n"
    code += f"print('torchvision' in sys.modules, {NAMES})"
    assert run(code) == "False []"


def test_layers_do_not_import_torch_s_compiler_and_are_marked_as_it_asks():
    output = run(
        "import sys, torch, harness.layers\n"
        "from harness.layers.transforms import constant_result\n"
        "harness.layers.channel_pool(torch.zeros(1, 2, 1, 1, requires_grad=True), 2).sum().backward()\n"
        "print('torch._dynamo' in sys.modules)\n"
        "ours, theirs = (mark(lambda: 1) for mark in (constant_result, torch.compiler.assume_constant_result))\n"
        "print(vars(ours) == vars(theirs) != {})"
    )
    assert output == "False\nTrue"


def test_torchvision_works_and_a_second_call_is_harmless():
    output = run(
        "import torch\n"
        "from harness.torchvision_compat import import_ptflops, import_torchvision\n"
        "first = import_torchvision()\n"
        "assert import_torchvision() is first\n"
        "import_ptflops()\n"
        "from torchvision.transforms import v2\n"
        "x = torch.arange(4.0).view(1, 2, 2)\n"
        "print(first.datasets.MNIST.__name__, v2.functional.horizontal_flip(x).flatten().tolist())\n"
    )
    assert output == "MNIST [1.0, 0.0, 3.0, 2.0]"


def test_ptflops_brings_no_torchvision_along_which_still_can_be_imported():
    output = run(
        "import sys\n"
        "from harness.torchvision_compat import import_ptflops, import_torchvision\n"
        "ptflops = import_ptflops()\n"
        "print(ptflops.get_model_complexity_info.__name__, 'torchvision' in sys.modules, 'timm' in sys.modules)\n"
        "print(import_torchvision().__name__)"
    )
    assert output == "get_model_complexity_info False False\ntorchvision"


@pytest.fixture
def _no_library():
    """Skip where torchvision's library loads: defining its operators first would end the process."""
    code = "import torch, importlib.util as u, pathlib\n"
    code += "from harness.torchvision_compat import _library_loads as loads\n"
    code += "print(loads(pathlib.Path(u.find_spec('torchvision').submodule_search_locations[0])))"
    if run(code) == "True":
        pytest.skip("torchvision's library loads beside this torch")


@pytest.mark.usefixtures("_no_library")
def test_names_that_are_there_already_are_left_alone():
    code = "import torch\n"
    code += "torch.library.define('torchvision::nms', '(Tensor d, Tensor s, float i) -> Tensor')\n"
    code += "from harness.torchvision_compat import import_torchvision as get\nprint(get().__name__)"
    assert run(code) == "torchvision"


@pytest.mark.parametrize("version", ["cuda", "hip"])
def test_a_build_for_gpus_is_left_alone(version):
    code = "import torch\nfrom harness import torchvision_compat as compat\n"
    code += f"torch.version.{version} = '1'\ncompat._name_missing_operators()\nprint({NAMES})"
    assert run(code) == "[]"


def test_a_library_that_loads_is_left_alone():
    code = "import torch\nfrom harness import torchvision_compat as compat\n"
    code += f"compat._library_loads = lambda folder: True\ncompat._name_missing_operators()\nprint({NAMES})"
    assert run(code) == "[]"


@pytest.mark.usefixtures("_no_library")
def test_the_described_names_are_defined_where_the_library_does_not_load():
    code = "import torch\nfrom harness.torchvision_compat import import_torchvision\n"
    assert "nms" in run(code + f"import_torchvision()\nprint({NAMES})")


def test_whether_a_library_loads(tmp_path):
    from harness.torchvision_compat import _library_loads

    assert not _library_loads(tmp_path)
    (tmp_path / "_C.so").write_bytes(b"no library")
    assert not _library_loads(tmp_path)


NET = """
from torchvision.ops import Conv2dNormActivation

class Net(Conv2dNormActivation):
    pass
"""


def test_a_plug_in_that_imports_torchvision_needs_to_know_nothing_of_it(tmp_path):
    (tmp_path / "net.py").write_text(NET)
    code = "import sys\nfrom harness.plugins.plugin import load_plugin\n"
    code += f"made = load_plugin('net.py:Net', [{str(tmp_path)!r}])[0](3, 4)\n"
    code += "print(type(made).__name__, 'torchvision' in sys.modules)"
    assert run(code) == "Net True"


def test_preparing_imports_nothing_and_is_done_once():
    code = "import sys\nfrom harness.torchvision_compat import prepare_torchvision as prepare\n"
    code += "from harness.base.extras import is_installed\n"
    code += "before = len(sys.meta_path)\nprepare()\nprepare()\nassert is_installed('torchvision')\n"
    code += "print(len(sys.meta_path) - before, 'torch' in sys.modules)"
    assert run(code) == "1 False"
