"""What a study file expands to."""

import pytest

from harness.trial.models import MODELS, ModelDeclaration, Site

EXAMPLE = """\
study: mnist
task: classification
dataset: mnist
model: mnist_cnn
protocol: mnist-paper
seeds: [0, 1]
trials:
  - name: Baseline
  - name: "Feature pooling (spatial pooling), {reduction}"
    at: conv2
    compressor: {kind: spatial, reduce: max}
    grid: {compressor.stride: [2, 4]}
  - name: "Top-k, {reduction}"
    at: conv2
    compressor: {kind: topk}
    grid: {compressor.stride: [2, 4]}
  - name: "Dimension reduction of Conv, {reduction}"
    at: conv2
    compressor: {kind: width}
    grid: {compressor.stride: [2, 4]}
"""


@pytest.fixture
def two_sites(monkeypatch):
    """Give the MNIST network a second site, for this test only."""
    old = MODELS["mnist_cnn"]
    sites = {**old.sites, "conv1": Site("conv1", channels=16, narrowable=True)}
    new = ModelDeclaration(old.name, old.input_shape, old.classes, sites, old.code)
    monkeypatch.setitem(MODELS, "mnist_cnn", new)


def compressors(study):
    return [item.trial.config["compressors"] for item in study.trials]


def names(study):
    return [item.name for item in study.trials]


def test_the_example_gives_seven_trials_in_order(load):
    study = load(EXAMPLE)
    assert names(study) == [
        "Baseline",
        "Feature pooling (spatial pooling), 50%",
        "Feature pooling (spatial pooling), 75%",
        "Top-k, 50%",
        "Top-k, 75%",
        "Dimension reduction of Conv, 50%",
        "Dimension reduction of Conv, 75%",
    ]
    assert [item.position for item in study.trials] == list(range(7))
    assert compressors(study) == [{}] + [
        {"conv2": {"kind": kind, "stride": stride}} for kind in ("spatial", "topk", "width") for stride in (2, 4)
    ]
    assert {item.seeds for item in study.trials} == {(0, 1)}
    assert len({item.trial.key for item in study.trials}) == 7
    assert study.spec_yaml == EXAMPLE


def test_what_trials_have_in_common_is_resolved_once(load):
    """A grid of 10,000 points has one dataset, one network and one evaluation."""
    first, *others = (item.trial for item in load(EXAMPLE).trials)
    assert len(others) == 6
    for other in others:
        assert other.data[0] is first.data[0]
        assert other.config["model"] is first.config["model"]
        assert other.evaluations is first.evaluations


def test_trials_that_evaluate_or_choose_otherwise_share_nothing_of_it(load, head):
    other, chooses = ({"kind": "mnist-paper", **how} for how in ({"epochs": 1}, {"train_on": "without_validation"}))
    entries = (
        f"{{name: A}}, {{name: B, protocol: {other}, evaluate: [{{split: train}}]}}, {{name: C, protocol: {chooses}}}"
    )
    study = load(f"{head}trials: [{entries}]\n")
    assert [item.trial.evaluations[0].split for item in study.trials] == ["test", "train", "validation"]


@pytest.mark.parametrize("name", ["mnist", "mnist-optimiser", "quickstart"])
def test_the_studies_of_the_repository_load(name, study_file):
    from harness.study.study import load_study

    study = load_study(study_file(name))
    assert study.name == name
    assert study.plugin_folders == (str(study_file(name).parent.resolve()),)


def test_shorthand_is_the_canonical_form(load, head):
    short = load(f"{head}trials: [{{name: A, at: conv2, compressor: {{kind: topk, stride: 4, largest: false}}}}]\n")
    long = load(f"{head}trials: [{{name: A, compressors: {{conv2: {{kind: topk, stride: 4, largest: false}}}}}}]\n")
    assert short.trials[0].trial == long.trials[0].trial
    assert short.trials[0].trial.key == long.trials[0].trial.key


