"""The CUDA kernels without a GPU: run by Triton's interpreter on the CPU, and compiled for a card that is not here.

Triton reads its settings when it is imported, so that each of these is a process of its own.
"""

import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="the CUDA kernels are run by Triton's interpreter: pip install triton")
pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
KINDS = [
    f"{what} {dtype} {layout}"
    for what, dtype, layout in product(
        ("spatial max", "spatial min", "topk largest", "topk smallest"),
        ("float32", "bfloat16", "float16"),
        ("nchw", "nhwc"),
    )
]
OTHERS = [
    "many channels",
    "offsets of 64 bits",
    "views and gradients of any stride",
    "the bits of a NaN are kept",
    "from the layers",
    "a wrong or broken kernel is not used, and one warning says so",
    "each is checked once, and draws no random number",
]


def _output(script, *arguments, **environment):
    command = [sys.executable, str(HERE / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def interpreted():
    """Return what each case of `cuda_cases` raised."""
    return _output("cuda_cases.py", TRITON_INTERPRET="1")


@pytest.mark.parametrize("name", KINDS + OTHERS)
def test_case(interpreted, name):
    assert not interpreted[name], interpreted[name]


def test_no_case_is_left_out(interpreted):
    assert set(interpreted) == {*KINDS, *OTHERS}


def test_kernels_compile_for_a_card_that_is_not_here(tmp_path):
    found = _output("compile_cuda.py", "90", TRITON_INTERPRET="0", TRITON_CACHE_DIR=str(tmp_path))
    assert found == {
        "forward_maps": 3,  # two strides in NCHW, and in channels-last the one that is no power of two
        "forward_neighbours": 1,
        "backward_maps": 2,
        "backward_neighbours": 2,
        "forward": 4,
        "backward": 2,
        "backward_few": 2,
    }
