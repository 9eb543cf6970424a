"""Grids and `--set`: products in order, values that reach into options, and who wins."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.base.errors import HarnessError
from harness.study.exclude import View
from harness.study.grid import ROOTS, Override, apply, normalise, points
from harness.study.names import render_name


@given(st.lists(st.lists(st.integers(), min_size=1, max_size=4), max_size=4))
def test_points_are_the_product_with_the_last_path_fastest(values):
    grid = {f"protocol.p{i}": items for i, items in enumerate(values)}
    assert [tuple(point.values()) for point in points(grid)] == list(itertools.product(*values))
    assert all(list(point) == list(grid) for point in points(grid))


def test_an_empty_grid_is_one_point():
    assert list(points({})) == [{}]


def test_nothing_is_changed_in_place():
    entry = normalise({"protocol": "p", "at": "conv2", "compressor": {"kind": "spatial", "deep": [1]}})
    value = {"kind": "x", "options": [1]}
    first = apply(entry, {"protocol.optimizer": value, "compressor.stride": 2})
    first["protocol"]["optimizer"]["options"].append(2)
    first["compressors"]["conv2"]["deep"].append(2)
    assert value == {"kind": "x", "options": [1]}
    assert entry == {"protocol": {"kind": "p"}, "at": "conv2", "compressor": {"kind": "spatial", "deep": [1]}}


DOTTED = {"compressors": {"layer1": {"kind": "a"}, "layer1.0.conv1": {"kind": "b"}}}


@pytest.mark.parametrize(
    ("path", "site", "key"),
    [
        ("compressors.layer1.0.conv1.stride", "layer1.0.conv1", "stride"),
        ("compressors.layer1.stride", "layer1", "stride"),
        ("compressors.layer1.0", "layer1", "0"),
    ],
)
def test_a_site_with_dots_in_its_name_is_one_step(path, site, key):
    changed = apply(normalise(DOTTED), {path: 7})["compressors"]
    assert changed == {**DOTTED["compressors"], site: {**DOTTED["compressors"][site], key: 7}}
    assert render_name(f"{{{path}}}", {"compressors": changed}) == "7"
    view = View(DOTTED, {path: 7})
    assert (view.found(path), view.fulfils({path: [7]}), view.fulfils({path: [8]})) == ([7], True, False)


def test_a_whole_compressor_is_put_at_a_site_with_dots_in_its_name():
    assert apply(normalise(DOTTED), {"compressors.layer1.0.conv1": "c"})["compressors"] == {
        "layer1": {"kind": "a"},
        "layer1.0.conv1": {"kind": "c"},
    }


BASELINE = "  - name: Baseline\n"


def test_an_option_of_compressors_is_set_where_there_are_any(load, head, one):
    study = load(head + one + BASELINE, ["compressor.stride=4", "protocol.epochs=1"])
    assert [item.trial.config["compressors"].get("conv2", {}).get("stride") for item in study.trials] == [4, None]
    assert {item.trial.config["protocol"]["epochs"] for item in study.trials} == {1}


@pytest.mark.parametrize("brings", [["at=conv2", "compressor.kind=topk"], ["compressors.conv2.kind=topk"]])
def test_a_compressor_may_be_brought_to_all(load, head, one, brings):
    study = load(head + one + BASELINE, [*brings, "compressor.stride=4"])
    assert [item.trial.config["compressors"]["conv2"]["stride"] for item in study.trials] == [4]


def test_an_option_of_compressors_that_nothing_takes_is_refused(refusal, head):
    said = refusal(f"{head}trials:\n{BASELINE}", ["compressor.stride=4"])
    assert said == "--set compressor.stride: no trial of the study has a compressor"


def test_grid_order_in_a_study(load, head, one):
    grid = "    grid: {compressor.stride: [4, 2], protocol.epochs: [2, 1]}\n"
    study = load(head + one.replace("name: A", "name: '{compressor.stride} {protocol.epochs}'") + grid)
    assert [item.name for item in study.trials] == ["4 2", "4 1", "2 2", "2 1"]


def test_a_list_outside_of_a_grid_is_a_list(load, head, one):
    normalization = "protocol: {kind: digits-quick, normalization: {mean: [0.5], deviation: [0.25]}}"
    study = load(head.replace("protocol: digits-quick", normalization) + one)
    assert len(study.trials) == 1
    assert study.trials[0].trial.config["protocol"]["normalization"] == {"mean": [0.5], "deviation": [0.25]}


@pytest.mark.parametrize(
    "grid",
    [
        "compressor: [{kind: spatial, stride: 2}, {kind: topk, stride: 2}]",
        "compressor.kind: [spatial, topk]",
        "compressors.conv2: [{kind: spatial, stride: 2}, {kind: topk, stride: 2}]",
        "compressors: [{conv2: {kind: spatial, stride: 2}}, {conv2: {kind: topk, stride: 2}}]",
    ],
)
def test_a_grid_over_compressors(load, head, one, grid):
    study = load(head + one.replace("name: A", "name: '{compressor}'") + f"    grid: {{{grid}}}\n")
    assert [item.trial.config["compressors"] for item in study.trials] == [
        {"conv2": {"kind": kind, "stride": 2}} for kind in ("spatial", "topk")
    ]
    assert [item.name for item in study.trials] == ["spatial", "topk"]


def test_a_grid_over_names(load, head):
    study = load(
        f"{head}trials:\n  - name: '{{dataset}} {{protocol}}'\n"
        "    grid: {dataset: [digits, mnist], protocol: [digits-quick, mnist-paper]}\n"
    )
    assert [(item.trial.data[0].name, item.trial.protocol.name) for item in study.trials] == [
        ("digits", "digits-quick"),
        ("digits", "mnist-paper"),
        ("mnist", "digits-quick"),
        ("mnist", "mnist-paper"),
    ]


TWO = """\
trials:
  - name: Baseline
    protocol: {kind: digits-quick, epochs: 4}
  - name: "{compressor.stride} {protocol.epochs}"
    at: conv2
    compressor: {kind: spatial}
    grid: {compressor.stride: [2, 4], protocol.epochs: [3]}
