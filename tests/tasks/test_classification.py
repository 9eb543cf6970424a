"""The classification task beside plain computations: loss, evaluation, batches, what is looked at."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from harness.attempt.messages import EvaluationSpec
from harness.base.errors import HarnessError
from harness.data.dataset import load_dataset
from harness.tasks import classification
from harness.tasks.base import Evaluated, samples
from harness.tasks.classification import Classification, DeviceImages, in_first_five
from harness.trial.datasets import DIGITS
from harness.trial.resolve import resolve_trial
from harness.trial.tasks import CLASSIFICATION

CPU = torch.device("cpu")


def task_of(channels_last=False, **protocol):
    trial = resolve_trial(
        task="classification",
        dataset="digits",
        model="mnist_cnn",
        compressors={"conv2": {"kind": "width", "stride": 4}},
        protocol={"kind": "digits-quick", **protocol},
    )
    return Classification(trial.config, trial.data, Path(), CPU, channels_last), trial.config


@pytest.fixture(scope="module")
def digits():
    return load_dataset(DIGITS, Path())


@pytest.fixture(scope="module")
def task():
    return task_of()[0]


class Linear(nn.Module):
    """A network of one layer whose logits can be worked out by hand."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, 10)

    def forward(self, x):
        return self.fc(x.flatten(1))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Linear()


def test_images_stay_as_bytes_in_canonical_order(task, digits):
    assert (task.train.images.dtype, task.train.labels.dtype) == (torch.uint8, torch.int64)
    assert np.array_equal(task.train.images.numpy(), digits["train"].images)
    assert np.array_equal(task.split("test").labels.numpy(), digits["test"].labels)
    assert (len(task.train), task.train.images.shape) == (1442, (1442, 1, 28, 28))


def test_pixels_are_scaled_to_one_and_normalised(digits):
    task, _ = task_of(normalization={"mean": [0.25], "deviation": [0.5]})
    prepared = task._prepared(task.train.images[:3])
    expected = (digits["train"].images[:3].astype(np.float64) / 255 - 0.25) / 0.5
    assert prepared.dtype == torch.float32
    assert np.allclose(prepared.numpy(), expected, atol=1e-6)
    assert task.train.images[:3].numpy().max() == digits["train"].images[:3].max()  # what is stored is left alone


def test_the_memory_format_is_that_of_the_execution():
    task, config = task_of(channels_last=True)
    assert task.model(config, ()).conv2.weight.is_contiguous(memory_format=torch.channels_last)
    prepared = task._prepared(task.train.images[:2].expand(-1, 3, -1, -1))
    assert prepared.is_contiguous(memory_format=torch.channels_last)


