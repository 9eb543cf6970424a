"""The denoising task: its noise, its loss, what it measures of an image, and what it shows while training."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from harness.data.locations import data_root, is_present
from harness.tasks.denoising import Denoising, Level, noise_of
from harness.tasks.quality import psnr_db, ssim
from harness.training.streams import stream
from harness.trial.evaluations import evaluation_of
from harness.trial.resolve import resolve_trial
from harness.trial.tasks import Gaussian

CPU = torch.device("cpu")


class Returns(nn.Module):
    """Returns what a function makes of the noisy images and their levels; remembers these."""

    def __init__(self, function):
        super().__init__()
        self.function, self.seen = function, []

    def forward(self, noisy, sigma):
        self.seen.append((noisy.clone(), sigma.clone()))
        return self.function(noisy, sigma)


def identity(noisy, _sigma):
    return noisy


def task(sigma=25, protocol=None, dataset="sample-photos", *, clip=False, evaluate=None, channels_last=False):
    trial = resolve_trial(
        task={"kind": "denoising", "sigma": sigma, "clip": clip},
        dataset=dataset,
        model="dncnn",
        protocol={"kind": "dncnn", "augmentation": {"size": 16, "per_image": 100}, **(protocol or {})},
        evaluate=evaluate,
    )
    return Denoising(trial.config, trial.data, data_root(), CPU, channels_last), trial


@pytest.fixture(scope="module")
def photos():
    return task()


def stepped(made, *, seed=0, epoch=0, step=0, count=8):
    """Begin an epoch and a step as the training loop does."""
    made.begin_epoch(lambda purpose: stream(seed, purpose, epoch))
    made.begin_step(count, lambda purpose: stream(seed, purpose, epoch, step))
    return made


def test_the_noise_of_an_image_follows_from_its_content_and_the_seed_alone():
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 256, (2, 3, 40, 50), dtype=np.uint8)
    noise = noise_of(one, 0)
    assert torch.equal(noise, noise_of(np.asfortranarray(one), 0))
    assert not torch.equal(noise, noise_of(one, 1))
    assert not torch.equal(noise, noise_of(other, 0))
    assert not torch.equal(noise, noise_of(one.transpose(0, 2, 1), 0).transpose(1, 2))
    assert (float(noise.mean()), float(noise.std())) == pytest.approx((0, 1), abs=0.05)


def test_the_noise_is_pinned():
    """It is in every published PSNR: whatever changes it makes these incomparable."""
    drawn = noise_of(np.arange(12, dtype=np.uint8).reshape(3, 2, 2), 0).flatten()[:3]
    assert drawn.tolist() == pytest.approx([1.1159036, -0.7928817, -0.9023723], abs=1e-6)


@pytest.mark.parametrize("level", [Level(20.0), Level(50.0, clip=True), Level(20.0, noise_seed=3)])
def test_an_image_is_measured_against_its_clean_self(photos, level):
    made, trial = photos
    condition = Gaussian(**level._asdict()).canonical()
    spec = evaluation_of(trial.data[0].splits["test"], condition)
    model = Returns(identity)
    found = made.evaluate(model, spec)
    (image,) = made.images(spec)
    clean = torch.from_numpy(image)[None].float()
    noisy = clean + level.sigma * noise_of(image, level.noise_seed)
    if level.clip:
        noisy = noisy.clamp(0, 255)
    ((seen, sigma),) = model.seen
    assert torch.equal(seen, noisy)
    assert sigma.tolist() == [level.sigma]
    pixels = noisy.clamp(0, 255).round()
    expected = {"psnr_db": float(psnr_db(pixels, clean)), "ssim": float(ssim(pixels, clean))}
    assert found.metrics == pytest.approx(expected)
    assert {name: values.tolist() for name, values in found.by_item.items()} == {k: [v] for k, v in expected.items()}


def test_noise_does_not_depend_on_the_batch(monkeypatch):
    made, _ = task()
    images = [image[:, :16, :16] for image in made.images(made.observed)] * 3
    one, many = [], []
    for most, seen in ((1, one), (2**19, many)):
        monkeypatch.setattr("harness.tasks.denoising._AT_ONCE", most)
        seen.extend(noisy for _, noisy, _ in made._noisy(images, Level(25.0)))
    assert ([len(batch) for batch in one], [len(batch) for batch in many]) == ([1, 1, 1], [3])
    assert torch.equal(torch.cat(one), torch.cat(many))


def test_an_estimate_without_a_number_is_no_number_and_never_a_good_one(photos):
    made, _ = photos
    found = made.evaluate(Returns(lambda noisy, _: noisy * math.nan), made.observed)
    assert all(map(math.isnan, found.metrics.values()))
    kept = made.keepsakes(Returns(lambda noisy, _: noisy * math.nan))
    assert kept["estimate"].dtype == np.uint8


def test_the_loss_is_the_mean_squared_error_of_the_estimate(photos):
    made, _ = photos
    index = torch.arange(8)
    stepped(made)
    model = Returns(identity)
    loss = float(made.loss(model, index))
    ((noisy, sigma),) = model.seen
    clean = made._images(index).float()
    assert loss == pytest.approx(float(((noisy - clean) / 255).square().mean()), rel=1e-6)
    assert math.sqrt(loss) * 255 == pytest.approx(25, rel=0.05)
    assert sigma.tolist() == [25.0] * 8
    assert float(noisy.max()) > 255  # noise is not clipped


def test_noise_is_clipped_in_training_if_the_task_says_so():
    made, _ = task(clip=True)
    model = Returns(identity)
    stepped(made).loss(model, torch.arange(8))
    noisy = model.seen[0][0]
    assert (float(noisy.min()), float(noisy.max())) == (0, 255)


def test_shares_of_a_batch_have_the_noise_of_the_whole(photos):
    made, _ = task(sigma={"from": 10, "to": 50})
    index, whole = torch.arange(8), Returns(identity)
    loss = stepped(made).loss(whole, index)
    parts, model = (slice(0, 3), slice(3, 8)), Returns(identity)
    losses = []
    for part in parts:
        stepped(made).share(part)
        losses.append(made.loss(model, index[part]) * (part.stop - part.start) / 8)
    for got, expected in zip(zip(*model.seen, strict=True), whole.seen[0], strict=True):
        assert torch.equal(torch.cat(got), expected)
    torch.testing.assert_close(sum(losses), loss)


def test_training_noise_follows_from_seed_epoch_and_step():
    def noise(**where):
        return stepped(task()[0], **where)._noise.clone()

    assert torch.equal(noise(), noise())
    assert all(not torch.equal(noise(), noise(**{name: 1})) for name in ("seed", "epoch", "step"))


def test_a_blind_network_sees_all_levels():
    made, _ = task(sigma={"from": 10, "to": 50})
    stepped(made, count=400)
    levels = made._levels
    assert 10 <= float(levels.min()) < 12
    assert 48 < float(levels.max()) <= 50
    measured = made._noise.flatten(1).std(1)
    torch.testing.assert_close(measured, levels, rtol=0.12, atol=0)


def test_noise_stays_where_it_is_so_that_a_step_can_be_captured():
    made, _ = task()
    stepped(made, count=8)
    place = made._noise.data_ptr(), made._levels.data_ptr()
    stepped(made, count=5, step=1)
    assert (made._noise.data_ptr(), made._levels.data_ptr()) == place


def test_what_is_looked_at_is_test_data_only_if_nothing_is_chosen():
    made, _ = task()
    assert (made.observed.dataset, made.observed.split) == ("sample-photos", "test")
    if not is_present("bsd432", data_root()):
        pytest.skip("the images of bsd432 are not here")
    elsewhere, _ = task(dataset="bsd432", evaluate=["cbsd68"])
    assert (elsewhere.observed.dataset, elsewhere.observed.split) == ("cbsd68", "test")
    chooses, _ = task(dataset="bsd432", protocol={"train_on": "without_validation"})
    assert (chooses.observed.dataset, chooses.observed.split) == ("bsd432", "validation")
    assert chooses.examples == 389 * 100


def test_glimpses_and_keepsakes_change_nothing_and_show_crops(photos):
    made, _ = photos
    ((split, name, value),) = made.glimpse(Returns(identity))
    assert (split, name) == ("test[:1]", "psnr_db")
    assert value == pytest.approx(20.4, abs=1)
    kept = made.keepsakes(Returns(identity))
    assert {name: part.shape for name, part in kept.items()} == dict.fromkeys(
        ("clean", "noisy", "estimate"), (1, 3, 128, 128)
    )
    np.testing.assert_array_equal(kept["noisy"], kept["estimate"])


def test_channels_last_gives_the_same_numbers(photos):
    made, _ = photos
    last, _ = task(channels_last=True)
    model = Returns(identity)
    assert last.evaluate(model, last.observed).metrics == made.evaluate(Returns(identity), made.observed).metrics
    assert model.seen[0][0].is_contiguous(memory_format=torch.channels_last)
