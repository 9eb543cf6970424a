"""A task of another package, in one file: a network takes the noise out of one-dimensional signals.

The harness knows nothing of signals. `TASK` says what it must know (options, conditions, metrics, data), `Denoising`
answers what it asks while it trains, `Net` is the network. The entry point `signals = signals:TASK` is all that
registers it.
"""

import hashlib
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from harness.attempt.data import DatasetDeclaration, DatasetSplit
from harness.attempt.metrics import Metric
from harness.layers import build_compressor
from harness.tasks.base import Evaluated
from harness.trial.evaluations import evaluation_of
from harness.trial.models import ModelDeclaration, Site
from harness.trial.tasks import Condition, Options, TaskDeclaration

LENGTH = 64
COUNTS = {"train": 240, "validation": 24, "test": 48}


class Noisy(Condition):
    """White noise of standard deviation `sigma`."""

    kind: ClassVar[str] = "noisy"
    sigma: Annotated[float, Field(gt=0)] = 0.3


class Offset(Condition):
    """A constant that is added to the whole signal."""

    kind: ClassVar[str] = "offset"
    by: float = 1.0


class Sigma(Options):
    """The noise that is trained on."""

    sigma: Annotated[float, Field(gt=0)] = 0.3


def signals(split):
    """Return the clean signals of a split: float32 (N, 64), sums of three sines."""
    rng = np.random.default_rng(len(split))
    n, t = COUNTS[split], np.linspace(0, 1, LENGTH)
    parts = [rng.normal(size=(n, 1)) * np.sin(2 * np.pi * (f * t + rng.random((n, 1)))) for f in (1, 2, 5)]
    return np.sum(parts, axis=0).astype(np.float32)


def declared(_options):
    """Return what the data are: known by their contents, as all data are."""
    splits = {
        name: DatasetSplit("signals", name, hashlib.sha256(signals(name).tobytes()).hexdigest()[:32], n, 4 * LENGTH * n)
        for name, n in COUNTS.items()
    }
    return DatasetDeclaration(
        name="signals",
        description="sums of three sines",
        input_shape=(1, 1, LENGTH),
        classes=0,
        splits=splits,
        code="signals:signals",
    )


class Net(nn.Module):
    """(N, 1, 1, 64) → (N, 1, 1, 64): the noise, with a compressor behind its second convolution."""

    declaration: ClassVar[ModelDeclaration] = ModelDeclaration(
        name="signals:Net",
        input_shape=(1, 1, LENGTH),
        classes=0,
        sites={"conv2": Site("conv2", 8, narrowable=True)},
        code="signals:Net",
    )

    def __init__(self, compressors, _options):
        super().__init__()
        site = compressors.get("conv2")
        made, read = (8, 8) if site is None else (site.conv_channels(8), site.out_channels(8))
        self.conv1 = nn.Conv2d(1, 8, (1, 5), padding=(0, 2))
        self.conv2 = nn.Conv2d(8, made, (1, 5), padding=(0, 2))
        self.pool = nn.Identity() if site is None else site.layer(8)
        self.conv3 = nn.Conv2d(read, 1, (1, 5), padding=(0, 2))

    def forward(self, x):
        return self.conv3(self.pool(F.relu(self.conv2(F.relu(self.conv1(x))))))


class Denoising:
    """The task on a device."""

    def __init__(self, config, datasets, _data_root, device, _channels_last):
        self.device = device
        self.clean = {name: torch.from_numpy(signals(name))[:, None, None].to(device) for name in COUNTS}
        self.examples = len(self.clean["train"])
        self.sigma = config["task"].get("sigma", Sigma().sigma)
        self.observed = evaluation_of(datasets[0].splits["test"], Noisy(sigma=self.sigma).canonical())

    def model(self, config, _plugin_paths, _files):
        compressors = {site: build_compressor(options) for site, options in config["compressors"].items()}
        return Net(compressors, None).to(self.device)

    def begin_epoch(self, _stream):
        pass

    def begin_step(self, count, stream):
        noise = torch.randn(count, 1, 1, LENGTH, generator=stream("noise"))
        self.noise = (self.sigma * noise).to(self.device)

    def loss(self, model, index):
        return F.mse_loss(model(self.clean["train"][index] + self.noise), self.noise)

    @torch.no_grad()
    def evaluate(self, model, on):
        clean, condition = self.clean[on.split], dict(on.condition)
        if condition.pop("kind") == "offset":
            disturbed = clean + Offset(**condition).by
        else:
            noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
            disturbed = clean + Noisy(**condition).sigma * noise.to(self.device)
        error = (disturbed - model(disturbed) - clean).square().mean((1, 2, 3)).double()
        db = -10 * error.log10().cpu().numpy()
        better = error < (disturbed - clean).square().mean((1, 2, 3))
        return Evaluated(
            {"psnr_db": float(db.mean()), "improved": float(better.double().mean())},
            {"psnr": db, "better": better.cpu().numpy()},
        )

    def glimpse(self, model):
        return ((self.observed.split, "psnr_db", self.evaluate(model, self.observed).metrics["psnr_db"]),)

    def keepsakes(self, _model):
        return {}


TASK = TaskDeclaration(
    name="signals",
    code="signals:Denoising",
    metrics=(Metric("psnr_db", "dB", by_item="psnr"), Metric("improved", "fraction", by_item="better")),
    options=Sigma,
    conditions={kind.kind: kind for kind in (Noisy, Offset)},
    usual=lambda options: Noisy(sigma=options.sigma),
    own_data=declared,
)
