"""A small world for the store's tests: trials with right keys, attempts with every kind of finding."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from harness.attempt.data import DatasetSplit
from harness.attempt.messages import (
    Artifact,
    AttemptRequest,
    AttemptResult,
    EvaluationSpec,
    Execution,
    Measure,
    Point,
    ResultValue,
    Sample,
)
from harness.base.keys import KEY_SCHEME, evaluation_key, trial_key
from harness.store.connection import Store, open_store
from harness.store.records import StudyTrialRow
from harness.store.writer import add_study, finish_attempt, start_attempt
from harness.trial.datasets import MNIST

TRAIN = DatasetSplit("mnist", "train", "a" * 64, 60_000, 47_040_000)
TEST = DatasetSplit("mnist", "test", "b" * 64, 10_000, 7_840_000)
CLEAN = EvaluationSpec(evaluation_key(TEST.fingerprint, {}), "mnist", "test", TEST.fingerprint, 10_000, 7_840_000, {})
NOISY = EvaluationSpec(
    evaluation_key(TEST.fingerprint, {"sigma": 25}),
    "mnist",
    "test",
    TEST.fingerprint,
    10_000,
    7_840_000,
    {"sigma": 25},
)
ENVIRONMENT = {
    "git_sha": "0f1e2d",
    "dirty": False,
    "host": "lab-7",
    "device": "Some CPU",
    "driver": None,
    "python": "3.11.2",
    "torch": "2.13.0",
    "packages": {"numpy": "2.1"},
    "cache": "/home/someone/.cache",
}


@dataclass
class Lab:
    """Writes studies and attempts into a store with as few words as a test needs."""

    store: Store
    requests: dict[str, AttemptRequest] = field(default_factory=dict)

    def config(self, stride: int = 2) -> dict[str, Any]:
        return {
            "task": {"kind": "classification"},
            "data": {"train": TRAIN.fingerprint},
            "model": {"kind": "mnist_cnn"},
            "compressors": {"conv2": {"kind": "spatial", "stride": stride}},
            "protocol": {"epochs": 5, "lr": 0.01},
        }

    def row(self, stride: int = 2, name: str | None = None, position: int = 0) -> StudyTrialRow:
        config = self.config(stride)
        return StudyTrialRow(
            name or f"pool {stride}",
            position,
            trial_key(config),
            KEY_SCHEME,
            config,
            (0, 1),
            "mnist-paper",
            (TRAIN, TEST),
        )

    def study(self, *rows: StudyTrialRow, name: str = "mnist", created: str = "2026-01-01T00:00:00.000+00:00") -> None:
        text = f"study: {name}  # {created}\n"
        add_study(self.store, name=name, spec_yaml=text, created=created, trials=rows or (self.row(),))

    def start(
        self,
        uid: str,
        *,
        stride: int = 2,
        seed: int = 0,
        kind: Any = "train",
        started: str = "2026-01-02T00:00:00.000+00:00",
        **links: Any,
    ) -> AttemptRequest:
        config = self.config(stride)
        request = AttemptRequest(
            uid,
            kind,
            trial_key(config),
            config,
            seed,
            (MNIST,),
            (CLEAN, NOISY),
            Execution(),
            "/data/a",
            "/data",
        )
        start_attempt(self.store, request, exclusive=kind == "timing", started=started, **links)
        return request

    def result(self, uid: str, state: Any = "done", **changes: Any) -> AttemptResult:
        given: dict[str, Any] = {
            "curve": (
                Point("train", "loss", 0, 2.5),
                Point("train", "loss", 100, None, "nan"),
                Point("test", "accuracy", 100, 0.5),
                Point("train", "loss", 50, None, "inf"),
            ),
            "results": (
                ResultValue(CLEAN.key, "accuracy", 0.9885),
                ResultValue(NOISY.key, "psnr_db", None, "-inf"),
            ),
            "measures": (Measure("train_s_per_epoch", 1.25), Measure("peak_memory_bytes", 1e9)),
            "samples": (Sample(CLEAN.key, "correct", 12, "bits", b"\xff\xf0"),),
            "artifacts": (Artifact("maps", "maps.npz", "c" * 64, 17),),
        }
        execution = {"device": "cpu", "threads": 2, "data_root": "/data"}
        return AttemptResult(
            uid,
            state,
            "2026-01-02T00:00:00.000+00:00",
            "2026-01-02T01:00:00.000+00:00",
            execution,
            ENVIRONMENT,
            "code1",
            **(given | changes),
        )

    def attempt(self, uid: str, state: Any = "done", *, finding: Mapping[str, Any] | None = None, **how: Any) -> None:
        """Start an attempt and end it in `state`."""
        self.start(uid, **how)
        assert finish_attempt(self.store, self.result(uid, state, **(finding or {})))

    @property
    def evaluation(self) -> str:
        """The key of the evaluation that every attempt may report."""
        return CLEAN.key

    def finish(self, uid: str, code: str, **finding: Any) -> None:
        """End an attempt as done by other code."""
        assert finish_attempt(self.store, replace(self.result(uid, **finding), code_digest=code))

    def count(self, table: str) -> int:
        return int(self.store.db.conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results" / "harness.db"


@pytest.fixture
def lab(path: Path) -> Iterator[Lab]:
    with open_store(path) as store:
        yield Lab(store)


@pytest.fixture
def clean() -> EvaluationSpec:
    return CLEAN


@pytest.fixture
def noisy() -> EvaluationSpec:
    return NOISY
