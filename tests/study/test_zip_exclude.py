"""What multiplies within an entry: lists that advance together, products, and points that are left out."""

import itertools
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.base.errors import HarnessError
from harness.study.grid import points

CIFAR = """\
study: s
task: classification
dataset: cifar10
model: vgg16
protocol: cifar-paper
seeds: [0]
"""
PLACED = """\
trials:
  - name: "{at}; {model}; {reduction}"
    compressor: {kind: spatial}
"""
NOT_3 = "stride 3 does not divide the 32 channels at 'conv2'; possible: 2, 4, 8, 16, 32"


def names(study):
    return [item.name for item in study.trials]


# ---- zip -----------------------------------------------------------------------------------------------------------


def test_a_zip_advances_together(load, head, one):
    text = head + one.replace("name: A", "name: '{compressor.kind} {compressor.stride} {protocol.epochs}'")
    zipped = (
        "    zip: {compressor.kind: [topk, width, spatial], compressor.stride: [8, 4, 2], protocol.epochs: [1, 2, 2]}\n"
    )
    assert names(load(text + zipped)) == ["topk 8 1", "width 4 2", "spatial 2 2"]


def test_a_zip_is_slower_than_the_grid(load, head, one):
    text = head + one.replace("name: A", "name: '{compressor.stride} {protocol.epochs} {compressor.kind}'")
    grid = "    grid: {compressor.kind: [spatial, topk]}\n"
    zipped = "    zip: {compressor.stride: [8, 2], protocol.epochs: [2, 1]}\n"
    expected = ["8 2 spatial", "8 2 topk", "2 1 spatial", "2 1 topk"]
    assert names(load(text + grid + zipped)) == names(load(text + zipped + grid)) == expected


def test_a_path_reaches_into_a_part_of_the_same_point(load, head, one):
    text = head + one.replace("name: A", "name: '{compressor} {compressor.stride}'")
    for part, option in (("grid", "zip"), ("zip", "grid"), ("grid", "grid")):
        lists = {part: "compressor: [{kind: spatial}, topk]", option: "compressor.stride: [2, 4]"}
        if part == option:
            lists = {"grid": "compressor.stride: [2, 4], compressor: [{kind: spatial}, topk]"}
        study = load(text + "".join(f"    {key}: {{{value}}}\n" for key, value in lists.items()))
        assert sorted(names(study)) == ["spatial 2", "spatial 4", "topk 2", "topk 4"]


@pytest.mark.parametrize(
    ("lines", "line", "message"),
    [
        (
            ["zip:", "  compressor.stride: [2, 4]", "  protocol.epochs: [1, 2, 3]"],
            13,
            "the lists of 'zip' must be of one length: 'compressor.stride' has 2, 'protocol.epochs' 3",
        ),
        (
            ["grid: {compressor.stride: [2]}", "zip: {compressor.stride: [4]}"],
            12,
            "'compressor.stride' is in 'grid' and in 'zip': leave it out of one",
        ),
        (["zip: {}"], 11, "'zip' must not be empty"),
        (["zip: {compressor.stride: []}"], 11, "'zip.compressor.stride' must not be empty"),
        (["zip: {compressor.stride: 2}"], 11, "'zip.compressor.stride' must be a list, not 2"),
        (["zip: [2]"], 11, "'zip' must be a mapping, not [2]"),
        (["zip:", "  compresor.stride: [2]"], 12, "'compresor.stride' leads nowhere; did you mean 'compressor'?"),
        (
            ["zip:", "  protocol.epochs: [1, 2]", "  compressor.stride:", "    - 2", "    - 3"],
            15,
            f"{NOT_3} (trial '3 digits-quick', which --skip-invalid skips)",
        ),
        (["zip:", "  protocol.epochs:", "    - 1", "    - two"], 14, "'epochs' must be a whole number, not 'two'"),
        (
            ["zip: {evaluate: [[digits]]}"],
            11,
            (
                "'evaluate' leads nowhere; "
                "known: arguments, at, command, compressor, compressors, dataset, inputs, model, protocol, seeds, "
                "target, task"
            ),
        ),
    ],
)
def test_zips_that_cannot_be(refusal, head, one, lines, line, message):
    text = head + one.replace("name: A", "name: '{compressor.stride} {protocol}'")
    assert refusal(text + "".join(f"    {each}\n" for each in lines)) == f"s.yml:{line}: {message}"


