"""Optimisers without torch's compiler do what torch's do, and do not import it."""

import subprocess
import sys

import pytest
import torch

from harness.training.eager import eager

KINDS = {
    "sgd": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01, "fused": True}),
    "adam": (torch.optim.Adam, {"lr": 0.01, "weight_decay": 0.01, "fused": True}),
    "rmsprop": (torch.optim.RMSprop, {"lr": 0.01, "momentum": 0.5, "foreach": True}),
}


def trained(kind, options, steps=5, state=None):
    """Return the weights and the state after some steps, the gradient with a closure at the last."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 1))
    optimizer, x = kind(net.parameters(), **options), torch.randn(11, 5)
    if state is not None:
        optimizer.load_state_dict(state)

    def loss():
        optimizer.zero_grad(set_to_none=True)
        error = net(x).square().mean()
        error.backward()
        return error

    for _ in range(steps):
        loss()
        optimizer.step()
    optimizer.step(loss)
    return [p.detach() for p in net.parameters()], optimizer.state_dict()


@pytest.mark.parametrize("name", KINDS)
def test_it_has_the_bits_of_torchs(name):
    kind, options = KINDS[name]
    weights, state = trained(kind, options)
    ours, our_state = trained(eager(kind), options)
    assert all(torch.equal(a, b) for a, b in zip(weights, ours, strict=True))
    assert str(state) == str(our_state)
    again, _ = trained(kind, options, state=state)
    ours_again, _ = trained(eager(kind), options, state=our_state)
    assert all(torch.equal(a, b) for a, b in zip(again, ours_again, strict=True))
    assert eager(kind).__name__ == kind.__name__


def test_a_study_trains_without_the_compiler(tmp_path):
    (tmp_path / "tiny.yml").write_text(
        "study: tiny\ntask: classification\ndataset: digits\nmodel: mnist_cnn\nseeds: [0]\n"
        "protocol: {kind: digits-quick, epochs: 1}\nexecution: {threads: 1}\n"
        "trials:\n  - {name: A, at: conv2, compressor: {kind: width, stride: 32}}\n"
    )
    code = (
        "import sys; from harness.cli import main\n"
        "try: main(['run', 'grid', 'tiny.yml', '--executor', 'in-process'])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'torch' in sys.modules; assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
