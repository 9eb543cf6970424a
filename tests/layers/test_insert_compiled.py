"""Networks that torch.compile made, in all or in part: looked at as what they were made from, never compiled here."""

import pytest
import torch
from torch import nn

from harness.base.errors import HarnessError
from harness.layers import ChannelPool, insert_after, list_sites

SHAPE = (3, 8, 8)


def plain():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(64, 10))


def never(*_):
    pytest.fail("compiled")


class Part(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = torch.compile(plain()[:2], backend=never)
        self.head = plain()[2:]

    def forward(self, x):
        return self.head(self.body(x))


def in_place():
    model = plain()
    model.compile(backend=never)
    return model


@pytest.mark.parametrize(
    ("make", "path"),
    [(lambda: torch.compile(plain(), backend=never), "_orig_mod.0"), (Part, "body._orig_mod.0"), (in_place, "0")],
)
def test_a_compiled_network_has_the_sites_of_what_it_was_made_from(make, path):
    model, own = make(), {site.path: site.channels for site in list_sites(plain(), SHAPE)}
    found = {site.path: site.channels for site in list_sites(model, SHAPE)}
    assert found[path] == own["0"] == 8
    assert len(found) >= len(own)
    changed = insert_after(model, path, ChannelPool(2), input_shape=SHAPE)
    x = torch.randn(2, *SHAPE)
    with torch.compiler.set_stance("force_eager"):
        assert torch.equal(changed(x), insert_after(plain(), "0", ChannelPool(2), input_shape=SHAPE)(x))
        assert torch.equal(model(x), plain()(x))  # left as it is


def test_compiling_goes_on_elsewhere():
    calls = []

    def backend(graph, _):
        calls.append(graph)
        return graph.forward

    model = torch.compile(plain(), backend=backend)
    list_sites(model, SHAPE)
    assert not calls
    model(torch.randn(2, *SHAPE))
    assert calls


@pytest.mark.parametrize("model", [torch.compile(lambda x: x), None, "resnet18"])
def test_what_is_no_module_is_one_line(model):
    with pytest.raises(HarnessError, match=r"is put into a torch\.nn\.Module, not into a"):
        insert_after(model, "0", ChannelPool(2), input_shape=SHAPE)
    with pytest.raises(HarnessError, match="cannot be copied"):
        list_sites(model, SHAPE)
