"""What Optuna proposes, asked and told one placement at a time.

Optuna's study lives in memory and is rebuilt at each start from the harness's store, which is the one truth: two
records of what was found could disagree after a crash or a merge. Every known outcome is replayed as it came, by
enqueuing its parameters, asking for them and telling the value. `add_trial` would not do: NSGA-II breeds from trials
that have a generation, which it gives when it samples for one. Optuna 5 samples lazily, and for a trial whose
parameters are all given not at all, so `ask_for` makes it. A sampler's state is not kept either; it is seeded from the
search's seed and the number of outcomes that are known, so that a call repeats itself on the same store.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from harness.attempt.metrics import Direction
from harness.search.form import SamplerName
from harness.search.space import Choice, Range

_STATES = {"failed": TrialState.FAIL, "pruned": TrialState.PRUNED}
_DIRECTIONS = {"maximize": StudyDirection.MAXIMIZE, "minimize": StudyDirection.MINIMIZE}


@dataclass
class Proposal:
    """A placement that was asked for and whose outcome is to be told."""

    trial: optuna.Trial
    chosen: dict[str, Any]
    reported: int = 0  # epochs


class Proposals:
    """A study of Optuna's in memory, of one objective or two."""

    def __init__(
        self,
        choices: Mapping[str, Choice],
        *,
        directions: Sequence[Direction],
        sampler: SamplerName,
        seed: Sequence[int],
        jobs: int = 1,
        population: int = 50,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        number = int(np.random.SeedSequence(list(seed)).generate_state(1)[0])
        self._distributions = {place: distribution(choice) for place, choice in choices.items()}
        self._single = len(directions) == 1
        self._breeds = sampler == "nsga2"
        self._study = optuna.create_study(
            sampler=_sampler(sampler, number, jobs, population),
            pruner=optuna.pruners.MedianPruner(),
            directions=[_DIRECTIONS[direction] for direction in directions],
        )

    def ask(self) -> Proposal:
        """Return what the sampler proposes next, known or not."""
        return self._next()

    def ask_for(self, chosen: Mapping[str, Any]) -> Proposal:
        """Return a proposal of a placement that we name."""
        self._study.enqueue_trial(dict(chosen))
        proposal = self._next()
        if self._breeds:
            _ = proposal.trial.relative_params  # drawn in vain, but now the trial belongs to a generation
        return proposal

    def _next(self) -> Proposal:
        trial = self._study.ask(fixed_distributions=dict(self._distributions))
        return Proposal(trial, dict(trial.params))

    def report(self, proposal: Proposal, epochs: Sequence[float]) -> bool:
        """Report the values of all epochs so far; return whether the pruner would end the trial now."""
        for number, value in enumerate(epochs[proposal.reported :], proposal.reported + 1):
            proposal.trial.report(value, step=number)
        proposal.reported = max(proposal.reported, len(epochs))
        return self._single and proposal.reported > 0 and bool(proposal.trial.should_prune())

    def tell(
        self,
        proposal: Proposal,
        state: Literal["value", "failed", "pruned"],
        values: Sequence[float] = (),
        epochs: Sequence[float] = (),
    ) -> None:
        """Tell the outcome: with `state` value, a number an objective."""
        if self._single:
            self.report(proposal, epochs)
        if state == "value":
            self._study.tell(proposal.trial, list(values))
        else:
            self._study.tell(proposal.trial, state=_STATES[state])


def distribution(choice: Choice) -> optuna.distributions.BaseDistribution:
    """Return what Optuna calls a choice."""
    if not isinstance(choice, Range):
        return optuna.distributions.CategoricalDistribution(tuple(choice))
    if choice.whole:
        low, high, step = int(choice.low), int(choice.high), int(choice.step or 1)
        return optuna.distributions.IntDistribution(low, high, log=choice.log, step=step)
    return optuna.distributions.FloatDistribution(choice.low, choice.high, log=choice.log, step=choice.step)


class _BruteForce(optuna.samplers.BruteForceSampler):
    """Optuna's, without the end that it makes when all is tried, which only its own loop allows."""

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Leave the end to the search, which knows how many placements there are."""


def _sampler(name: SamplerName, seed: int, jobs: int, population: int) -> Any:
    if name == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=seed, population_size=population)
    if name == "tpe":
        return optuna.samplers.TPESampler(seed=seed, constant_liar=jobs > 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return _BruteForce(seed=seed)
