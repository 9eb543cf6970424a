"""What runs are tested on: by default, where a study says so, and what it cannot ask for."""

from dataclasses import replace
from typing import Annotated, ClassVar

import pytest
from pydantic import Field

from harness.base.checks import FieldError
from harness.base.keys import evaluation_key
from harness.trial.datasets import DATASETS
from harness.trial.resolve import resolve_trial
from harness.trial.tasks import CLASSIFICATION, TASKS, Clean, Condition

CLEAN = {"kind": "clean"}
CHOOSES = "{kind: digits-quick, train_on: without_validation}"


@pytest.fixture
def evaluated(load, head, one):
    """Return a function that gives the evaluations of the one trial of a study with `evaluate` at the top."""

    def _evaluated(evaluate, protocol="digits-quick"):
        text = head.replace("digits-quick", protocol) + f"evaluate: {evaluate}\n" + one
        (item,) = load(text).trials
        return item.trial

    return _evaluated


def places(trial):
    return [(e.dataset, e.split) for e in trial.evaluations]


@pytest.mark.parametrize(
    ("evaluate", "expected"),
    [
        ("[digits]", [("digits", "test")]),
        ("[{}]", [("digits", "test")]),
        ("[mnist, digits]", [("mnist", "test"), ("digits", "test")]),
        ("[{split: train}, {split: validation}]", [("digits", "train"), ("digits", "validation")]),
        ("[{dataset: mnist, split: validation}, {}]", [("mnist", "validation"), ("digits", "test")]),
    ],
)
def test_what_is_asked_for(evaluated, evaluate, expected):
    trial = evaluated(evaluate)
    assert places(trial) == expected
    for found in trial.evaluations:
        split = DATASETS[found.dataset].splits[found.split]
        assert (found.fingerprint, found.images, found.bytes) == (split.fingerprint, split.images, split.bytes)
        assert (found.condition, found.key) == (CLEAN, evaluation_key(split.fingerprint, CLEAN))


def test_a_trial_that_chooses_means_validation(evaluated):
    assert places(evaluated("[digits, mnist]", CHOOSES)) == [("digits", "validation"), ("mnist", "validation")]
    assert places(evaluated("[{split: train}]", CHOOSES)) == [("digits", "train")]


def test_evaluations_are_not_in_the_key_of_a_trial(evaluated, load, head, one):
    plain = load(head + one).trials[0].trial
    assert evaluated("[mnist, digits]").key == plain.key
    assert evaluated("[digits]") == plain
    assert evaluated("[mnist, digits]").config == plain.config


def test_datasets_are_what_is_trained_and_evaluated_on(evaluated):
    digits, mnist = DATASETS["digits"].splits, DATASETS["mnist"].splits
    assert evaluated("[digits]").datasets == (digits["train"], digits["test"])
    assert evaluated("[mnist, {split: train}]").datasets == (digits["train"], mnist["test"])
    assert evaluated("[mnist, digits]").datasets == (digits["train"], mnist["test"], digits["test"])
    assert evaluated("[mnist]", CHOOSES).datasets == (digits["train"], digits["validation"], mnist["validation"])


def test_an_entry_overrides_the_default(load, head):
    study = load(
        f"{head}evaluate: [mnist]\n"
        "trials:\n"
        "  - {name: A}\n"
        "  - {name: B, evaluate: [digits], protocol: {kind: digits-quick, epochs: 1}}\n"
    )
    assert [places(item.trial) for item in study.trials] == [[("mnist", "test")], [("digits", "test")]]


def test_a_trial_that_two_entries_give_has_the_evaluations_of_both(load, head):
    study = load(
        f"{head}trials:\n"
        "  - {name: A, evaluate: [digits, mnist]}\n"
        "  - {name: B, evaluate: [mnist, {split: train}], seeds: [5]}\n"
    )
    (item,) = study.trials
    assert (item.name, item.seeds) == ("A", (0, 5))
    assert places(item.trial) == [("digits", "test"), ("mnist", "test"), ("digits", "train")]