def test_shorthand_at_several_sites(load, head, two_sites):
    entry = "{name: '{reduction}', at: [conv2, conv1], compressor: {kind: spatial}, grid: {compressor.stride: [2, 4]}}"
    study = load(f"{head}trials: [{entry}]\n")
    assert names(study) == ["50%", "75%"]
    assert compressors(study) == [
        {site: {"kind": "spatial", "stride": stride} for site in ("conv1", "conv2")} for stride in (2, 4)
    ]


def test_a_site_of_several_by_its_own_path(load, head, two_sites):
    entry = "name: 'at conv1: {compressors.conv1.stride}', at: [conv1, conv2], compressor: {kind: spatial, stride: 2}"
    study = load(f"{head}trials: [{{{entry}, grid: {{compressors.conv1.stride: [4]}}}}]\n")
    assert names(study) == ["at conv1: 4"]
    assert compressors(study) == [
        {"conv1": {"kind": "spatial", "stride": 4}, "conv2": {"kind": "spatial", "stride": 2}}
    ]


def test_an_entry_overrides_the_defaults(load, head):
    study = load(
        head
        + """\
at: conv2
compressor: {kind: spatial, stride: 2}
trials:
  - name: as the defaults
  - {name: own compressor, compressor: {kind: topk, stride: 4}}
  - {name: none, compressors: {}}
  - {name: long form, compressors: {conv2: {kind: width, stride: 8}}}
  - {name: own protocol and seeds, protocol: {kind: digits-quick, epochs: 1}, seeds: [3, 2]}
"""
    )
    assert compressors(study) == [
        {"conv2": {"kind": "spatial", "stride": 2}},
        {"conv2": {"kind": "topk", "stride": 4}},
        {},
        {"conv2": {"kind": "width", "stride": 8}},
        {"conv2": {"kind": "spatial", "stride": 2}},
    ]
    assert [item.trial.config["protocol"]["epochs"] for item in study.trials] == [5, 5, 5, 5, 1]
    assert [item.seeds for item in study.trials] == [(0,)] * 4 + [(3, 2)]


def test_shorthand_of_an_entry_replaces_compressors_of_the_defaults(load, head):
    study = load(
        head
        + """\
compressors: {conv2: {kind: width, stride: 8}}
trials:
  - name: as the defaults
  - {name: own, at: conv2, compressor: {kind: topk, stride: 4}}
"""
    )
    assert compressors(study) == [{"conv2": {"kind": "width", "stride": 8}}, {"conv2": {"kind": "topk", "stride": 4}}]


def test_a_trial_that_two_entries_give_stands_once_with_the_seeds_of_both(load, head):
    study = load(
        head
        + """\
trials:
  - {name: A, at: conv2, compressor: {kind: spatial, stride: 2}}
  - {name: B}
  - {name: C, at: conv2, compressor: {kind: spatial, stride: 2, reduce: max}, seeds: [7, 0]}
"""
    )
    assert names(study) == ["A", "B"]
    assert [item.position for item in study.trials] == [0, 1]
    assert [item.seeds for item in study.trials] == [(0, 7), (0,)]


def test_the_name_of_a_trial_given_twice_is_not_free_for_another(refusal, head):
    text = f"{head}trials:\n  - name: A\n  - name: B\n  - {{name: B, protocol: {{kind: digits-quick, epochs: 1}}}}\n"
    assert refusal(text).startswith("s.yml:10: two trials would both be named 'B'")


def test_execution_and_description(load, head, one):
    study = load(f"{head}description: Why.\nexecution: {{threads: 2, checkpoint_every_s: 5}}\n{one}")
    assert study.description == "Why."
    assert (study.execution.threads, study.execution.checkpoint_every_s, study.execution.deterministic) == (2, 5, True)
    assert load(head + one).execution.threads is None