def test_the_loss_is_the_mean_cross_entropy_of_the_images_asked_for(task, model, digits):
    index = torch.tensor([7, 3, 7])
    inputs = torch.tensor(digits["train"].images[[7, 3, 7]].astype(np.float32) / 255)
    logits = model(inputs).double()
    labels = digits["train"].labels[[7, 3, 7]]
    expected = np.mean([-F.log_softmax(row, 0)[label].item() for row, label in zip(logits, labels, strict=True)])
    assert float(task.loss(model, index).detach()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("batch", [1, 7, 100, 355, 1000])
def test_an_evaluation_does_not_depend_on_its_batches(task, model, digits, monkeypatch, batch):
    monkeypatch.setattr(classification, "EVALUATION_BATCH", {"cpu": batch})
    evaluated = task.evaluate(model, task.observed)
    logits = model(torch.tensor(digits["test"].images.astype(np.float32) / 255)).detach()
    labels = torch.from_numpy(digits["test"].labels)
    assert evaluated.by_item["correct"].tolist() == (logits.argmax(1) == labels).tolist()
    assert evaluated.metrics["accuracy"] == evaluated.by_item["correct"].mean()
    assert evaluated.metrics["loss"] == pytest.approx(float(F.cross_entropy(logits.double(), labels)), rel=1e-5)


def test_an_evaluation_keeps_no_gradients_and_changes_nothing(task, model):
    before = {key: value.clone() for key, value in model.state_dict().items()}
    task.evaluate(model, task.observed)
    assert all(p.grad is None for p in model.parameters())
    assert all(before[key].equal(value) for key, value in model.state_dict().items())


def test_one_image_whose_loss_is_no_number_makes_the_loss_nan(task, monkeypatch):
    class Broken(nn.Module):
        def forward(self, x):
            logits = torch.zeros(len(x), 10)
            logits[0, 5] = torch.nan
            return logits

    data = DeviceImages(task.split("test").images[:4], torch.tensor([0, 0, 1, 0]))
    monkeypatch.setattr(task, "_looked_at", data)
    evaluated = task.evaluate(Broken(), task.observed)
    assert np.isnan(evaluated.metrics["loss"])
    assert evaluated.by_item["correct"].tolist() == [False, True, False, True]


def test_the_first_images_are_the_first(task):
    test = task.split("test")
    assert len(test.first(10)) == 10
    assert test.first(10).images.equal(test.images[:10])
    assert len(test.first(10_000)) == 355


@pytest.mark.parametrize("count", [1, 8, 9, 355])
def test_a_sample_holds_a_bit_an_image(count):
    correct = np.random.default_rng(count).random(count) < 0.5
    spec = EvaluationSpec("key", "digits", "test", "f", count, count, {})
    (sample,) = samples(spec, Evaluated({}, {"correct": correct}))
    assert (sample.evaluation, sample.count, len(sample.packed)) == ("key", count, -(-count // 8))
    assert np.unpackbits(np.frombuffer(sample.packed, np.uint8), count=count).astype(bool).tolist() == correct.tolist()


def test_a_sample_of_numbers_holds_float32():
    spec = EvaluationSpec("key", "digits", "test", "f", 3, 3, {})
    (sample,) = samples(spec, Evaluated({}, {"psnr_db": np.array([1.5, np.inf, 27.25], dtype=np.float64)}))
    assert (sample.name, sample.count, sample.encoding) == ("psnr_db", 3, "float32")
    assert np.frombuffer(sample.packed, "<f4").tolist() == [1.5, np.inf, 27.25]


def test_what_is_observed_is_the_test_split_unless_validation_is_kept_out():
    assert (task_of()[0].observed.dataset, task_of()[0].observed.split) == ("digits", "test")
    assert task_of(train_on="without_validation")[0].observed.split == "validation"


def test_building_a_network_leaves_torchs_generator_alone(task):
    _, config = task_of()
    before = torch.get_rng_state()
    task.model(config, ())
    assert torch.get_rng_state().equal(before)


def test_a_model_that_shows_nothing_is_refused_in_words(task, model):
    with pytest.raises(HarnessError, match="Linear has no method 'features'"):
        task.glimpse(model)


def test_first_five_counts_ties_and_nan_against_the_label():
    logits = torch.tensor([[6.0, 5, 4, 3, 2, 1], [6, 5, 4, 3, 2, 2], [0, 5, 4, 3, 2, 1], [6, float("nan"), 4, 3, 2, 2]])
    assert in_first_five(logits, torch.tensor([4, 4, 0, 4])).tolist() == [True, False, False, False]
    assert in_first_five(logits[:1], torch.tensor([5])).tolist() == [False]


def test_top5_is_declared_of_more_than_ten_classes_and_is_what_torch_finds(task):
    many = replace(DIGITS, classes=11)
    assert [m.name for m in CLASSIFICATION.metrics_of(many)] == ["accuracy", "loss", "top5_accuracy"]
    assert CLASSIFICATION.metrics_of(DIGITS) == CLASSIFICATION.metrics

    class Twelve(nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, 290:410:10].contiguous() @ torch.linspace(-1, 1, 144).view(12, 12).sin()

    wanted = task_of()[0]
    wanted._counts_top5 = True
    found = wanted.evaluate(Twelve(), wanted.observed)
    data = wanted.split("test")
    first = Twelve()(wanted._prepared(data.images)).topk(5, 1).indices
    expected = (first == data.labels[:, None]).any(1)
    assert found.metrics["top5_accuracy"] == pytest.approx(float(expected.double().mean()), abs=0.01)  # ties
    assert 0.2 < found.metrics["top5_accuracy"] < 0.9
    assert list(found.metrics) == ["accuracy", "loss", "top5_accuracy"]
    assert found.by_item["correct_top5"].mean() == found.metrics["top5_accuracy"]


def test_smoothed_labels_give_the_loss_by_hand(model):
    task, _ = task_of(label_smoothing=0.2)
    index = torch.arange(7)
    logs = F.log_softmax(model(task._prepared(task.train.images[index])), 1)
    wanted = 0.8 * logs.gather(1, task.train.labels[index, None]).squeeze(1) + 0.2 * logs.mean(1)
    assert task.loss(model, index).item() == pytest.approx(-wanted.mean().item(), rel=1e-5)