@pytest.mark.parametrize(
    ("evaluate", "line", "message"),
    [
        ("[digit]", 7, "unknown dataset 'digit'; did you mean 'digits'?"),
        ("\n  - digits\n  - dataset: digit", 9, "unknown dataset 'digit'; did you mean 'digits'?"),
        (
            "[{dataset: [digits, mnist]}]",
            7,
            "'dataset' must be a name, or own data as {kind: folder, path: …}, not ['digits', 'mnist']",
        ),
        (
            "[{dataset: {path: x}}]",
            7,
            "a dataset is written NAME or {kind: NAME, option: value}, not {'path': 'x'}",
        ),
        ("[{split: tset}]", 7, "unknown split 'tset' of 'digits'; did you mean 'test'?"),
        ("\n  - dataset: mnist\n    split: all", 9, "unknown split 'all' of 'mnist'; known: test, train, validation"),
        ("[{split: [test]}]", 7, "'split' must be a name, not ['test']"),
        (
            "\n  - digits\n  - cifar10",
            9,
            "the model 'mnist_cnn' takes 1×28×28 images of 10 classes, 'cifar10' has 3×32×32 of 10",
        ),
        ("[{sigma: 15}]", 7, "unknown key 'sigma'; known: attack, dataset, denoiser, split, take"),
        ("[{dateset: mnist}]", 7, "unknown key 'dateset'; did you mean 'dataset'?"),
        ("\n  - digits\n  - mnist\n  - {split: test}", 10, "this evaluation occurs twice: digits, test"),
        ("[3]", 7, "an evaluation is written NAME or {dataset: NAME, split: SPLIT}, not 3"),
        ("[]", 7, "'evaluate' must not be empty"),
        ("mnist", 7, "'evaluate' must be a list, not 'mnist'"),
        ("{dataset: mnist}", 7, "'evaluate' must be a list, not {'dataset': 'mnist'}"),
    ],
)
def test_what_cannot_be_asked_for(refusal, head, one, evaluate, line, message):
    assert refusal(f"{head}evaluate: {evaluate}\n{one}") == f"s.yml:{line}: {message}"
    in_entry = evaluate.replace("\n", "\n    ")
    assert refusal(f"{head}{one}    evaluate: {in_entry}\n") == f"s.yml:{line + 4}: {message}"


@pytest.mark.parametrize("dataset", ["", "dataset: mnist, "])
def test_a_trial_that_chooses_something_never_meets_test_data(refusal, head, one, dataset):
    message = (
        "a trial that keeps validation data out of training, to choose by them, never meets test data: write "
        "'split: validation', or 'train_on: all' in the protocol"
    )
    text = f"{head}evaluate: [{{{dataset}split: test}}]\n{one}"
    assert refusal(text.replace("digits-quick", CHOOSES)) == f"s.yml:7: {message}"
    assert refusal(text, ["protocol.train_on=without_validation"]) == f"s.yml:7: {message}"


def test_an_error_of_an_included_evaluation_is_blamed_there(refusal, head, one, tmp_path):
    (tmp_path / "tests.yml").write_text("# what it is tested on\nevaluate:\n  - digit\n", encoding="utf-8")
    assert refusal(f"{head}{one}include: tests.yml\n").startswith("tests.yml:3: unknown dataset 'digit'")


def test_data_of_other_classes(monkeypatch, refusal, head, one):
    monkeypatch.setitem(DATASETS, "letters", replace(DATASETS["mnist"], name="letters", classes=26))
    assert refusal(f"{head}evaluate: [letters]\n{one}") == (
        "s.yml:7: the model 'mnist_cnn' takes 1×28×28 images of 10 classes, 'letters' has 1×28×28 of 26"
    )