def test_a_value_that_stands_twice_in_a_list_is_blamed_by_its_own_line(refusal, head, one):
    """1 and true are equal in Python, and not the same in a list."""
    lines = ["grid:", "  protocol.epochs:", "    - 1", "    - true"]
    text = head + one.replace("name: A", "name: '{protocol.epochs}'") + "".join(f"    {each}\n" for each in lines)
    assert refusal(text) == "s.yml:14: 'epochs' must be a whole number, not True"


# ---- exclude -------------------------------------------------------------------------------------------------------


def test_points_that_fulfil_all_of_a_condition_are_left_out(load):
    text = CIFAR + PLACED + "    grid: {at: [conv4, conv5, [conv4, conv5]], compressor.stride: [2, 4]}\n"
    text = text.replace("; {model}", "")
    everything = names(load(text))
    assert everything == [f"{at}; {cut}" for at in ("conv4", "conv5", "conv4, conv5") for cut in ("50%", "75%")]
    for exclude, gone in (
        ("{at: conv4, compressor.stride: 4}", ["conv4; 75%"]),
        ("{at: [conv4, conv5], compressor.stride: 2}", [f"{at}; 50%" for at in ("conv4", "conv5", "conv4, conv5")]),
        ("{at: [[conv4, conv5]], compressor.stride: 2}", ["conv4, conv5; 50%"]),
        ("{compressor.stride: 2.0}", [name for name in everything if "50%" in name]),
        ("{compressor.stride: [2, 8]}", [name for name in everything if "50%" in name]),
        ("{compressors.conv5.stride: 4}", ["conv5; 75%", "conv4, conv5; 75%"]),
        ("{at: conv4}, {at: conv5, compressor.stride: 4}", ["conv4; 50%", "conv4; 75%", "conv5; 75%"]),
    ):
        study = load(f"{text}    exclude: [{exclude}]\n")
        assert names(study) == [name for name in everything if name not in gone], exclude
        assert [item.position for item in study.trials] == list(range(len(study.trials)))


def test_a_list_of_sites_that_the_grid_has_compares_as_a_list(load):
    text = CIFAR + PLACED.replace("; {model}; {reduction}", "").replace("kind: spatial", "kind: spatial, stride: 2")
    text += "    grid: {at: [[conv4, conv5], [conv4]]}\n"
    assert names(load(f"{text}    exclude: [{{at: [conv4, conv5]}}]\n")) == ["conv4"]
    assert names(load(f"{text}    exclude: [{{at: [conv4]}}]\n")) == ["conv4, conv5"]


def test_conditions_reach_values_that_are_not_in_the_grid(load, head, one):
    text = head.replace("digits-quick", "{kind: digits-quick, epochs: 3, optimizer: {learning_rate: 0.5}}")
    text += one.replace("name: A", "name: '{compressor.stride}'") + "    grid: {compressor.stride: [2, 4]}\n"
    for path, value in (
        ("protocol.epochs", "3"),
        ("protocol.optimizer.learning_rate", "[0.1, 5e-1]"),
        ("protocol", "digits-quick"),
        ("dataset", "[mnist, digits]"),
        ("model", "{kind: mnist_cnn}"),
        ("compressor.kind", "spatial"),
        ("compressors.conv2", "spatial"),
        ("at", "conv2"),
        ("seeds", "[0]"),
    ):
        exclude = f"    exclude: [{{{path}: {value}, compressor.stride: 4}}]\n"
        assert names(load(text + exclude)) == ["2"], path


def test_a_point_that_could_not_be_may_be_left_out(load, refusal):
    text = CIFAR + PLACED.replace("{model}", "{model.width}")
    text += "    grid: {at: [conv1, conv2], compressor.stride: [2, 64], model.width: [1.0, 0.5]}\n"
    assert "does not divide the 32 channels at 'conv1'" in refusal(text)
    study = load(f"{text}    exclude: [{{at: conv1, model.width: 0.5, compressor.stride: 64}}]\n")
    assert len(study.trials) == 7
    assert "conv1; 0.5; 98%" not in names(study)


