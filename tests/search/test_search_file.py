"""Search files: what they mean, and one line with file and line for what is wrong."""

from pathlib import Path

import pytest

from harness.base.errors import SpecError
from harness.search.file import load_search
from harness.search.space import words
from harness.study.grid import Override
from harness.trial.resolve import resolve_trial

FILE = """\
search: small
task: classification
dataset: digits
model: mnist_cnn
protocol: {kind: digits-quick, train_on: without_validation}
seeds: [0]
sites: [conv2]
compressor: {kind: spatial}
strides: [2, 4]
"""


@pytest.fixture
def load(tmp_path):
    def load(text=FILE, *settings):
        path = tmp_path / "small.yml"
        path.write_text(text)
        return load_search(path, [Override.parse(setting) for setting in settings])

    return load


def test_defaults(load):
    search = load()
    assert (search.sampler, search.sampler_seed, search.prunes) == ("tpe", 0, False)
    assert (search.objectives, search.cost) == (("accuracy", "parameters"), "parameters")
    assert (search.front_name, search.front_seeds) == ("small-front", (0, 1, 2))
    assert load(FILE.replace("sites: [conv2]\n", "")).space == search.space


def test_the_space_is_nothing_or_a_stride_at_each_site(load):
    space = load().space
    assert (space.choices, space.size) == ({"conv2": [None, 2, 4]}, 3)
    assert space.trial(()).config["compressors"] == {}
    placed = space.placement({"conv2": 4})
    assert space.trial(placed).config["compressors"] == {"conv2": {"kind": "spatial", "stride": 4}}
    assert (words(placed), words(())) == ("conv2 s=4", "none")


def test_a_stride_that_does_not_divide_a_sites_channels_is_no_choice_there(load):
    assert load(FILE, "strides=[2, 3, 64]").space.choices == {"conv2": [None, 2]}
    large = ["dataset=cifar10", "model={kind: vgg16, width: 0.25}", "protocol.kind=cifar-fast", "sites=[conv4, conv1]"]
    space = load(FILE, *large, "strides=[2, 32, 5]").space
    assert space.choices == {"conv4": [None, 2, 32], "conv1": [None, 2]}
    assert space.size == 6
    assert words(space.placement({"conv1": 2, "conv4": 32})) == "conv4 s=32, conv1 s=2"


def test_a_trial_of_the_space_is_found_by_its_configuration(load):
    space = load().space
    for placement in [(), (("conv2", 2),), (("conv2", 4),)]:
        trial = space.trial(placement)
        assert space.find(trial.key, trial.config) == placement


@pytest.mark.parametrize(
    "change",
    [
        {"compressors": {"conv2": {"kind": "spatial", "stride": 8}}},
        {"compressors": {"conv2": {"kind": "topk", "stride": 2}}},
        {"compressors": {"conv2": {"kind": "spatial", "stride": 2, "reduce": "min"}}},
        {"protocol": {"kind": "digits-quick", "epochs": 7, "train_on": "without_validation"}},
        {"protocol": "digits-quick"},
    ],
)
def test_a_trial_that_is_not_of_the_space_is_not_found(load, change):
    space = load().space
    trial = resolve_trial(**{**space.parts, "compressors": {}, **change})
    assert space.find(trial.key, trial.config) is None


