"""What the metrics of stored trials are: stored with the trial, declared by its task, or by its study."""

from dataclasses import replace

import pytest
import records

from harness.attempt.metrics import Metric
from harness.report.tables.declared import metric_named, metrics_of, metrics_of_all, of_study, position
from harness.trial.tasks import CLASSIFICATION

CONFIG = {"task": {"kind": "function", "target": "f.py:run"}, "arguments": {}}
NETWORK = {"task": {"kind": "classification"}, "data": {}, "model": {}, "compressors": {}, "protocol": {}}


def test_of_a_study_and_its_entries():
    text = "study: s\nmetrics: {loss: minimize, accuracy: maximize}\ntrials:\n  - {name: A, metrics: {f1: maximize}}\n"
    assert of_study(text) == (Metric("loss", better="lower"), Metric("accuracy"), Metric("f1"))


def test_with_units():
    text = "metrics: {psnr: {direction: maximize, unit: dB}, time: {direction: minimize, unit: s}, odd: {unit: s}}\n"
    assert of_study(text) == (Metric("psnr", "dB"), Metric("time", "s", "lower"))


def test_a_study_has_the_last_word_over_what_it_includes():
    text = "study: s\nmetrics: {a: maximize}\n---\n# included: base.yml\nmetrics: {a: minimize, b: minimize}\n"
    assert of_study(text) == (Metric("a"), Metric("b", better="lower"))


def test_of_a_mapping_given_from_python():
    assert of_study('{"study": "s", "metrics": {"a": "minimize"}}') == (Metric("a", better="lower"),)


def test_what_declares_nothing():
    for text in ("study: s\ntrials: 3\n", "- a\n- b\n", "a: [", "metrics: 3\n", "metrics: {a: [1]}\n"):
        assert of_study(text) == ()


def stored(config, text="", metrics=()):
    found = records.snapshot([("A", config, "p", {})], ())
    (key,) = found.trials
    trials = {key: replace(found.trials[key], metrics=metrics)}
    return replace(
        found, trials=trials, study_trials=tuple(replace(r, spec_yaml=text) for r in found.study_trials)
    ), key


def test_what_is_stored_with_a_trial_counts_first():
    metrics = (Metric("psnr", "dB"), Metric("accuracy", better="lower"))
    for config in (CONFIG, NETWORK):
        found, key = stored(config, "metrics: {y: minimize}\n", metrics)
        assert metrics_of(found, key) == metrics


def test_an_earlier_trial_has_the_metrics_of_its_task_or_of_its_study():
    found, key = stored(NETWORK, "metrics: {y: minimize}\n")
    assert metrics_of(found, key) == CLASSIFICATION.metrics
    found, key = stored(CONFIG, "metrics: {y: minimize}\n")
    assert metrics_of(found, key) == (Metric("y", better="lower"),)
    assert metrics_of(found, key, "mnist") == (Metric("y", better="lower"),)
    assert metrics_of(found, key, "another") == metrics_of(found, "no key") == ()


def test_of_several_trials_each_name_once():
    found, key = stored(CONFIG, "metrics: {y: minimize, z: maximize}\n")
    assert [metric.name for metric in metrics_of_all(found, [key, "no key", key])] == ["y", "z"]


@pytest.mark.parametrize("name", ["loss", "rmse_db", "accuracy"])
def test_nothing_is_guessed_from_a_name(name):
    assert metric_named((Metric("y"),), name) == Metric(name, "", "higher", None)


def test_what_nobody_declares_goes_last():
    declared = (Metric("z"), Metric("b"))
    assert sorted(["c", "b", "a", "z"], key=lambda name: position(declared, name)) == ["z", "b", "a", "c"]
