"""The pooling operators among torch's: opcheck, compile, export, vmap, autocast, and plain torch instead."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.autograd import forward_ad
from torch.library import opcheck
from torch.utils.flop_counter import FlopCounterMode

from harness.layers import channel_pool, channel_topk
from harness.layers.kernels import choice, selected_kernels, use_kernels

pytest.importorskip("numba")
FORMATS = [torch.contiguous_format, torch.channels_last]


def both(x: torch.Tensor) -> torch.Tensor:
    return channel_topk(channel_pool(x, 2, "min"), 2)


class Both(torch.nn.Module):
    def forward(self, x):
        return both(x)


@pytest.mark.parametrize("memory_format", FORMATS, ids=str)
def test_opcheck(memory_format):
    x = torch.randn(2, 8, 4, 6).contiguous(memory_format=memory_format)
    operators = torch.ops.harness
    for operator, back, arguments, more in (
        (operators.feature_pool, operators.feature_pool_backward, (2, True), 2),
        (operators.topk_pool, operators.topk_pool_backward, (3, True), 8),
    ):
        opcheck(operator.default, (x.clone().requires_grad_(), *arguments))
        y, taken = operator(x, *arguments)
        assert taken.dtype == torch.uint8
        opcheck(back.default, (torch.randn_like(y).requires_grad_(), taken, more))


@pytest.mark.parametrize("memory_format", FORMATS, ids=str)
def test_compile_without_a_break_and_export(memory_format):
    x = torch.randn(2, 8, 4, 6).contiguous(memory_format=memory_format)
    compiled = torch.compile(both, fullgraph=True, backend="aot_eager")
    gradients = []
    for run in (both, compiled):
        leaf = x.clone().requires_grad_()
        y = run(leaf)
        assert torch.equal(y, both(x))
        y.square().sum().backward()
        gradients.append(leaf.grad)
    assert torch.equal(*gradients)
    exported = torch.export.export(Both(), (x,))
    assert "harness.topk_pool" in str(exported.graph)
    assert torch.equal(exported.module()(x), both(x))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("pool", [lambda x: channel_pool(x, 2), lambda x: channel_topk(x, 2), both])
@pytest.mark.parametrize("watched", [True, False])
def test_a_traced_graph_has_the_operators_in_it(pool, watched, tmp_path):
    """And gives what they give, on other maps than it was traced on, gradients too, also when it was stored."""
    first, second = torch.randn(2, 8, 4, 6), torch.randn(2, 8, 4, 6)
    with torch.set_grad_enabled(watched):
        traced = torch.jit.trace(pool, first)
    assert "harness::" in str(traced.graph)
    traced.save(str(tmp_path / "traced.pt"))
    for run in (traced, torch.jit.load(tmp_path / "traced.pt")):
        assert torch.equal(run(second), pool(second))
        leaves = [second.clone().requires_grad_() for _ in range(2)]
        for function, leaf in zip((run, pool), leaves, strict=True):
            function(leaf).square().sum().backward()
        assert torch.equal(leaves[0].grad, leaves[1].grad)


@pytest.mark.parametrize("memory_format", FORMATS, ids=str)
@pytest.mark.parametrize("shape", [(2, 8, 4, 6), (2, 8, 1, 2)], ids=str)
def test_maps_stay_where_they_are_whatever_the_default_device_is(memory_format, shape):
    x = torch.randn(shape).contiguous(memory_format=memory_format)
    expected = both(x)
    with torch.device("meta"):
        leaf = x.clone().requires_grad_()
        found = both(leaf)
        found.sum().backward()
    assert found.device.type == leaf.grad.device.type == "cpu"
    assert torch.equal(found, expected)
    assert leaf.grad.sum() == found.numel()


@pytest.mark.parametrize("pool", [lambda x: channel_pool(x, 2), lambda x: channel_topk(x, 2), both])
@pytest.mark.parametrize("requires_grad", [False, True])
def test_forward_mode_keeps_its_tangents(pool, requires_grad):
    """The derivative along t, held against the difference of a small step that changes no order."""
    x = torch.randperm(2 * 8 * 4 * 6).view(2, 8, 4, 6).double().float().requires_grad_(requires_grad)
    t = torch.randn_like(x)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(pool(forward_ad.make_dual(x, t))).tangent
    with torch.no_grad():
        step = (pool(x.double() + 1e-3 * t.double()) - pool(x.double())) / 1e-3
    assert torch.allclose(tangent.double(), step, atol=1e-6)


def test_vmap_and_functional_gradients():
    x = torch.randn(3, 2, 8, 4, 6)
    assert torch.equal(torch.vmap(both)(x), torch.stack([both(one) for one in x]))
    assert torch.equal(torch.vmap(both, in_dims=1)(x), torch.stack([both(one) for one in x.unbind(1)]))
    gradients = torch.vmap(torch.func.grad(lambda one: both(one).square().sum()))(x)
    for one, gradient in zip(x, gradients, strict=True):
        leaf = one.clone().requires_grad_()
        both(leaf).square().sum().backward()
        assert torch.equal(gradient, leaf.grad)


def test_autocast_and_flop_counters_leave_the_operators_alone():
    convolution = torch.nn.Conv2d(3, 8, 3)
    with torch.autocast("cpu", torch.bfloat16), FlopCounterMode(display=False) as counter:
        maps = convolution(torch.randn(1, 3, 8, 8))
        assert both(maps).dtype == torch.bfloat16
        assert both(torch.randn(1, 8, 2, 2)).dtype == torch.float32
    assert counter.get_total_flops() == 2 * 8 * 6 * 6 * 27


def test_other_dtypes_are_plain_torchs_without_a_word(recwarn):
    for dtype in (torch.float64, torch.float16):
        x = torch.randn(2, 8, 3, 3).to(dtype).requires_grad_()
        assert "TopKPool" not in type(both(x).grad_fn).__name__
    assert not [w for w in recwarn if "harness" in str(w.message)]


def test_what_is_chosen():
    assert selected_kernels() == "auto"
    with pytest.raises(ValueError, match="not 'fast'"):
        use_kernels("fast")
    with use_kernels("torch"):
        assert selected_kernels() == "torch"
        assert "Pool" not in type(channel_pool(torch.ones(1, 2, 1, 1, requires_grad=True), 2).grad_fn).__name__
        with use_kernels("auto"):
            assert selected_kernels() == "auto"
        assert selected_kernels() == "torch"
    assert selected_kernels() == "auto"
    use_kernels("torch")  # without a block: until something else is chosen
    assert selected_kernels() == "torch"
    use_kernels("auto")


def test_what_one_thread_chooses_is_not_what_another_gets():
    with use_kernels("torch"), ThreadPoolExecutor(1) as pool:
        assert (selected_kernels(), pool.submit(selected_kernels).result()) == ("torch", "auto")


def test_a_compiled_function_keeps_what_was_chosen_when_it_was_compiled():
    x = torch.randn(1, 4, 2, 2, requires_grad=True)
    for name, kernel in (("torch", False), ("auto", True)):
        torch.compiler.reset()
        graphs = []

        def keep(graph, _, graphs=graphs):
            graphs.append(str(graph.graph))
            return graph.forward

        with use_kernels(name):
            y = torch.compile(lambda t: channel_pool(t, 2), fullgraph=True, backend=keep)(x)
        assert torch.equal(y, channel_pool(x, 2))
        assert [("harness.feature_pool" in graph) for graph in graphs] == [kernel]


def test_one_warning_where_the_kernels_fail_and_the_same_values(monkeypatch, recwarn):
    x = torch.randn(2, 8, 5, 5)
    expected = both(x)
    monkeypatch.setitem(choice._usable, "cpu", True)

    def fails(*_):
        raise OSError("no compiler")

    monkeypatch.setattr("harness.layers.kernels.cpu.ready", fails)
    leaf = x.clone().requires_grad_()
    with pytest.warns(RuntimeWarning, match="no compiler.*plain torch takes over"):
        y = both(leaf)
    y.sum().backward()
    both(x)
    assert not [w for w in recwarn if "harness" in str(w.message)]
    assert torch.equal(y, expected)
    assert leaf.grad.sum() == y.numel()


def test_stored_machine_code_needs_no_compiler(tmp_path):
    """A second process finds what the first one compiled, and does not import numba."""
    code = (
        "import sys, torch; from harness.layers import channel_pool;"
        "print(channel_pool(torch.arange(8.).view(1, 4, 1, 2), 2).sum().item(), 'numba' in sys.modules)"
    )
    both(torch.randn(1, 4, 2, 2))  # compiled by now
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["18.0", "False"]


def test_a_read_only_install_still_has_kernels(tmp_path):
    """Where nothing can be kept, machine code is made anew."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    code = (
        "import torch; from harness.layers.kernels import cpu;"
        "print(cpu.spatial_forward(torch.arange(8.).view(1, 4, 1, 2), 2, False)[0].sum().item())"
    )
    environment = {"HARNESS_KERNEL_CACHE": str(blocked / "below")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    assert done.stdout.split() == ["18.0"]
