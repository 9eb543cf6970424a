"""Networks of a person's own that call, return and compute what ours never do."""

import torch
from torch import nn

from harness.cost.count import count_config
from harness.models.foreign import ForeignNetwork
from harness.trial.models import ModelDeclaration
from harness.trial.resolve import resolve_trial


class Penalty(nn.Module):
    """Returns a single number."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self):
        return self.weight.square().sum()


class Unusual(nn.Module):
    """Calls layers by keyword, and one that returns a tensor of no dimension."""

    def __init__(self):
        super().__init__()
        self.conv, self.pool, self.penalty = nn.Conv2d(3, 4, 1), nn.MaxPool2d(2), Penalty()
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        x = self.pool(input=self.conv(input=x)) * self.penalty()
        return self.fc(input=x.mean((2, 3)))


def test_layers_called_by_keyword_and_single_numbers_are_observed():
    made = ForeignNetwork(Unusual(), ModelDeclaration("own.py:Unusual", (3, 8, 8), 2, {}, "")).eval()
    x = torch.randn(2, 3, 8, 8)
    seen = made.features(x)
    torch.testing.assert_close(seen.maps, made.network.pool(made.network.conv(x)))
    torch.testing.assert_close(seen.logits, made.network.fc(seen.hidden))


NUMPY = """
import torch
from torch import nn

def dropping(num_classes=2):
    first, second = torch.linspace(0, 0.1, 2).numpy()
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Dropout(float(first)), nn.Conv2d(8, 4, 3), nn.Dropout(float(second)),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))
"""


def test_a_constructor_that_computes_with_numpy_is_described_and_counted(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "own_net_numpy.py").write_text(NUMPY, encoding="utf-8")
    folders = (str(tmp_path),)
    trial = resolve_trial(
        task="classification",
        dataset="cifar10",
        model="own_net_numpy.py:dropping",
        compressors={"1": {"kind": "spatial", "stride": 2}},
        protocol="cifar-fast",
        plugin_folders=folders,
    )
    assert count_config(trial.config, folders)["parameters"] == 8 * 28 + 4 * (4 * 9 + 1) + 10 * 5
