"""Studies that take in other files: whose word counts, in which order, where errors are said to be, and the text."""

from itertools import pairwise

import pytest

from harness.store.published import StudyPart

BASE = """\
study: base
description: The base.
task: classification
dataset: digits
model: mnist_cnn
protocol: digits-quick
seeds: [0, 1]
execution: {threads: 2}
trials:
  - name: Baseline
  - name: "{compressor}, {reduction}"
    at: conv2
    compressor: {kind: spatial}
    grid: {compressor.stride: [2, 4]}
"""
OTHER_PROTOCOL = "{kind: digits-quick, precision: bf16}"


@pytest.fixture
def write(tmp_path):
    """Return a function that writes files by their names beside the study."""

    def _write(**files):
        for name, text in files.items():
            path = tmp_path.joinpath(*name.split("/")).with_suffix(".yml")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    return _write


def names(study):
    return [item.name for item in study.trials]


# ---- whose word counts ---------------------------------------------------------------------------------------------


def test_the_same_grid_with_another_protocol(load, write):
    write(base=BASE)
    study = load(f"study: own\ninclude: base.yml\nprotocol: {OTHER_PROTOCOL}\n")
    by_hand = load(BASE.replace("protocol: digits-quick", f"protocol: {OTHER_PROTOCOL}"))
    assert [(item.name, item.trial.key, item.seeds) for item in study.trials] == [
        (item.name, item.trial.key, item.seeds) for item in by_hand.trials
    ]
    assert {item.trial.key for item in study.trials}.isdisjoint(item.trial.key for item in load(BASE).trials)


def test_included_trials_come_first_and_own_ones_follow(load, write):
    write(base=BASE, more="trials: [{name: More, protocol: {kind: digits-quick, epochs: 1}}]\n")
    own = "trials:\n  - {name: Own, at: conv2, compressor: {kind: topk, stride: 8}}\n"
    study = load(f"study: own\ninclude: [base.yml, more.yml]\n{own}")
    assert names(study) == ["Baseline", "spatial, 50%", "spatial, 75%", "More", "Own"]
    assert [item.position for item in study.trials] == list(range(5))
    assert names(load(f"{own}include: [more.yml, base.yml]\nstudy: own\n")) == [
        "More",
        "Baseline",
        "spatial, 50%",
        "spatial, 75%",
        "Own",
    ]


def test_what_is_taken_over_and_what_is_not(load, write):
    write(base=BASE)
    study = load("study: own\ninclude: base.yml\n")
    assert (study.name, study.description) == ("own", "")
    assert {item.seeds for item in study.trials} == {(0, 1)}
    assert study.execution.threads == 2
    own = load("study: own\ninclude: base.yml\nexecution: {deterministic: false}\nseeds: [7]\nevaluate: [mnist]\n")
    assert (own.execution.threads, own.execution.deterministic) == (None, False)
    assert {item.seeds for item in own.trials} == {(7,)}
    assert {item.trial.evaluations[0].dataset for item in own.trials} == {"mnist"}


def test_a_later_include_overrides_an_earlier_one(load, write, head, one):
    write(
        first="protocol: {kind: digits-quick, epochs: 1}\nseeds: [1]\n",
        second="protocol: {kind: digits-quick, epochs: 2}\n",
    )
    own = head.replace("protocol: digits-quick\nseeds: [0]\n", "") + one
    for order, epochs in (("first.yml, second.yml", 2), ("second.yml, first.yml", 1)):
        (item,) = load(f"{own}include: [{order}]\n").trials
        assert item.trial.config["protocol"]["epochs"] == epochs
        assert item.seeds == (1,)


def test_a_part_is_replaced_whole(load, write, head, one):
    write(part="protocol: {kind: digits-quick, epochs: 1}\n")
    own = head.replace("digits-quick", "{kind: digits-quick, batch_size: 10}") + one
    protocol = load(f"{own}include: part.yml\n").trials[0].trial.config["protocol"]
    assert (protocol["epochs"], protocol["batch_size"]) == (5, 10)


def test_an_entry_keeps_what_it_says_itself(load, write):
    write(base=BASE.replace("name: Baseline", "name: Baseline\n    protocol: {kind: digits-quick, epochs: 1}"))
    study = load("study: own\ninclude: base.yml\nprotocol: {kind: digits-quick, epochs: 2}\n")
    assert [item.trial.config["protocol"]["epochs"] for item in study.trials] == [1, 2, 2]


def test_compressors_in_another_form_replace_those_that_are_included(load, write, head):
    short = "at: conv2\ncompressor: {kind: spatial, stride: 2}\n"
    long = "compressors: {conv2: {kind: topk, stride: 4}}\n"
    for included, own, kind in ((short, long, "topk"), (long, short, "spatial")):
        write(part=included)
        study = load(f"{head}{own}include: part.yml\ntrials: [{{name: '{{compressor}}'}}]\n")
        assert names(study) == [kind]