def test_evaluations_are_in_no_grid(refusal, head, one):
    known = (
        "known: arguments, at, command, compressor, compressors, dataset, inputs, model, protocol, seeds, target, task"
    )
    text = f"{head}evaluate: [digits]\n{one}"
    assert refusal(f"{text}    grid: {{evaluate: [[digits]]}}\n") == f"s.yml:12: 'evaluate' leads nowhere; {known}"
    assert refusal(text, ["evaluate=[digit]"]) == "--set evaluate: unknown dataset 'digit'; did you mean 'digits'?"
    named = text.replace("name: A", "name: '{evaluate}'")
    assert refusal(named) == "s.yml:9: '{evaluate}' in the name is nothing that this trial sets"


# ---- conditions that a task may declare ----------------------------------------------------------------------------


class Noisy(Condition):
    """A condition with options, as a later task has it."""

    kind: ClassVar[str] = "noisy"
    sigma: Annotated[float, Field(gt=0)]
    noise_seed: int = 0


@pytest.fixture
def noisy(monkeypatch):
    """Give the task conditions with options, for this test only, and return what evaluates under them."""
    kinds = {kind.kind: kind for kind in (Clean, Noisy)}
    task = replace(CLASSIFICATION, condition_word="condition", conditions=kinds, usual=lambda _: Noisy(sigma=35))
    monkeypatch.setitem(TASKS, "classification", task)

    def _resolve(*evaluate):
        return resolve_trial(
            task="classification",
            dataset="digits",
            model="mnist_cnn",
            compressors={},
            protocol="digits-quick",
            evaluate=evaluate,
        ).evaluations

    return _resolve


def test_what_is_left_out_is_as_in_the_usual_condition_and_another_kind_is_named(noisy):
    found = noisy({}, {"sigma": 15}, {"condition": "clean"})
    assert [e.condition for e in found] == [{"kind": "noisy", "sigma": 35}, {"kind": "noisy", "sigma": 15}, CLEAN]
    with pytest.raises(FieldError, match=r"unknown condition 'clear' of task 'classification'; did you mean 'clean'"):
        noisy({"condition": "clear"})
    with pytest.raises(FieldError, match="unknown key 'sigma'"):
        noisy({"condition": "clean", "sigma": 15})
    assert [e.condition for e in noisy({"condition": ["clean", "none"]})] == [CLEAN, {"kind": "noisy", "sigma": 35}]


def test_a_list_in_a_condition_stands_for_an_evaluation_with_each(noisy):
    found = noisy({"sigma": [15, 25], "noise_seed": [0, 1]}, {"dataset": "mnist", "sigma": 50})
    assert [(e.dataset, e.condition) for e in found] == [
        ("digits", {"kind": "noisy", "sigma": 15.0}),
        ("digits", {"kind": "noisy", "sigma": 15.0, "noise_seed": 1}),
        ("digits", {"kind": "noisy", "sigma": 25.0}),
        ("digits", {"kind": "noisy", "sigma": 25.0, "noise_seed": 1}),
        ("mnist", {"kind": "noisy", "sigma": 50.0}),
    ]
    assert len({e.key for e in found}) == 5
    assert [e.key for e in found] == [evaluation_key(e.fingerprint, e.condition) for e in found]


@pytest.mark.parametrize(
    ("evaluate", "path", "message"),
    [
        ([{"sigma": 0}], (0, "sigma"), "'sigma' must be greater than 0, not 0"),
        ([{"sigma": [15, "x"]}], (0, "sigma", 1), "'sigma' must be a number, not 'x'"),
        ([{"sigma": []}], (0, "sigma"), "'sigma' must not be empty"),
        ([{"sigma": 15, "noiseseed": 1}], (0, "noiseseed"), "unknown key 'noiseseed'; did you mean 'noise_seed'?"),
        ([{"sigma": [15, 15.0]}], (0,), "this evaluation occurs twice: digits, test, sigma 15.0"),
        (
            [{"sigma": 15}, {"sigma": 15, "noise_seed": 0}],
            (1,),
            "this evaluation occurs twice: digits, test, sigma 15.0",
        ),
    ],
)
def test_conditions_are_checked(noisy, evaluate, path, message):
    with pytest.raises(FieldError) as caught:
        noisy(*evaluate)
    assert (caught.value.path, caught.value.message) == (("evaluate", *path), message)
