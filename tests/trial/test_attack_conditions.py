"""Attacks and denoisers in a study: what lists stand for, keys, runs and files that are named, and what is refused."""

import hashlib

import pytest

from harness.base.checks import FieldError
from harness.base.errors import HarnessError
from harness.base.keys import evaluation_key
from harness.trial.conditions import SHIPPED, awaited
from harness.trial.datasets import DATASETS
from harness.trial.named_runs import FoundRun, runs_found_by
from harness.trial.resolve import resolve_trial

BLUR = {"kind": "blur", "size": 3}


def trial(*evaluate, folders=()):
    return resolve_trial(
        task="classification",
        dataset="digits",
        model="mnist_cnn",
        protocol="digits-quick",
        evaluate=list(evaluate),
        plugin_folders=folders,
    )


def conditions(*evaluate, folders=()):
    return [dict(each.condition) for each in trial(*evaluate, folders=folders).evaluations]


def test_a_clean_evaluation_has_the_key_that_it_always_had():
    (plain,) = trial({}).evaluations
    assert plain.key == evaluation_key(DATASETS["digits"].splits["test"].fingerprint, {"kind": "clean"})
    for same in ({"attack": "none"}, {"denoiser": "none"}, {"attack": [None], "denoiser": [None]}):
        assert trial(same).evaluations == (plain,)
    assert trial({"attack": {"kind": "fgsm", "epsilon": 8}}).key == trial({}).key


def test_lists_multiply_and_what_is_the_same_stands_once():
    found = conditions(
        {
            "attack": ["none", {"kind": "fgsm", "epsilon": [1, 8]}],
            "denoiser": ["none", {"kind": "blur", "size": [3, 5]}],
            "knowledge": ["unaware", "aware"],
        }
    )
    assert found[:3] == [
        {"kind": "clean"},
        *({"kind": "clean", "denoiser": {"kind": "blur", "size": n}} for n in (3, 5)),
    ]
    assert len(found) == 3 + 2 * (1 + 2 * 2)  # who meets no denoiser cannot know it
    assert {"kind": "fgsm", "epsilon": 8.0, "denoiser": BLUR, "knowledge": "aware"} in found


def test_options_beside_an_attack_go_with_those_that_have_them():
    found = conditions({"attack": ["none", "fgsm", {"kind": "bim", "steps": 3}], "epsilon": [2, 4]})
    assert [(each["kind"], each.get("epsilon")) for each in found] == [
        ("clean", None),
        ("fgsm", 2.0),
        ("fgsm", 4.0),
        ("bim", 2.0),
        ("bim", 4.0),
    ]


def test_the_first_images_are_data_of_their_own():
    found = trial({"take": 20}, {})
    first, whole = found.evaluations
    assert (first.dataset, first.split, first.images) == ("digits[:20]", "test", 20)
    assert first.fingerprint != whole.fingerprint
    assert [(one.name, [*one.splits]) for one in found.data[1:]] == [("digits[:20]", ["test"])]


def test_a_run_that_is_done_is_known_by_trial_seed_and_weights():
    run = FoundRun("a" * 32, 3, "b" * 64, "/somewhere/weights.pt")
    with runs_found_by(lambda _: run):
        found = trial({"denoiser": {"run": "small:DnCNN, σ 10:3", "sigma": 12}})
    (evaluation,) = found.evaluations
    assert evaluation.condition["denoiser"] == {
        "kind": "run",
        "sigma": 12.0,
        "trial": "a" * 32,
        "seed": 3,
        "weights": "b" * 64,
    }
    assert found.files["b" * 64] == "/somewhere/weights.pt"
    assert awaited(evaluation.condition) is None


def test_a_run_that_is_not_done_is_awaited():
    def nowhere(name):
        raise HarnessError("no such run")

    (without_results,) = trial({"denoiser": {"run": "small:DnCNN:0"}}).evaluations
    with runs_found_by(nowhere):
        (evaluation,) = trial({"denoiser": {"run": "small:DnCNN:0"}}).evaluations
    assert awaited(evaluation.condition) == awaited(without_results.condition) == "small:DnCNN:0"


def test_weights_in_files_are_known_by_their_contents(tmp_path):
    (tmp_path / "mine.npz").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    found = trial({"denoiser": {"kind": "saved", "file": "mine.npz"}}, folders=[str(tmp_path)])
    assert found.evaluations[0].condition["denoiser"] == {"kind": "saved", "weights": digest}
    assert found.files[digest] == str(tmp_path / "mine.npz")
    (shipped,) = conditions({"denoiser": {"kind": "shipped", "sigma": 10}})
    assert shipped["denoiser"]["weights"] == hashlib.sha256(SHIPPED.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("item", "path", "message"),
    [
        ({"attack": "fsgm"}, ("attack",), "unknown attack 'fsgm' of task 'classification'; did you mean 'fgsm'?"),
        ({"attack": "fgsm"}, ("epsilon",), "'epsilon' is missing"),
        ({"attack": {"kind": "fgsm", "steps": 3}}, ("attack", "steps"), "unknown key 'steps' of 'fgsm'"),
        ({"attack": {"kind": "fgsm", "epsilon": [8, 300]}}, ("attack", "epsilon", 1), "less than or equal to 255"),
        ({"attack": []}, ("attack",), "'attack' must not be empty"),
        ({"epsilon": 8}, ("epsilon",), "unknown key 'epsilon'"),
        ({"denoiser": {"kind": "blurr", "size": 3}}, ("denoiser",), "did you mean 'blur'?"),
        ({"denoiser": {"kind": "blur", "size": 4}}, ("denoiser", "size"), "an odd number of pixels from 3"),
        ({"denoiser": {"kind": "blur"}}, ("denoiser",), "a blur with 'size' (a mean) or with 'sigma' (a Gaussian)"),
        ({"denoiser": {"run": "small"}}, ("denoiser", "run"), "'run' must be STUDY:TRIAL:SEED"),
        (
            {"denoiser": {"kind": "run", "weights": "x"}},
            ("denoiser", "weights"),
            "'weights' is not an option of a denoiser",
        ),
        ({"denoiser": {"kind": "saved", "file": "none.npz"}}, ("denoiser", "file"), "there is no file 'none.npz'"),
        ({"take": 1000}, ("take",), "'take' must be a number from 1 to 355, not 1000"),
    ],
)
def test_what_is_refused(item, path, message):
    with pytest.raises(FieldError) as caught:
        trial(item)
    assert message in caught.value.message
    assert caught.value.path[: len(path) + 2] == ("evaluate", 0, *path)


def test_the_first_images_of_two_splits_are_two_sets():
    made = trial({"take": 20}, {"split": "train", "take": 20})
    first, second = made.evaluations
    assert (first.dataset, second.dataset) == ("digits[:20]", "digits train[:20]")
    assert [[*each.splits] for each in made.data[1:]] == [["test"], ["train"]]
