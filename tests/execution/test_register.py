"""A study stays whole in the store, whatever part of it a call asks for."""

from dataclasses import replace

import pytest

from harness.base import processor
from harness.execution.plan import plan
from harness.execution.register import add_studies, slow_precision
from harness.store.connection import open_memory
from harness.store.queries import snapshot
from harness.study.study import load_study
from harness.trial.resolve import resolve_trial


def _stands_now(store):
    return {p.name for p in snapshot(store).study_trials if p.stands}


def test_only_plans_a_part_and_leaves_the_study_whole(study_file, tmp_path):
    study = load_study(study_file("quickstart"))
    part = replace(study, only="*top-k*")
    with open_memory() as store:
        add_studies(store, [part])
        assert _stands_now(store) == {item.name for item in study.trials}
        assert {run.name for run in plan([part], snapshot(store), tmp_path).runs} == {
            "Feature pooling (top-k), 50%",
            "Feature pooling (top-k), 75%",
        }


def test_a_study_that_stands_is_left_alone(study_file):
    study = load_study(study_file("quickstart"))
    with open_memory() as store:
        add_studies(store, [study])
        before = snapshot(store).study_trials
        add_studies(store, [replace(study, only="Baseline")])
        assert snapshot(store).study_trials == before


@pytest.mark.parametrize(
    ("flags", "warns"), [("avx2 fma", True), ("avx2 avx512_bf16", False), ("amx_bf16", False), ("", False)]
)
def test_a_precision_that_the_processor_does_not_have_is_said(monkeypatch, flags, warns):
    monkeypatch.setattr(processor, "processor_facts", lambda: {"flags": flags} if flags else {})
    half, whole = (
        resolve_trial(
            task="classification",
            dataset="cifar10",
            model="vgg16",
            protocol={"kind": "cifar-fast", "precision": precision},
        )
        for precision in ("bf16", "fp32")
    )
    said = slow_precision([whole, half], "cpu")
    assert (said is not None) == warns
    assert said is None or "--set protocol.precision=fp32" in said
    assert slow_precision([whole], "cpu") is None
    assert slow_precision([half], "cuda:0") is None
