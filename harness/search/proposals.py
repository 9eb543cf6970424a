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

from harness.search.file import SamplerName

_STATES = {"failed": TrialState.FAIL, "pruned": TrialState.PRUNED}
_Choices = Mapping[str, Sequence[int | None]]


@dataclass
class Proposal:
    """A placement that was asked for and whose outcome is to be told."""

    trial: optuna.Trial
    chosen: dict[str, int | None]
    reported: int = 0  # epochs


class Proposals:
    """A study of Optuna's in memory: accuracy is maximised, a second objective minimised."""

    def __init__(
        self,
        choices: _Choices,
        *,
        objectives: int,
        sampler: SamplerName,
        seed: Sequence[int],
        jobs: int = 1,
        population: int = 50,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        number = int(np.random.SeedSequence(list(seed)).generate_state(1)[0])
        self._distributions = {site: optuna.distributions.CategoricalDistribution(c) for site, c in choices.items()}
        self._single = objectives == 1
        self._breeds = sampler == "nsga2"
        self._study = optuna.create_study(
            sampler=_sampler(sampler, number, jobs, population),
            pruner=optuna.pruners.MedianPruner(),
            directions=[StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE][:objectives],
        )

    def ask(self) -> Proposal:
        """Return what the sampler proposes next, known or not."""
        return self._next()

    def ask_for(self, chosen: Mapping[str, int | None]) -> Proposal:
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
        """Report the accuracies of all epochs so far; return whether the pruner would end the trial now."""
        for number, accuracy in enumerate(epochs[proposal.reported :], proposal.reported + 1):
            proposal.trial.report(accuracy, step=number)
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
