"""What Optuna is asked and told: replays that its samplers see, and pruning, without any store or run."""

import itertools

import optuna
import pytest

from harness.search.proposals import Proposals

CHOICES = {"a": [None, 2, 4], "b": [None, 2, 4]}
ALL = [dict(zip(CHOICES, values, strict=True)) for values in itertools.product(*CHOICES.values())]


def proposals(sampler="tpe", *, objectives=2, seed=(0, 0), population=4, **fields):
    directions = ("maximize", "minimize")[:objectives]
    return Proposals(CHOICES, directions=directions, sampler=sampler, seed=seed, population=population, **fields)


def trials_of(made):
    return made._study.get_trials(deepcopy=False)


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "brute"])
def test_what_we_name_is_what_is_asked_for(sampler):
    made = proposals(sampler)
    for chosen in ALL:
        proposal = made.ask_for(chosen)
        assert proposal.chosen == chosen
        made.tell(proposal, "value", (0.5, 1.0))
    assert [t.params for t in trials_of(made)] == ALL


def test_nsga2_takes_replayed_outcomes_as_parents():
    """A generation of replays is full: the next proposal is a child of them, with a generation of its own."""
    made = proposals("nsga2", population=4)
    for chosen in ALL[:4]:
        made.tell(made.ask_for(chosen), "value", (0.5, 1.0))
    child = made.ask()
    generations = [t.system_attrs.get("NSGAIISampler:generation") for t in trials_of(made)]
    assert generations == [0, 0, 0, 0, 1]
    assert child.trial.number == 4


def test_nsga2_would_not_see_added_trials():
    """Why outcomes are replayed: of trials that are added to the study, none belongs to a generation."""
    made = proposals("nsga2", population=4)
    for chosen in ALL[:4]:
        made._study.add_trial(
            optuna.trial.create_trial(params=chosen, distributions=made._distributions, values=[0.5, 1.0])
        )
    made.ask()
    assert trials_of(made)[4].system_attrs["NSGAIISampler:generation"] == 0


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_the_sampler_learns_from_replays(sampler):
    """Where only a=4 was ever any good, a is 4 in most of what comes next."""
    made = proposals(sampler, objectives=1, population=8)
    for _ in range(8):
        for chosen in ALL:
            made.tell(made.ask_for(chosen), "value", (0.9 if chosen["a"] == 4 else 0.1,))
    proposed = [made.ask() for _ in range(30)]
    assert sum(p.chosen["a"] == 4 for p in proposed) >= 20


def test_brute_force_proposes_everything_once_around_what_is_known():
    made = proposals("brute")
    made.tell(made.ask_for(ALL[0]), "value", (0.5, 1.0))
    made.tell(made.ask_for(ALL[1]), "failed")
    proposed = []
    for _ in ALL[2:]:
        proposal = made.ask()
        proposed.append(proposal.chosen)
        made.tell(proposal, "value", (0.5, 1.0))
    assert sorted(proposed, key=str) == sorted(ALL[2:], key=str)


def test_the_seed_and_what_is_known_decide_what_comes():
    first = [proposals(seed=(0, 0)).ask().chosen for _ in range(3)]
    assert first[0] == first[1] == first[2]
    others = [
        [made.ask().chosen for _ in range(4)] for made in (proposals(seed=(s, k)) for s in (0, 1) for k in (0, 1))
    ]
    assert len({str(other) for other in others}) == 4


@pytest.mark.parametrize(("jobs", "lies"), [(1, False), (3, True)])
def test_tpe_reckons_with_what_runs_beside_it(jobs, lies):
    assert proposals(jobs=jobs)._study.sampler._constant_liar is lies


def test_a_bad_trial_is_pruned_against_the_curves_of_good_ones():
    made = proposals(objectives=1)
    for chosen in ALL[:5]:
        made.tell(made.ask_for(chosen), "value", (0.9,), epochs=(0.7, 0.8, 0.9))
    bad, good = made.ask_for(ALL[5]), made.ask_for(ALL[6])
    assert made.report(bad, (0.1,))
    assert not made.report(good, (0.75,))
    assert not made.report(good, (0.75, 0.95))
    assert not made.report(good, (0.75, 0.95, 0.1))  # the best epoch so far counts
    made.tell(bad, "pruned")
    made.tell(good, "value", (0.1,), epochs=(0.75, 0.95, 0.1))
    states = [t.state for t in trials_of(made)[5:]]
    assert states == [optuna.trial.TrialState.PRUNED, optuna.trial.TrialState.COMPLETE]
    assert trials_of(made)[6].intermediate_values == {1: 0.75, 2: 0.95, 3: 0.1}


def test_nothing_is_pruned_before_there_is_anything_to_compare():
    made = proposals(objectives=1)
    assert not made.report(made.ask(), (0.01,))
    assert not made.report(made.ask(), ())