@pytest.mark.parametrize(
    ("name", "rendered"),
    [
        ("plain", "plain"),
        ("{reduction}", "50%"),
        ("{compressor.stride} {compressor.kind} {compressor}", "2 spatial spatial"),
        ("{compressors.conv2.stride} {compressors.conv2}", "2 spatial"),
        ("{task}, {dataset}, {model}, {protocol}", "classification, digits, mnist_cnn, digits-quick"),
        ("{{not a word}} {reduction}", "{not a word} 50%"),
    ],
)
def test_names(load, head, one, name, rendered):
    assert names(load(head + one.replace("name: A", f"name: '{name}'"))) == [rendered]


@pytest.mark.parametrize(("stride", "text"), [(2, "50%"), (4, "75%"), (8, "88%"), (16, "94%"), (32, "97%")])
def test_reduction_is_one_minus_one_over_stride(load, head, one, stride, text):
    text_of_study = head + one.replace("name: A", "name: '{reduction}'").replace("stride: 2", f"stride: {stride}")
    assert names(load(text_of_study)) == [text]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("{foo}", "'{foo}' in the name is nothing that this trial sets"),
        ("{}", "'{}' in the name is nothing that this trial sets"),
        ("{protocol.epochs}", "'{protocol.epochs}' in the name is nothing that this trial sets"),
        ("{compressor.largest}", "'{compressor.largest}' in the name needs compressors that share one largest"),
        ("{", "the name '{' is no template: Single '{' encountered in format string"),
        (
            "{compressor.stride:03d}",
            "the name '{compressor.stride:03d}' holds a format: write words in braces, as {reduction}",
        ),
    ],
)
def test_names_that_cannot_be_made(refusal, head, one, name, message):
    assert refusal(head + one.replace("name: A", f"name: '{name}'")) == f"s.yml:8: {message}"


def test_reduction_needs_one_stride(refusal, head, two_sites):
    assert refusal(f"{head}trials:\n  - name: '{{reduction}}'\n") == (
        "s.yml:8: '{reduction}' in the name needs compressors that share one stride"
    )
    both = "{conv1: {kind: spatial, stride: 2}, conv2: {kind: spatial, stride: 4}}"
    assert refusal(f"{head}trials:\n  - name: '{{reduction}}'\n    compressors: {both}\n") == (
        "s.yml:8: '{reduction}' in the name needs compressors that share one stride"
    )


@pytest.mark.parametrize("more", ["  - {name: A}\n", "    grid: {compressor.stride: [2, 4]}\n"], ids=["entry", "grid"])
def test_names_must_be_unique(refusal, head, one, more):
    line = 11 if "name" in more else 8
    assert refusal(head + one + more) == (
        f"s.yml:{line}: two trials would both be named 'A': put what differs into the name, e.g. {{compressor.stride}}"
    )


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ("[]", "'seeds' must not be empty"),
        ("3", "'seeds' must be a list, not 3"),
        ("[-1]", "an item of 'seeds' must be greater than or equal to 0, not -1"),
        ("[0.0]", "an item of 'seeds' must be a whole number, not 0.0"),
        ("[true]", "an item of 'seeds' must be a whole number, not True"),
        ("[4294967296]", "an item of 'seeds' must be less than 4294967296, not 4294967296"),
        ("[1, 1]", "a seed occurs twice in [1, 1]"),
    ],
)
def test_seeds_are_checked(refusal, head, one, seeds, message):
    assert refusal(head.replace("[0]", seeds) + one) == f"s.yml:6: {message}"
    assert refusal(f"{head}{one}    seeds: {seeds}\n") == f"s.yml:11: {message}"


def test_seeds_are_needed_and_may_be_large(refusal, load, head, one):
    message = refusal(head.replace("seeds: [0]\n", "") + one)
    assert message == "s.yml:7: 'seeds' is missing: a list of whole numbers from 0"
    assert load(head.replace("[0]", "[4294967295]") + one).trials[0].seeds == (2**32 - 1,)
