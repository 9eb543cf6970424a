"""The front, its figure and its study."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.base.errors import HarnessError
from harness.search.front import ScoredPlacement, front, write_front
from harness.search.plot import plot_front
from harness.search.space import words
from harness.study.study import load_study

BOTH = ("accuracy", "parameters")


def candidate(number, accuracy, parameters, **fields):
    return ScoredPlacement(
        placement=(("conv2", 2 * number + 2),),
        key=f"key{number}",
        words=words((("conv2", 2 * number + 2),)),
        mean=accuracy,
        values={0: accuracy},
        costs={"parameters": float(parameters), "macs": 1000.0 - parameters},
        attempts=(f"uid{number}",),
        **fields,
    )


points = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12)


@given(points)
def test_the_front_is_what_no_other_beats(found):
    made = [candidate(i, a / 5, p) for i, (a, p) in enumerate(found)]
    chosen = {c.key for c in front(made, BOTH)}
    for c in made:
        beaten = any(
            o.mean >= c.mean
            and o.costs["parameters"] <= c.costs["parameters"]
            and (o.mean, o.costs["parameters"]) != (c.mean, c.costs["parameters"])
            for o in made
        )
        assert (c.key in chosen) == (not beaten)


@given(points)
def test_the_front_rises(found):
    chosen = front([candidate(i, a / 5, p) for i, (a, p) in enumerate(found)], BOTH)
    for one, next_one in itertools.pairwise(chosen):
        assert one.costs["parameters"] <= next_one.costs["parameters"]
        assert one.mean <= next_one.mean


def test_the_second_objective_is_the_one_that_counts():
    made = [candidate(0, 0.5, 100), candidate(1, 0.6, 200)]
    assert front(made, BOTH) == made
    assert front(made, ("accuracy", "macs")) == [made[1]]


def test_with_accuracy_alone_the_best_and_of_equals_the_smallest():
    made = [candidate(0, 0.5, 100), candidate(1, 0.6, 300), candidate(2, 0.6, 200)]
    assert front(made, ("accuracy",)) == [made[2]]
    assert front([], ("accuracy",)) == []


@pytest.fixture
def searched(desk):
    return desk.search("strides=[2, 4, 8]", "compressor={kind: spatial, reduce: min}", "execution.threads=2")


@pytest.fixture
def found():
    return [
        ScoredPlacement(
            (), "none", "k0", 0.9, {0: 0.9}, {"parameters": 900.0, "macs": 9.0}, ("u0",), confirmed={5: 0.8, 6: 0.9}
        ),
        ScoredPlacement((("conv2", 4),), "conv2 s=4", "k1", 0.8, {0: 0.8}, {"parameters": 300.0, "macs": 3.0}, ("u1",)),
        ScoredPlacement((("conv2", 2),), "conv2 s=2", "k2", 0.7, {0: 0.7}, {"parameters": 500.0, "macs": 5.0}, ("u2",)),
    ]


def test_the_figure_is_the_same_bytes_each_time_and_shows_the_front(searched, found, tmp_path):
    for name in ("one.svg", "two.svg"):
        plot_front(tmp_path / name, searched, found, front(found, BOTH))
    text = (tmp_path / "one.svg").read_text()
    assert (tmp_path / "two.svg").read_text() == text
    assert text.startswith("<?xml")
    assert "<!-- 1  conv2 s=4 -->" in text
    assert "conv2 s=2" not in text
    assert "<!-- confirmed -->" in text
    plot_front(tmp_path / "other.svg", searched, found[:2], front(found, BOTH))
    assert (tmp_path / "other.svg").read_text() != text


def test_the_figure_takes_no_settings_from_outside(searched, found, tmp_path):
    import matplotlib as mpl

    plot_front(tmp_path / "one.svg", searched, found, found[:2])
    with mpl.rc_context({"lines.linewidth": 7, "svg.fonttype": "none"}):
        plot_front(tmp_path / "two.svg", searched, found, found[:2])
        assert mpl.rcParams["lines.linewidth"] == 7
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_the_study_of_the_front_is_one_that_runs_as_it_stands(searched, found, tmp_path):
    path = tmp_path / "front.yml"
    write_front(path, searched, front(found, BOTH), members=7)
    study = load_study(path)
    assert (study.name, study.execution.threads) == ("small-front", 2)
    assert [item.name for item in study.trials] == ["conv2 s=4", "none"]
    for item in study.trials:
        assert item.seeds == (0, 1, 2)
        assert item.trial.trains_on_all
        assert [e.split for e in item.trial.evaluations] == ["test"]
    assert study.trials[0].trial.config["compressors"] == {"conv2": {"kind": "spatial", "stride": 4, "reduce": "min"}}
    text = path.read_text()
    assert "'small'" in text
    assert (
        "7 placements, sampler tpe, objectives accuracy, parameters; accuracy on the validation split, seeds 0" in text
    )
    assert "# trial k1, attempts u1; seed 0: 0.8000" in text
    assert "u2" not in text


def test_a_file_of_ones_own_is_not_replaced(desk, searched, found):
    mine = desk.folder / "small-front.yml"
    mine.write_text("study: mine\n")
    with pytest.raises(HarnessError, match=r"small-front\.yml is there and no front of a search: move it"):
        desk.run()
    assert (mine.read_text(), desk.executor.requests, desk.db.exists()) == ("study: mine\n", [], False)
    assert desk.run(out=desk.folder / "out", trials=1).study_file == desk.folder / "out" / mine.name
    write_front(mine, searched, found[:1], members=1)
    assert desk.run(trials=1).study_file == mine


def test_the_study_differs_from_the_search_in_what_it_trains_on_alone(desk, found, tmp_path):
    search = desk.search("protocol.optimizer.learning_rate=0.02", "study=mine", "study_seeds=[7]")
    write_front(tmp_path / "mine.yml", search, found[:1], members=1)
    study = load_study(tmp_path / "mine.yml")
    (item,) = study.trials
    assert (study.name, item.seeds) == ("mine", (7,))
    searched, reported = search.space.trial(()).config["protocol"], dict(item.trial.config["protocol"])
    assert reported.pop("train_on") == "all"
    assert {**searched, "train_on": "all"} == {**reported, "train_on": "all"}
    assert searched["optimizer"]["learning_rate"] == 0.02
