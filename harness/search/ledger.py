"""The placements of a search that the store knows, and those that this call adds.

Members are the placements that are in the study of the search's name: its budget counts them. Outcomes are of all
placements of the space, whichever study asked for their runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.base.errors import HarnessError, SpecError
from harness.base.source import parse_source
from harness.execution.options import Options
from harness.execution.plan import PlannedRun
from harness.execution.register import add_studies, trial_costs
from harness.search.file import Search
from harness.search.outcome import Outcome, Reader, planned, study_of
from harness.search.space import Placement
from harness.store.connection import Store
from harness.store.queries import snapshot
from harness.store.records import Snapshot


@dataclass
class Ledger:
    """What is known of a search's space, kept up to date with the store."""

    search: Search
    store: Store
    options: Options
    members: dict[Placement, tuple[int, ...]] = field(default_factory=dict)  # with their seeds
    outcomes: dict[Placement, Outcome] = field(default_factory=dict)
    refused: set[Placement] = field(default_factory=set)  # whose compressors cannot be combined, found in this call
    _costs: dict[Placement, Mapping[str, float]] = field(default_factory=dict)

    def open(self) -> None:
        """Read the store. Raises HarnessError if the search's name is that of another study."""
        found = snapshot(self.store)
        _check_name(self.search, found)
        known: dict[Placement, tuple[int, ...]] = {}
        for record in found.trials.values():
            placement = self.search.space.find(record.key, record.config)
            if placement is not None:
                known[placement] = self.search.seeds
                self._costs[placement] = record.costs
        by_key = {self.search.space.trial(placement).key: placement for placement in known}
        for place in found.study_trials:
            if place.study == self.search.name and place.trial_key in by_key:
                more = tuple(seed for seed in place.seeds if seed not in self.search.seeds)
                self.members[by_key[place.trial_key]] = (*self.search.seeds, *more)
        reader = Reader(self.store, found, self.search.measured)
        for placement, runs in self._planned(known, found, again=True).items():
            outcome = reader.outcome(runs, prunes=self.search.prunes)
            if outcome is not None:
                self.outcomes[placement] = outcome

    @property
    def unfinished(self) -> list[Placement]:
        """The members that have no outcome yet."""
        return [placement for placement in self.members if placement not in self.outcomes]

    def add(self, *placements: Placement, seeds: tuple[int, ...] = ()) -> None:
        """Make placements members, with seeds beside the search's own, and write the study into the store."""
        for placement in placements:
            had = self.members.get(placement, self.search.seeds)
            self.members[placement] = (*had, *(seed for seed in seeds if seed not in had))
        add_studies(self.store, [study_of(self.search, self.members)])

    def runs(self, placement: Placement, seeds: tuple[int, ...] = ()) -> list[PlannedRun]:
        """Return what is left of a placement's runs, at the search's seeds or others."""
        wanted = {placement: seeds or self.search.seeds}
        runs = self._planned(wanted, snapshot(self.store), again=True)[placement]
        return [run for run in runs if run.status == "left"]

    def look(self, placement: Placement) -> Outcome | None:
        """Read a placement's outcome again, after its runs: what failed once more is not tried again."""
        found = snapshot(self.store)
        runs = self._planned({placement: self.search.seeds}, found, again=False)[placement]
        outcome = Reader(self.store, found, self.search.measured).outcome(runs, prunes=self.search.prunes)
        if outcome is not None:
            self.outcomes[placement] = outcome
        return outcome

    def values(self, placement: Placement, seeds: tuple[int, ...]) -> dict[int, float | None]:
        """Return the first objective of a placement by seed; nan if it diverged, None if it is not known."""
        reader = Reader(self.store, snapshot(self.store), self.search.measured)
        trial = self.search.space.trial(placement)
        return {seed: reader.value(trial, seed) for seed in seeds}

    def costs(self, placement: Placement) -> Mapping[str, float]:
        """Return what a placement's network costs, by name, and what further objectives its runs measured."""
        if not self._costs.get(placement):
            trial = self.search.space.trial(placement)
            self._costs[placement] = trial_costs(trial, self.search.space.plugin_folders)
        outcome = self.outcomes.get(placement)
        return self._costs[placement] if outcome is None else {**self._costs[placement], **outcome.also}

    def objectives(self, placement: Placement) -> tuple[float, ...]:
        """Return what a sampler is told of a placement that has a value, or diverged; nothing if nothing can be.

        What diverged is told as the worst that is known in each objective. A network costs as much as that without
        compressors; if the metric is a fraction, it is as bad as any can be, so that every other dominates it.
        """
        outcome, further = self.outcomes[placement], self.search.objectives[1:]
        if outcome.state != "nan":
            return (outcome.mean, *(self.costs(placement)[name] for name in further))
        known = [self.objectives(p) for p, o in self.outcomes.items() if o.state == "value"]
        worst = [min if direction == "maximize" else max for direction in self.search.directions]
        values = tuple(choose(each) for choose, each in zip(worst, zip(*known, strict=True), strict=False))
        if self.search.of_arguments:
            return values
        if self.search.metric.unit == "fraction":
            values = (0.0 if self.search.metric.better == "higher" else 1.0,)
        return (*values[:1], *(self.costs(())[name] for name in further)) if values else ()

    def _planned(
        self, seeds: Mapping[Placement, tuple[int, ...]], found: Snapshot, *, again: bool
    ) -> dict[Placement, list[PlannedRun]]:
        """Plan placements at their seeds; `again`: what this call is to run although it is held."""
        retry = self.options.retry if again else frozenset[str]()
        return planned(self.search, seeds, found, self.options.artifacts, retry)


def _check_name(search: Search, found: Snapshot) -> None:
    """Refuse a search that would take the place of a study of the store which is not a search."""
    for text in {place.spec_yaml for place in found.study_trials if place.study == search.name}:
        if not _is_search(text):
            raise HarnessError(
                f"{search.file}: the store has a study '{search.name}' that is not a search: give 'search' another name"
            )


def _is_search(text: str) -> bool:
    try:
        return "search" in parse_source(text, "").data
    except SpecError:  # a study with the files that it includes is more than one document
        return False
