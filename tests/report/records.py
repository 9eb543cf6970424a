"""Snapshots built by hand: what a store would give, without one."""

from dataclasses import replace
from functools import cache

from harness.attempt.messages import Sample
from harness.base.keys import trial_key
from harness.report.tables.expected import expected_configs
from harness.report.tables.table import Table
from harness.report.tables.table_file import load_paper_table
from harness.store.records import (
    AttemptRecord,
    DatasetRecord,
    EvaluationRecord,
    Snapshot,
    StudyTrialRecord,
    TrialRecord,
)
from harness.trial.datasets import DATASETS
from harness.trial.resolve import resolve_trial

MODEL_COSTS = {  # parameters and 2 x weights of docs: the paper's printed 12.260M and 2.571e7, and so on
    "Baseline": (12_855_498, 25_709_856),
    "Feature pooling (spatial pooling), 50%": (6_432_970, 12_864_800),
    "Feature pooling (spatial pooling), 75%": (3_221_706, 6_442_272),
    "Feature pooling (top-k), 50%": (6_432_970, 12_864_800),
    "Feature pooling (top-k), 75%": (3_221_706, 6_442_272),
    "Dimension reduction of Conv, 50%": (6_430_650, 12_860_192),
    "Dimension reduction of Conv, 75%": (3_218_226, 6_435_360),
}
EVALUATION = resolve_trial(
    task="classification", dataset="mnist", model="mnist_cnn", compressors={}, protocol="mnist-paper"
).evaluations[0]

_WRITTEN = "2020-01-01T00:00:00Z"


@cache
def table1() -> Table:
    return load_paper_table(1)


def attempt(uid, config, seed, kind="train", **changes):
    fields = {
        "state": "done",
        "device": "cpu",
        "threads": 1,
        "exclusive": kind == "timing",
        "execution": {"device": "cpu", "threads": 1, "kernels": "auto", "order": "auto"},
        "environment": {"device": "Test CPU"},
        "code_digest": "c0de",
        "started": f"2020-01-01T00:00:{len(uid):02}Z",
        "ended": None,
        "accepted": kind == "train",
    }
    return AttemptRecord(uid=uid, kind=kind, trial_key=trial_key(config), seed=seed, **{**fields, **changes})


def train(uid, config, seed, accuracy, **changes):
    results = {} if accuracy is None else {(EVALUATION.key, "accuracy"): accuracy}
    return attempt(uid, config, seed, results=results, **changes)


def correct(bits):
    """Which images a network has right, as an attempt stores it."""
    packed = bytes(int("".join(map(str, bits[i : i + 8])).ljust(8, "0"), 2) for i in range(0, len(bits), 8))
    return Sample(EVALUATION.key, "correct", len(bits), "bits", packed)


def whole_samples(uid):
    """Values by image for the runs of `whole`: 40 images, the i-th trial wrong at every (i + 2 + seed)-th."""
    kind, number, seed = uid.split("-")
    step = int(number) + 2 + int(seed)
    return (correct([int(image % step > 0) for image in range(40)]),) if kind == "train" else ()


def timing(uid, config, seconds, **changes):
    measures = {
        "train_s_per_epoch": seconds,
        "train_s_per_epoch_min": seconds * 0.9,
        "train_s_per_epoch_max": seconds * 1.1,
        "test_s": seconds / 10,
    }
    return attempt(uid, config, 0, kind="timing", **{"measures": measures, **changes})


def snapshot(entries, attempts, *, study="mnist", seeds=(0, 1)):
    """`entries`: (name, config, protocol name, costs), in the study's order."""
    data = [
        DatasetRecord(s.name, s.split, s.fingerprint, s.images, s.bytes)
        for declared in DATASETS.values()
        for s in declared.splits.values()
    ]
    planned = tuple(
        StudyTrialRecord(study, name, i, trial_key(config), seeds, protocol, "", "sha", _WRITTEN, _WRITTEN)
        for i, (name, config, protocol, _) in enumerate(entries)
    )
    evaluation = EvaluationRecord(
        EVALUATION.key, EVALUATION.dataset, EVALUATION.split, EVALUATION.fingerprint, EVALUATION.condition
    )
    return Snapshot(
        datasets={record.fingerprint: record for record in data},
        trials={trial_key(c): TrialRecord(trial_key(c), 1, c, costs) for _, c, _, costs in entries},
        study_trials=planned,
        evaluations={evaluation.key: evaluation},
        attempts=tuple(attempts),
    )


def entry(label, config=None, protocol="mnist-paper"):
    parameters, flops = MODEL_COSTS[label]
    costs = {"parameters": parameters, "paper_flops": flops, "macs": flops / 2}
    return (label, expected_configs(table1())[label] if config is None else config, protocol, costs)


def whole():
    """All seven trials, two seeds each but for the last, timings for the first two."""
    configs = expected_configs(table1())
    attempts = []
    for i, config in enumerate(configs.values()):
        attempts.append(train(f"train-{i}-0", config, 0, 0.9781 + i / 1000))
        if i < 6:
            attempts.append(train(f"train-{i}-1", config, 1, 0.9791 + i / 2000))
        if i < 2:
            attempts.append(timing(f"timing-{i}", config, 9.5 - i))
    return snapshot([entry(label) for label in configs], attempts)


def changed(config, **protocol):
    return {**config, "protocol": {**config["protocol"], **protocol}}


def without_timings(stored):
    return replace(stored, attempts=tuple(a for a in stored.attempts if a.kind != "timing"))