BAD = {
    "test data": ("train_on: without_validation", "train_on: all", 5, "protocol.train_on: without_validation"),
    "train_on by default": (", train_on: without_validation", "", 5, "protocol.train_on: without_validation"),
    "a misspelt key": ("strides:", "stride:", 9, "unknown key 'stride'; did you mean 'strides'?"),
    "an unknown site": ("[conv2]", "[conv2, conv7]", 7, "unknown site 'conv7' of 'mnist_cnn'"),
    "a site twice": ("[conv2]", "[conv2, conv2]", 7, "nothing occurs twice"),
    "a seed twice": ("[0]", "[0, 0]", 6, "nothing occurs twice"),
    "an unknown compressor": ("spatial", "spacial", 8, "unknown compressor 'spacial'; did you mean 'spatial'?"),
    "an option that there is not": ("{kind: spatial}", "{kind: spatial, k: 1}", 8, "unknown key 'k'"),
    "a stride of its own": ("{kind: spatial}", "{kind: spatial, stride: 2}", 8, "write strides: [2, 4]"),
    "strides that do not fit": ("[2, 4]", "[3, 5]", 9, "none of the strides [3, 5] divides"),
    "a stride of 1": ("[2, 4]", "[1, 2]", 9, "an item of 'strides' must be greater than or equal to 2"),
    "no accuracy": ("[2, 4]", "[2, 4]\nobjectives: [macs]", 10, "accuracy, alone or followed by parameters or macs"),
    "two costs": ("[2, 4]", "[2, 4]\nobjectives: [accuracy, macs, parameters]", 10, "accuracy, alone or followed"),
    "pruning with two": ("[2, 4]", "[2, 4]\npruner: median", 10, "write objectives: [accuracy]"),
    "an unknown sampler": ("[2, 4]", "[2, 4]\nsampler: grid", 10, "'tpe', 'nsga2' or 'brute'"),
    "its own name": ("[2, 4]", "[2, 4]\nstudy: small", 10, "needs another name than the search"),
    "a name with a space": ("search: small", "search: very small", 1, "must match"),
    "an unknown model": ("mnist_cnn", "mnist_cn", 4, "unknown model 'mnist_cn'; did you mean 'mnist_cnn'?"),
    "data that do not fit": ("dataset: digits", "dataset: cifar10", 3, "takes 1×28×28 images"),
    "a list as task": ("task: classification", "task: {kind: [1]}", 3, "unknown key 'dataset'"),
    "no dataset": ("dataset: digits\n", "", 1, "'dataset' is missing"),
}


@pytest.mark.parametrize("fault", BAD)
def test_what_is_wrong_is_said_in_one_line_with_its_place(load, tmp_path, fault):
    before, after, line, said = BAD[fault]
    assert FILE.count(before) >= 1
    with pytest.raises(SpecError) as caught:
        load(FILE.replace(before, after, 1) if fault != "a seed twice" else FILE.replace("seeds: [0]", "seeds: [0, 0]"))
    assert str(caught.value).startswith(f"{tmp_path / 'small.yml'}:{line}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("protocol.train_on=all", "--set protocol.train_on: a search chooses, so it must not meet the test set"),
        ("protocol.epoch=2", "--set protocol.epoch: unknown key 'epoch'"),
        ("strides=[3]", "--set strides: none of the strides"),
        ("objectives=[macs]", "--objectives: 'objectives' must be accuracy, alone"),
        ("at=conv2", "--set at: 'at' leads nowhere"),
        ("seeds.first=1", "--set seeds.first: 'seeds.first' leads nowhere: 'seeds' has no options"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_said_to_be_there(load, setting, said):
    with pytest.raises(SpecError) as caught:
        load(FILE, setting)
    assert str(caught.value).startswith(said)


def test_values_from_the_command_line_are_put_in(load):
    search = load(FILE, "protocol.epochs=7", "protocol.optimizer.learning_rate=0.5", "compressor=topk", "seeds=[4, 5]")
    config = search.space.trial((("conv2", 2),)).config
    assert (config["protocol"]["epochs"], config["protocol"]["optimizer"]["learning_rate"]) == (7, 0.5)
    assert config["compressors"]["conv2"]["kind"] == "topk"
    assert search.seeds == (4, 5)
    assert search.spec_yaml == FILE


def test_width_is_searched_as_any_other_kind(load):
    assert load(FILE, "compressor=width").space.size == 3


def test_the_search_of_the_repository_is_one(study_file):
    search = load_search(study_file("cifar-search"))
    assert search.space.size == 3**5
    assert Path(search.file).name == "cifar-search.yml"