def test_includes_nest_and_lead_from_where_they_stand(load, write):
    write(
        **{
            "sub/middle": "include: ../deep/base.yml\nprotocol: {kind: digits-quick, epochs: 1}\nseeds: [3]\n",
            "deep/base": BASE,
        }
    )
    study = load("study: own\ninclude: sub/middle.yml\nseeds: [4]\n")
    assert names(study) == ["Baseline", "spatial, 50%", "spatial, 75%"]
    assert {item.trial.config["protocol"]["epochs"] for item in study.trials} == {1}
    assert {item.seeds for item in study.trials} == {(4,)}


def test_a_file_that_is_included_twice_counts_where_it_was_first(load, write):
    write(
        base=BASE,
        left="include: base.yml\nprotocol: {kind: digits-quick, epochs: 1}\n",
        right="include: base.yml\nseeds: [9]\n",
    )
    study = load("study: own\ninclude: [left.yml, right.yml]\n")
    assert len(study.trials) == 3
    assert {item.trial.config["protocol"]["epochs"] for item in study.trials} == {1}
    assert {item.seeds for item in study.trials} == {(9,)}
    assert study.spec_yaml.count("description: The base.") == 1


def test_a_trial_of_both_stands_once(load, write):
    write(base=BASE)
    study = load("study: own\ninclude: base.yml\ntrials: [{name: Again, seeds: [5]}]\n")
    assert names(study) == ["Baseline", "spatial, 50%", "spatial, 75%"]
    assert study.trials[0].seeds == (0, 1, 5)


def test_the_command_line_reaches_what_is_included(load, write):
    write(base=BASE)
    study = load("study: own\ninclude: base.yml\n", ["protocol.epochs=2", "seeds=[6]"])
    assert {(item.trial.config["protocol"]["epochs"], item.seeds) for item in study.trials} == {(2, (6,))}


# ---- plug-ins ------------------------------------------------------------------------------------------------------


def test_plug_ins_are_looked_for_beside_the_study_and_then_beside_what_it_includes(load, write, tmp_path):
    layer = "class Mine:\n    def __init__(self, stride, alpha=0.5):\n        self.stride = stride\n"
    layer += "    def layer(self, channels): ...\n    conv_channels = out_channels = layer\n"
    entry = "trials: [{name: A, at: conv2, compressor: {kind: 'included_layer:Mine', stride: 2}}]\n"
    write(**{"sub/part": entry + "include: ../deep/base.yml\n", "deep/base": BASE, "other/part": "seeds: [1]\n"})
    (tmp_path / "sub" / "included_layer.py").write_text(layer, encoding="utf-8")
    text = "study: own\ninclude: [sub/part.yml, other/part.yml]\n"
    study = load(text)
    assert study.plugin_folders == tuple(
        str(tmp_path.joinpath(*f).resolve()) for f in ((), ("sub",), ("deep",), ("other",))
    )
    beside_included = study.trials[-1].trial.key
    (tmp_path / "included_layer.py").write_text(layer.replace("0.5", "0.6"), encoding="utf-8")
    assert load(text).trials[-1].trial.key != beside_included


# ---- the text that is stored ---------------------------------------------------------------------------------------


def stored(study):
    """Return the study's place as a published line has it, checked as `merge` checks it."""
    now = "2026-01-31T12:00:00.000+00:00"
    place = {"created": now, "trial_name": "A", "position": 0, "seeds": [0], "protocol_name": "p", "added": now}
    return StudyPart(name=study.name, spec_yaml=study.spec_yaml, spec_sha=study.spec_sha, **place)


def test_the_text_holds_all_that_was_read(load, write):
    own = "study: own\ninclude: sub/middle.yml"
    write(**{"sub/middle": "include: ../base.yml\n", "base": BASE})
    study = load(own)
    assert study.spec_yaml == (
        f"{own}\n---\n# included: base.yml\n{BASE}---\n# included: sub/middle.yml\ninclude: ../base.yml\n"
    )
    assert stored(study).spec_sha == study.spec_sha


def test_a_change_in_any_file_changes_the_sha(load, write):
    own = "study: own\ninclude: middle.yml\n"
    write(middle="include: base.yml\n", base=BASE)
    shas = [load(own).spec_sha]
    for files in ({"base": BASE + "# note\n"}, {"middle": "include: base.yml\nseeds: [0, 1]\n"}, {}):
        write(**files)
        shas.append(load(own if files else f"# note\n{own}").spec_sha)
    assert all(one != other for one, other in pairwise(shas))
    assert len(set(shas)) == 4


