"""Sites of a foreign network that can each have a compressor, but not together: a search goes round them and ends."""

import itertools

import pytest

from harness.base.checks import FieldError
from harness.study.study import load_study

NETWORK = """
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(1, 12, 3), nn.BatchNorm2d(12)
        self.last, self.head = nn.Conv2d(12, 4, 3), nn.Linear(4, num_classes)

    def forward(self, x):
        return self.head(self.last(self.bn(self.conv(x)).relu()).mean((2, 3)))
"""
OWN = ["model=refused_net.py:Net", "sites=[conv, bn]", "strides=[2, 6]"]
POINTS = list(itertools.product([None, 2, 6], repeat=2))


@pytest.fixture
def refusals(desk, tmp_path, monkeypatch):
    """Return the choices that the network refuses together."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (desk.folder / "refused_net.py").write_text(NETWORK)
    space, found = desk.search(*OWN).space, []
    for conv, bn in POINTS:
        try:
            space.trial(space.placement({"conv": conv, "bn": bn}))
        except FieldError:
            found.append((conv, bn))
    return found


def test_brute_force_passes_over_what_cannot_stand_together(desk, refusals):
    assert 0 < len(refusals) < len(POINTS)
    expected = {"value": len(POINTS) - len(refusals), "refused": len(refusals)}
    for _ in range(2):  # the same command once more has nothing to run
        result = desk.run(*OWN, "sampler=brute")
        assert (result.stopped, result.counts) == ("exhausted", expected)
        assert len(desk.executor.requests) == expected["value"]


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_other_samplers_go_on_to_their_budget(desk, refusals, sampler):
    result = desk.run(*OWN, f"sampler={sampler}", trials=5)
    assert (result.stopped, result.counts["value"], len(desk.executor.requests)) == ("budget", 5, 5)
    assert result.counts["refused"] > 0


def test_a_sampler_that_finds_nothing_else_ends(desk, refusals, monkeypatch):
    tried = iter(range(1000))

    def refuse(self, placement):
        self.ledger.refused.add((placement, next(tried)))
        return False

    monkeypatch.setattr("harness.search.feed.SearchFeed._can_be", refuse)
    monkeypatch.setattr("harness.search.space.Space.size", 10**9)
    result = desk.run(*OWN, trials=2)
    assert (result.stopped, next(tried), desk.executor.requests) == ("refused", 100, [])


def test_another_mistake_is_told(desk, refusals):
    def edit(_):
        desk.folder.joinpath("refused_net.py").write_text("def")
        return 0.5

    desk.executor.fate = edit
    with pytest.raises(FieldError, match="cannot import 'refused_net': SyntaxError"):
        desk.run(*OWN, trials=9)


def test_trials_of_another_network_are_none_of_the_space(desk, refusals):
    space = desk.search(*OWN).space
    other = {
        "compressors": {site: dict(space.trial(((site, 2),)).config["compressors"][site]) for site in space.strides}
    }
    assert (2, 2) in refusals
    assert space.find("another key", other) is None


def test_the_study_of_the_front_finds_the_network(desk, refusals):
    result = desk.run(*OWN, trials=2)
    study = load_study(result.study_file)
    assert {item.trial.config["model"]["kind"] for item in study.trials} == {"refused_net.py:Net"}
