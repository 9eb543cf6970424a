"""Observation: it changes nothing, stands where it should, and says what a plain computation says."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from harness.attempt.messages import WEIGHTS_FILE
from harness.models.build import build_model
from harness.tasks.classification import Classification
from harness.training import train

CPU = torch.device("cpu")
FIRST = 50  # images whose hidden layer is looked at here


def trained(request, stop_at):
    outcome = train.run(request, CPU, stop_at(1000))
    return outcome, torch.load(Path(request.folder) / WEIGHTS_FILE)


@pytest.fixture(scope="module")
def seen(ask, stop_at):
    """A training of two epochs of six steps, observed every fourth, with the loss of each batch."""
    losses = []
    loss = Classification.loss
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.training.loop.OBSERVE_EVERY", 4)
        patch.setattr("harness.tasks.classification.OBSERVED_HIDDEN", FIRST)

        def note(self, model, index):
            value = loss(self, model, index)
            losses.append(float(value.detach()))
            return value

        patch.setattr(Classification, "loss", note)
        request = ask(epochs=2)
        outcome, weights = trained(request, stop_at)
    return request, outcome, weights, losses


@pytest.fixture(scope="module")
def plain(seen, digits):
    """What the final network makes of the test images, computed an image at a time."""
    request, _, weights, _ = seen
    model = build_model(request.config).eval()
    model.load_state_dict(weights)
    logits, hidden = [], []
    with torch.no_grad():
        for image in digits["test"].images:
            features = model.features(torch.tensor(image[None].astype(np.float32) / 255))
            logits.append(features.logits[0].double())
            hidden.append(features.hidden[0].double())
    return model, torch.stack(logits), torch.stack(hidden), torch.from_numpy(digits["test"].labels)


@pytest.mark.parametrize("every", [1, 1000])
def test_how_often_is_looked_changes_no_weight(every, ask, stop_at, seen, monkeypatch):
    monkeypatch.setattr("harness.training.loop.OBSERVE_EVERY", every)
    _, weights = trained(ask(epochs=2), stop_at)
    assert all(weights[key].equal(value) for key, value in seen[2].items())


def test_looking_does_not_disturb_dropout_or_batch_statistics(ask, stop_at, own_layer, monkeypatch):
    layer = own_layer("return nn.Sequential(nn.BatchNorm2d(8), nn.Dropout(0.3))")
    ended = []
    for every in (1, 1000):
        monkeypatch.setattr("harness.training.loop.OBSERVE_EVERY", every)
        ended.append(trained(ask(epochs=2, **layer), stop_at)[1])
    assert any("running_mean" in key for key in ended[0])
    assert all(ended[0][key].equal(ended[1][key]) for key in ended[0])


def test_points_stand_where_they_should(seen):
    curve = seen[1].curve
    observed = [
        (split, name, step)
        for step in (4, 8, 12)
        for split, name in (
            ("train", "loss"),
            ("test[:2000]", "accuracy"),
            (f"test[:{FIRST}]", "hidden_mean"),
            (f"test[:{FIRST}]", "hidden_variance"),
        )
    ]
    epochs = [("test", name, step) for step in (6, 12) for name in ("accuracy", "loss")]
    assert sorted((p.split, p.name, p.step) for p in curve) == sorted(observed + epochs)
    assert all(p.flag == "ok" for p in curve)


def test_looking_is_done_every_hundred_steps():
    from harness.tasks.classification import OBSERVED_ACCURACY, OBSERVED_HIDDEN
    from harness.training.loop import OBSERVE_EVERY

    assert (OBSERVE_EVERY, OBSERVED_ACCURACY, OBSERVED_HIDDEN) == (100, 2_000, 1_000)


def value(outcome, split, name, step=12):
    return next(p.value for p in outcome.curve if (p.split, p.name, p.step) == (split, name, step))


def test_the_training_loss_is_the_mean_of_the_batches_since_the_last_point(seen):
    _, outcome, _, losses = seen
    assert len(losses) == 12
    for step in (4, 8, 12):
        assert value(outcome, "train", "loss", step) == pytest.approx(np.mean(losses[step - 4 : step]), rel=1e-9)


def test_accuracy_and_loss_are_those_of_a_plain_computation(seen, plain):
    _, outcome, _, _ = seen
    _, logits, _, labels = plain
    accuracy = float((logits.argmax(1) == labels).double().mean())
    loss = float(F.cross_entropy(logits, labels))
    found = {r.name: r.value for r in outcome.results}
    assert found["accuracy"] == value(outcome, "test", "accuracy") == value(outcome, "test[:2000]", "accuracy")
    assert found["accuracy"] == pytest.approx(accuracy, abs=1e-12)
    assert found["loss"] == value(outcome, "test", "loss") == pytest.approx(loss, rel=1e-5)
    assert 0.2 < accuracy < 1


def test_one_bit_an_image_says_which_are_right(seen, plain):
    (sample,) = seen[1].samples
    _, logits, _, labels = plain
    bits = np.unpackbits(np.frombuffer(sample.packed, np.uint8))[: sample.count].astype(bool)
    assert (sample.name, sample.count, sample.encoding) == ("correct", 71, "bits")
    assert len(sample.packed) == (71 + 7) // 8
    assert bits.tolist() == (logits.argmax(1) == labels).tolist()
    assert sample.evaluation == seen[0].evaluations[0].key


def test_the_hidden_layers_moments_are_those_of_the_first_images(seen, plain):
    hidden = plain[2][:FIRST]
    assert hidden.shape == (FIRST, 512)
    mean, variance = (value(seen[1], f"test[:{FIRST}]", f"hidden_{name}") for name in ("mean", "variance"))
    assert mean == pytest.approx(float(hidden.mean()), rel=1e-5)
    assert variance == pytest.approx(float(((hidden - hidden.mean()) ** 2).mean()), rel=1e-5)


def test_the_maps_of_ten_fixed_images_are_kept(seen, plain, digits):
    request, outcome, _, _ = seen
    path = Path(request.folder) / train.MAPS_FILE
    maps = np.load(path)
    assert {key: (maps[key].dtype.name, maps[key].shape) for key in maps} == {
        "images": ("uint8", (10, 1, 28, 28)),
        "maps": ("float16", (10, 8, 28, 28)),
        "labels": ("int64", (10,)),
    }
    assert maps["labels"].tolist() == list(range(10))
    first = [digits["test"].labels.tolist().index(label) for label in range(10)]
    assert np.array_equal(maps["images"], digits["test"].images[first])
    with torch.no_grad():
        expected = plain[0].features(torch.tensor(maps["images"].astype(np.float32) / 255)).maps
    assert np.allclose(maps["maps"], expected.numpy(), atol=2e-3)
    kept = {a.kind: a for a in outcome.artifacts}
    assert kept["maps"].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert kept["weights"].bytes == (Path(request.folder) / WEIGHTS_FILE).stat().st_size


def test_what_training_cost_is_told(seen):
    measures = {m.name: m.value for m in seen[1].measures}
    assert measures["train_seconds"] > 0
    assert measures["images_per_s"] == pytest.approx(2 * 288 / measures["train_seconds"])
