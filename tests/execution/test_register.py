"""A study stays whole in the store, whatever part of it a call asks for."""

from dataclasses import replace

from harness.execution.plan import plan
from harness.execution.register import register
from harness.store.connection import open_memory
from harness.store.queries import snapshot
from harness.study.study import load_study


def _stands_now(store):
    return {p.name for p in snapshot(store).study_trials if p.stands}


def test_only_plans_a_part_and_leaves_the_study_whole(study_file, tmp_path):
    study = load_study(study_file("quickstart"))
    part = replace(study, only="*top-k*")
    with open_memory() as store:
        register(store, [part])
        assert _stands_now(store) == {item.name for item in study.trials}
        assert {run.name for run in plan([part], snapshot(store), tmp_path).runs} == {
            "Feature pooling (top-k), 50%",
            "Feature pooling (top-k), 75%",
        }


def test_a_study_that_stands_is_left_alone(study_file):
    study = load_study(study_file("quickstart"))
    with open_memory() as store:
        register(store, [study])
        before = snapshot(store).study_trials
        register(store, [replace(study, only="Baseline")])
        assert snapshot(store).study_trials == before