def test_the_text_does_not_tell_where_the_files_are(load, write, tmp_path):
    write(base=BASE)
    here = load("study: own\ninclude: base.yml\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "base.yml").write_text(BASE, encoding="utf-8")
    assert load("study: own\ninclude: base.yml\n", folder=elsewhere).spec_sha == here.spec_sha
    assert str(tmp_path) not in here.spec_yaml


def test_without_includes_the_text_is_the_file_s(load):
    study = load(BASE)
    assert study.spec_yaml == BASE
    assert stored(study).spec_sha == study.spec_sha


# ---- where errors are ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("task:", "tusk:", "base.yml:3: unknown key 'tusk'; did you mean 'task'?"),
        ("study: base", "study: Base Study", "base.yml:1: 'study' must match"),
        ("threads: 2", "threads: two", "base.yml:8: 'execution.threads' must be a whole number"),
        ("digits-quick", "digits-quik", "base.yml:6: unknown protocol 'digits-quik'"),
        ("at: conv2", "at: conv3", "base.yml:12: unknown site 'conv3' of 'mnist_cnn'"),
        ("[2, 4]", "[2, 3]", "base.yml:14: stride 3 does not divide the 32 channels"),
        ("name: Baseline", "name: '{nothing}'", "base.yml:10: '{nothing}' in the name"),
        ("seeds: [0, 1]\n", "", "base.yml:9: 'seeds' is missing"),
        ("seeds: [0, 1]", "seeds: [0, 1", "base.yml:8: not valid YAML"),
        ("study: base\n", "- 1\n", "base.yml:2: not valid YAML"),
        ("{compressor}, {reduction}", "Baseline", "base.yml:11: two trials would both be named 'Baseline'"),
    ],
)
def test_errors_in_an_included_file_name_it(refusal, write, old, new, where):
    assert BASE.count(old) == 1
    write(**{"sub/base": BASE.replace(old, new)})
    assert refusal("study: own\ninclude:\n  - sub/base.yml\n").startswith(f"sub/{where}")


def test_the_file_that_said_it_is_blamed(refusal, write):
    write(base=BASE, part="model: mnist_cn\n")
    assert refusal("study: own\nprotocol: digits-quik\ninclude: base.yml\n").startswith("s.yml:2: unknown protocol")
    assert refusal("study: own\ninclude: [base.yml, part.yml]\n").startswith("part.yml:1: unknown model")
    trials = "trials:\n  - {name: A, at: conv2, compressor: {kind: spatial, stride: 3}}\n"
    assert refusal(f"study: own\ninclude: base.yml\n{trials}").startswith("s.yml:4: stride 3")
    again = "trials:\n  - {name: Baseline, protocol: {kind: digits-quick, epochs: 1}}\n"
    assert refusal(f"study: own\ninclude: base.yml\n{again}").startswith(
        "s.yml:4: two trials would both be named 'Base"
    )
    assert refusal("study: own\ninclude: base.yml\n", ["model=mnist_cn"]).startswith("--set model: unknown model")


@pytest.mark.parametrize(
    ("include", "message"),
    [
        ("none.yml", "s.yml:2: cannot include 'none.yml': there is no such file"),
        ("folder", "s.yml:2: cannot include 'folder': cannot be read: Is a directory"),
        ("[base.yml, none.yml]", "s.yml:2: cannot include 'none.yml': there is no such file"),
        ("binary.yml", "s.yml:2: cannot include 'binary.yml': is not text in UTF-8"),
        ("s.yml", "s.yml:2: cannot include 's.yml': it goes in a circle, s.yml → s.yml"),
        ("round.yml", "back.yml:1: cannot include 's.yml': it goes in a circle, s.yml → round.yml → back.yml → s.yml"),
        ("inner.yml", "inner.yml:1: cannot include 'inner.yml': it goes in a circle, inner.yml → inner.yml"),
        ("missing.yml", "missing.yml:2: cannot include 'none.yml': there is no such file"),
        ("", "s.yml:2: 'include' must be a path or a list of paths, not None"),
        ("[]", "s.yml:2: 'include' must be a path or a list of paths, not []"),
        ("''", "s.yml:2: 'include' must be a path or a list of paths, not ''"),
        ("[base.yml, 3]", "s.yml:2: 'include' must be a path or a list of paths, not ['base.yml', 3]"),
        ("{file: base.yml}", "s.yml:2: 'include' must be a path or a list of paths, not {'file': 'base.yml'}"),
        ("empty.yml", "s.yml:2: there are no 'trials', here or in what is included"),
    ],
)
def test_what_cannot_be_included(refusal, write, tmp_path, include, message):
    write(
        base=BASE,
        round="include: back.yml\n",
        back="include: [s.yml]\n",
        inner="include: inner.yml\n",
        missing="seeds: [1]\ninclude: none.yml\n",
        empty="seeds: [1]\n",
    )
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary.yml").write_bytes(bytes(range(256)))
    assert refusal(f"study: own\ninclude: {include}\n") == message


def test_a_line_of_a_list_of_includes(refusal, write):
    write(base=BASE)
    assert refusal("study: own\ninclude:\n  - base.yml\n  - none.yml\n").startswith(
        "s.yml:4: cannot include 'none.yml'"
    )


def test_a_fragment_is_no_study(refusal):
    assert refusal(BASE.replace("study: base\n", "")) == "s.yml:1: 'study' is missing"
