"""The CUDA kernels on a GPU: the cases that Triton's interpreter runs elsewhere, and what only a GPU can show."""

import pytest
import torch

from harness.layers import channel_pool, channel_topk
from harness.layers.kernels import reference

pytest.importorskip("triton")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
]

if torch.cuda.is_available():
    from cuda_cases import CASES
    from test_cuda_interpreted import KINDS, OTHERS
else:  # Triton is not imported here: other tests want it as they set it
    from test_cuda_interpreted import KINDS, OTHERS

    CASES = {}


@pytest.mark.parametrize("name", KINDS + OTHERS)
def test_case(name):
    CASES[name]("cuda")


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(9, 32, 28, 28), (8, 64, 16, 16), (3, 128, 14, 14), (8, 256, 4, 4)], ids=str)
def test_maps_of_the_networks(shape, dtype, layout):
    """Channels that share a pixel's lanes, and many programs."""
    from cuda_cases import check_spatial, check_topk, maps

    x = maps(shape, dtype, layout, "cuda")
    for stride in (2, 4):
        check_spatial(x, stride, False)
        check_topk(x, shape[1] // stride, True)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
def test_opcheck(memory_format):
    x = torch.randn(2, 8, 4, 6, device="cuda").contiguous(memory_format=memory_format)
    for operator, arguments in ((torch.ops.harness.feature_pool, (2, True)), (torch.ops.harness.topk_pool, (3, True))):
        torch.library.opcheck(operator.default, (x.clone().requires_grad_(), *arguments))


def test_the_same_in_a_captured_graph():
    """The kernels were used before, as in the warm-up of a captured training step."""
    x = torch.randn(4, 32, 9, 7, device="cuda").requires_grad_()

    def step():
        x.grad = None
        (channel_pool(x, 4).square().sum() + channel_topk(x, 8).square().sum()).backward()
        return x.grad

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            expected = step().clone()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = step()
    graph.replay()
    torch.cuda.synchronize()
    assert torch.equal(found, expected)


def test_a_first_use_while_a_graph_is_captured_is_plain_torchs(monkeypatch):
    from harness.layers.kernels import cuda

    monkeypatch.setattr(cuda, "_trusted", set())
    x = torch.randn(2, 8, 3, 5, device="cuda")
    expected = reference.topk_pool(x, 3, True)[0]
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = channel_topk(x, 3)
    graph.replay()
    torch.cuda.synchronize()
    assert torch.equal(found, expected)
    assert not cuda._trusted


def test_a_second_run_gives_the_same_bits():
    x = torch.randint(-3, 4, (64, 96, 28, 28), device="cuda").float()
    first, second = ([channel_pool(x, 3), channel_topk(x, 40)] for _ in range(2))
    assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
def test_more_than_two_to_the_31_values(memory_format):
    if torch.cuda.get_device_properties(0).total_memory < 30 * 2**30:
        pytest.skip("needs 30 GB of GPU memory")
    n = 2**31 // (64 * 128 * 128) + 1
    x = torch.empty((n, 64, 128, 128), dtype=torch.bfloat16, device="cuda", memory_format=memory_format).zero_()
    x[-1, :, -1, -1] = torch.arange(64).to(torch.bfloat16)
    x.requires_grad_()
    for pool in (lambda x: channel_pool(x, 2), lambda x: channel_topk(x, 32).flip(1)):
        y = pool(x)
        assert y[-1, -1, -1, -1] == 63
        assert y[:-1].abs().max() == 0
        x.grad = None
        y[-1:].sum().backward()
        assert x.grad[-1, :, -1, -1].sum() == 32
        assert x.grad[-1, 63, -1, -1] == 1
        assert x.grad[:-1].abs().max() == 0
        del y
