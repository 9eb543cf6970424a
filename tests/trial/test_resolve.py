"""What a trial is trained on and evaluated on: never the test set where something is chosen."""

import pytest

from harness.base.keys import evaluation_key
from harness.study.study import load_study
from harness.trial.datasets import DATASETS, validation_size
from harness.trial.resolve import resolve_trial

LABELLED = [name for name, declared in DATASETS.items() if declared.has_labels]
FITTING = {(1, 28, 28): ("mnist_cnn", "mnist-paper"), (3, 32, 32): ("vgg16", "cifar-paper")}


def trial(dataset="mnist", **protocol):
    model, kind = FITTING[DATASETS[dataset].input_shape]
    return resolve_trial(
        task="classification", dataset=dataset, model=model, compressors={}, protocol={"kind": kind, **protocol}
    )


@pytest.mark.parametrize("name", LABELLED)
def test_trained_on_all_it_meets_the_test_set(name):
    splits = DATASETS[name].splits
    made = trial(name)
    (evaluation,) = made.evaluations
    assert made.config["data"] == {"train": splits["train"].fingerprint}
    assert (evaluation.dataset, evaluation.split) == (name, "test")
    assert evaluation.fingerprint == splits["test"].fingerprint
    assert (evaluation.images, evaluation.bytes) == (splits["test"].images, splits["test"].bytes)
    assert evaluation.key == evaluation_key(evaluation.fingerprint, {"kind": "clean"})
    assert made.datasets == (splits["train"], splits["test"])


@pytest.mark.parametrize("name", LABELLED)
def test_without_validation_it_meets_that_alone(name):
    splits = DATASETS[name].splits
    made = trial(name, train_on="without_validation")
    (evaluation,) = made.evaluations
    assert made.config["data"] == {
        "train": splits["train"].fingerprint,
        "validation": splits["validation"].fingerprint,
    }
    assert (evaluation.split, evaluation.fingerprint) == ("validation", splits["validation"].fingerprint)
    assert splits["test"] not in made.datasets
    assert evaluation.key != trial(name).evaluations[0].key


def test_what_chooses_the_optimiser_never_meets_the_test_set(study_file):
    for item in load_study(study_file("mnist-optimiser")).trials:
        assert [e.split for e in item.trial.evaluations] == ["validation"]
        assert "test" not in {split.split for split in item.trial.datasets}


@pytest.mark.parametrize(
    ("images", "kept_out"), [(60_000, 5_000), (50_000, 5_000), (49_999, 4_999), (1_442, 144), (10, 1), (9, 0)]
)
def test_validation_is_at_most_a_tenth_and_five_thousand(images, kept_out):
    assert validation_size(images) == kept_out


@pytest.mark.parametrize("name", LABELLED)
def test_declared_splits_agree_with_each_other(name):
    declared = DATASETS[name]
    assert declared.splits["validation"].images == validation_size(declared.splits["train"].images)
    pixels = declared.input_shape[0] * declared.input_shape[1] * declared.input_shape[2]
    for split, found in declared.splits.items():
        assert (found.name, found.split, found.bytes) == (name, split, found.images * pixels)
    assert len({found.fingerprint for found in declared.splits.values()}) == 3