"""


def test_set_reaches_into_every_trial_and_wins_over_entry_and_grid(load, head):
    study = load(head + TWO, ["protocol.epochs=2", "protocol.optimizer.learning_rate=1e-3"])
    assert [item.trial.config["protocol"]["epochs"] for item in study.trials] == [2, 2, 2]
    assert [item.trial.config["protocol"]["optimizer"] for item in study.trials] == [
        {"kind": "sgd", "learning_rate": 0.001, "momentum": 0.9}
    ] * 3
    assert [item.name for item in study.trials] == ["Baseline", "2 2", "4 2"]


def test_set_over_a_grid_leaves_one_of_trials_that_become_equal(load, head):
    study = load(
        head
        + TWO.replace(
            "- name: Baseline", "- {name: B, at: conv2, compressor: {kind: topk, stride: 8}}\n  - name: Baseline"
        ).replace("    protocol: {kind: digits-quick, epochs: 4}\n", ""),
        ["protocol.epochs=2"],
    )
    assert [item.name for item in study.trials] == ["B", "Baseline", "2 2", "4 2"]


@pytest.mark.parametrize(
    ("set_", "options"),
    [
        ("compressor.stride=8", {"kind": "spatial", "stride": 8}),
        ("compressors.conv2.stride=8", {"kind": "spatial", "stride": 8}),
        ("compressor.reduce=min", {"kind": "spatial", "stride": 2, "reduce": "min"}),
        ("compressor={kind: topk, stride: 4}", {"kind": "topk", "stride": 4}),
        ("compressors.conv2={kind: topk, stride: 4}", {"kind": "topk", "stride": 4}),
        ("compressors={conv2: {kind: topk, stride: 4}}", {"kind": "topk", "stride": 4}),
    ],
)
def test_set_of_compressors_in_either_form(load, head, one, set_, options):
    long = "trials:\n  - name: A\n    compressors: {conv2: {kind: spatial, stride: 2}}\n"
    for text in (head + one, head + long):
        assert load(text, [set_]).trials[0].trial.config["compressors"] == {"conv2": options}


def test_set_says_what_is_evaluated_and_makes_no_other_trial(load, head, one):
    own = load(head + one).trials[0]
    both = "evaluate=[{dataset: digits, split: test}, {dataset: digits, split: validation}]"
    wider = load(head + one, [both]).trials[0]
    assert [spec.split for spec in wider.trial.evaluations] == ["test", "validation"]
    assert (wider.trial.key, wider.overrides) == (own.trial.key, None)


def test_set_seeds_and_part_names(load, head, one):
    study = load(head + one, ["seeds=[4, 5]", "dataset=mnist", "protocol={kind: mnist-paper, epochs: 1}"])
    assert study.trials[0].seeds == (4, 5)
    assert study.trials[0].trial.data[0].name == "mnist"
    assert study.trials[0].trial.config["protocol"]["epochs"] == 1


@pytest.mark.parametrize(
    ("set_", "message"),
    [
        ("protcol.epochs=1", "--set protcol.epochs: 'protcol.epochs' leads nowhere; did you mean 'protocol'?"),
        ("name=B", f"--set name: 'name' leads nowhere; known: {', '.join(sorted(ROOTS))}"),
        ("seeds.0=1", "--set seeds.0: 'seeds.0' leads nowhere: there are no options before '0'"),
        ("protocol.epoch=1", "--set protocol.epoch: unknown key 'epoch'; did you mean 'epochs'?"),
        ("protocol.epochs=", "--set protocol.epochs: 'epochs' must be a whole number, not None"),
        ("protocol.epochs.x=1", "--set protocol.epochs.x: 'epochs' must be a whole number, not {'x': 1}"),
        ("dataset=mnits", "--set dataset: unknown dataset 'mnits'; did you mean 'mnist'?"),
        ("protocol=mnist-papr", "--set protocol: unknown protocol 'mnist-papr'; did you mean 'mnist-paper'?"),
        ("at=conv3", "--set at: unknown site 'conv3' of 'mnist_cnn'; did you mean 'conv2'?"),
        ("compressor=topk", "--set compressor: 'stride' is missing"),
        ("compressors=3", "--set compressors: 'compressors' must be a mapping from site to compressor"),
        ("task.sigma=3", "--set task.sigma: unknown key 'sigma': the task 'classification' has no options"),
        ("seeds=[1, 1]", "--set seeds: a seed occurs twice in [1, 1]"),
    ],
)
def test_set_of_what_is_not_there(refusal, head, one, set_, message):
    assert refusal(head + one, [set_]) == message


def test_the_longest_set_is_blamed(refusal, head, one):
    sets = ["protocol=digits-quick", "protocol.epochs=0"]
    assert refusal(head + one, sets).startswith("--set protocol.epochs: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("protocol.epochs", "--set takes PATH=VALUE, e.g. protocol.epochs=2, not 'protocol.epochs'"),
        ("=2", "--set takes PATH=VALUE, e.g. protocol.epochs=2, not '=2'"),
        ("a=[1", "--set a: not valid YAML: expected ',' or ']', but got '<stream end>'"),
        ("a=1\nb: 2", "--set a: one value is wanted, on one line"),
        (
            "a=!!python/object/apply:os.system [ls]",
            "--set a: the tag '!!python/object/apply:os.system' is not allowed here: write plain values",
        ),
    ],
)
def test_set_that_cannot_be_read(text, message):
    with pytest.raises(HarnessError) as caught:
        Override.parse(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "value"),
    [("a=1e-4", 1e-4), ("a=no", "no"), ("a=[1, 2]", [1, 2]), ("a={b: c}", {"b": "c"}), ("a=x=y", "x=y")],
)
def test_set_values_are_yaml(text, value):
    assert Override.parse(text) == Override("a", value)