def test_a_condition_holds_at_every_site(load):
    sites = "compressors: {conv4: {kind: spatial, stride: 2}, conv5: {kind: topk}}"
    text = f"{CIFAR}trials:\n  - name: '{{compressors.conv5.stride}}'\n    {sites}\n"
    text += "    grid: {compressors.conv5.stride: [2, 4]}\n"
    assert names(load(f"{text}    exclude: [{{compressor.stride: 2}}]\n")) == ["4"]


def test_what_the_command_line_sets_comes_after(load, head, one):
    text = head + one.replace("name: A", "name: '{compressor.kind} {compressor.stride}'")
    text += "    grid: {compressor.kind: [spatial, topk], compressor.stride: [2, 4]}\n"
    text += "    exclude: [{compressor.kind: topk, compressor.stride: 4}]\n"
    assert names(load(text, ["compressor.stride=8"])) == ["spatial 8", "topk 8"]
    assert names(load(text, ["protocol.epochs=1"])) == ["spatial 2", "spatial 4", "topk 2"]


@pytest.mark.parametrize(
    ("lines", "line", "message"),
    [
        (["exclude: [{at: conv2}]"], 11, "'exclude' can only be used together with 'grid' or 'zip'"),
        (
            ["grid: G", "exclude:", "  - {compressor.stride: 8}"],
            13,
            "this condition excludes nothing: no point fulfils all of it",
        ),
        (
            ["grid: G", "exclude:", "  - {compressor.stride: 2}", "  - {compressor.stride: 4, protocol.epochs: 2}"],
            14,
            "this condition excludes nothing: no point fulfils all of it",
        ),
        (
            ["grid: G", "exclude: [{protocol.epochs: true}]"],
            12,
            "this condition excludes nothing: no point fulfils all of it",
        ),
        (
            ["grid: G", "exclude: [{compressor.stride: '2'}]"],
            12,
            "this condition excludes nothing: no point fulfils all of it",
        ),
        (
            ["grid: G", "exclude: [{compressor.stride: []}]"],
            12,
            "this condition excludes nothing: no point fulfils all of it",
        ),
        (
            ["grid: G", "exclude:", "  - {compressor.stride: 2}", "  - {compressor.stride: 4}"],
            12,
            "nothing is left of this entry: every point is excluded",
        ),
        (
            ["grid: G", "exclude:", "  - compressor.stride: 4", "    compressor.strid: 4"],
            14,
            "'compressor.strid' leads nowhere: nothing in this entry sets it; did you mean 'stride'?",
        ),
        (
            ["grid: G", "exclude: [{protocol.precision: fp32}]"],
            12,
            "'protocol.precision' leads nowhere: nothing in this entry sets it; known: epochs, kind",
        ),
        (
            ["grid: G", "exclude: [{compresor.stride: 4}]"],
            12,
            "'compresor.stride' leads nowhere; did you mean 'compressor'?",
        ),
        (
            ["grid: G", "exclude: [{name: A}]"],
            12,
            (
                "'name' leads nowhere; "
                "known: arguments, at, command, compressor, compressors, dataset, inputs, model, protocol, seeds, "
                "target, task"
            ),
        ),
        (["grid: G", "exclude: []"], 12, "'exclude' must not be empty"),
        (["grid: G", "exclude: [{}]"], 12, "an item of 'exclude' must not be empty"),
        (["grid: G", "exclude: {at: conv2}"], 12, "'exclude' must be a list, not {'at': 'conv2'}"),
        (["grid: G", "exclude: [conv2]"], 12, "an item of 'exclude' must be a mapping, not 'conv2'"),
        (
            ["grid: {compresor.stride: [2]}", "exclude: [{at: conv2}]"],
            11,
            "'compresor.stride' leads nowhere; did you mean 'compressor'?",
        ),
    ],
)
def test_exclusions_that_cannot_be(refusal, head, one, lines, line, message):
    grid = "{compressor.stride: [2, 4], protocol.epochs: [1]}"
    text = head + one.replace("name: A", "name: '{compressor.stride}'")
    text += "".join(f"    {each}\n" for each in lines).replace("grid: G", f"grid: {grid}")
    assert refusal(text) == f"s.yml:{line}: {message}"


# ---- all together, against the plain way ---------------------------------------------------------------------------

VALUES = {
    "compressor.stride": [2, 4, 8, 16],
    "compressor.kind": ["spatial", "topk", "width", "conv1x1"],
    "protocol.epochs": [1, 2, 3, 4],
    "protocol.batch_size": [10, 20, 30, 40],
}
WRITTEN = {"compressor.stride": 2, "compressor.kind": "spatial", "protocol.epochs": 1, "protocol.batch_size": 10}


@st.composite
def entries(draw):
    """Draw (zip, grid, exclude) over the four paths, each list without a value twice."""
    paths = draw(st.permutations(sorted(VALUES)))
    cut, end = draw(st.tuples(st.integers(0, 3), st.integers(1, 4)).filter(lambda both: both[0] <= both[1]))
    length = draw(st.integers(1, 3))
    zipped = {p: draw(st.permutations(VALUES[p]))[:length] for p in paths[:cut]}
    grid = {p: draw(st.lists(st.sampled_from(VALUES[p]), min_size=1, max_size=3, unique=True)) for p in paths[cut:end]}
    wanted = {
        p: st.sampled_from(values) | st.lists(st.sampled_from(values), max_size=3) for p, values in VALUES.items()
    }
    condition = st.dictionaries(st.sampled_from(sorted(VALUES)), st.none(), min_size=1, max_size=2).flatmap(
        lambda chosen: st.fixed_dictionaries({path: wanted[path] for path in chosen})
    )
    return zipped, grid, draw(st.lists(condition, max_size=2))


def plainly(zipped, grid, exclude):
    """Return the points that are left, as tuples in the order of VALUES, or a word of the refusal."""
    found = []
    for step in range(len(next(iter(zipped.values()))) if zipped else 1):
        for values in itertools.product(*grid.values()):
            advanced = {path: items[step] for path, items in zipped.items()}
            found.append({**WRITTEN, **advanced, **dict(zip(grid, values, strict=True))})
    out = []
    for condition in exclude:
        either = {path: wanted if isinstance(wanted, list) else [wanted] for path, wanted in condition.items()}
        hits = [point for point in found if all(point[path] in values for path, values in either.items())]
        if not hits:
            return "excludes nothing"
        out += hits
    kept = [tuple(point[path] for path in VALUES) for point in found if point not in out]
    return kept or "nothing is left"


@given(entries())
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_zip_grid_and_exclude_are_what_they_say(load, drawn):
    zipped, grid, exclude = drawn
    entry = {
        "name": " ".join(f"{{{path}}}" for path in VALUES),
        "at": "conv2",
        "compressor": {"kind": "spatial", "stride": 2},
        **{key: value for key, value in (("zip", zipped), ("grid", grid), ("exclude", exclude)) if value},
    }
    study = {
        "study": "s",
        "task": "classification",
        "dataset": "digits",
        "model": "mnist_cnn",
        "protocol": {"kind": "digits-quick", "epochs": 1, "batch_size": 10},
        "seeds": [0],
        "trials": [entry],
    }
    expected = plainly(zipped, grid, exclude)
    if isinstance(expected, str):
        with pytest.raises(HarnessError, match=expected):
            load(json.dumps(study))
    else:
        made = [item.name for item in load(json.dumps(study)).trials]
        assert made == [" ".join(str(value) for value in point) for point in expected]


@given(st.integers(1, 4), st.lists(st.lists(st.integers(), min_size=1, max_size=3), max_size=3), st.integers(1, 3))
def test_the_order_of_points(length, values, zips):
    zipped = {f"protocol.z{i}": [10 * i + step for step in range(length)] for i in range(zips)}
    grid = {f"protocol.g{i}": items for i, items in enumerate(values)}
    expected = [
        {**{path: items[step] for path, items in zipped.items()}, **dict(zip(grid, product, strict=True))}
        for step in range(length)
        for product in itertools.product(*values)
    ]
    assert list(points(grid, zipped)) == expected
