"""A search from its start to its front: what is left of its budget, the confirmation, and the files of the front."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness.base.errors import HarnessError
from harness.base.extras import needs
from harness.execution.driver import run_feed
from harness.execution.executors import Executor
from harness.execution.feeds import Listed
from harness.execution.intake import recover
from harness.execution.jobs import make_job
from harness.execution.libraries import libraries_of
from harness.execution.options import Display, Options, Summary
from harness.execution.plan import Plan
from harness.execution.register import check_runnable
from harness.search.file import Search
from harness.search.front import ScoredPlacement, front
from harness.search.ledger import Ledger
from harness.search.outcome import planned, study_of
from harness.store.connection import driver_lock, open_store
from harness.store.queries import snapshot

if TYPE_CHECKING:
    from harness.search.importance import Importance

BUDGET = 50
_POPULATION = (8, 50)  # of NSGA-II: a fifth of the budget, within these
Executors = Callable[[int, int], AbstractContextManager[Executor]]  # slots, threads of each


@dataclass
class SearchResult:
    """What a search has found, and how this call of it went."""

    search: Search
    summary: Summary
    stopped: str | None = None  # budget, exhausted, repeats, refused; None: interrupted
    counts: Mapping[str, int] = field(default_factory=dict)  # placements by outcome, "unfinished" and "refused" too
    members: int = 0
    stale: int = 0  # of the values: found with other code
    front: Sequence[ScoredPlacement] = ()
    study_file: Path | None = None
    figure: Path | None = None
    importance: Mapping[str, Sequence["Importance"]] = field(default_factory=dict)  # of each place, by objective

    @property
    def ended_early(self) -> bool:
        """Whether a person or a failure of the environment ended it before it was through."""
        return self.summary.interrupted or self.summary.hindered > 0


def run_search(
    search: Search,
    options: Options,
    display: Display,
    *,
    trials: int | None = None,
    confirm: Sequence[int] = (),
    out: Path | None = None,
    executors: Executors | None = None,
) -> SearchResult:
    """Search until the store has `trials` placements of this search, confirm the front, and write its files.

    `trials` None means 50, or all placements for brute force. Placements that earlier calls have made count. `confirm`
    are fresh seeds with which the front's placements are run again. `out` is where the files go, by default beside the
    search file, from where the paths in it lead. Raises HarnessError, before anything runs, if data are missing, a
    seed to confirm with is not fresh, the name is another study's, a file of another kind is where the front is to be,
    or another driver is at work.
    """
    from harness.search.front import check_place

    needs("optuna", "matplotlib", extra="search")
    if search.execution.executor is not None and search.execution.executor.kind != options.executor:
        raise HarnessError(f"{search.file}: a search runs on this machine: leave 'executor' out of 'execution'")
    if known := [seed for seed in confirm if seed in search.seeds]:
        raise HarnessError(f"--confirm needs fresh seeds: {known[0]} is one of the search's own {list(search.seeds)}")
    out = Path(search.file).resolve().parent if out is None else out
    check_place(_study_file(search, out))
    budget = trials or (int(search.space.size) if search.sampler == "brute" else BUDGET)
    base = [search.space.sample]
    libraries = libraries_of((trial.config, search.space.plugin_folders) for trial in base)
    executors = executors or partial(options.make_executor, libraries=libraries)
    if not options.db.exists():  # nothing is made for what cannot run
        check_runnable(base, options.data_root, options.device)
    with driver_lock(options.db), open_store(options.db) as store:
        recover(store, options.artifacts)
        ledger = Ledger(search, store, options)
        ledger.open()
        result = SearchResult(search, Summary(Plan(())), "budget")
        if ledger.unfinished or len(ledger.members) < budget:
            check_runnable(base, options.data_root, options.device)
            _search(ledger, budget, display, executors, result)
        found = _candidates(ledger)
        result.front = front(found, search.objectives, search.directions)
        if confirm and result.front and result.summary.stopped_late:  # after the budget, before the confirmation
            result.summary.interrupted, result.summary.stopped_late = True, False
        elif confirm and not result.ended_early:
            check_runnable(base, options.data_root, options.device)
            result.front = _confirmed(ledger, result, tuple(confirm), display, executors)
        _conclude(ledger, result)
    if result.front and not result.ended_early:
        _write(result, found, out)
        result.importance = _importance(search, found)
    return result


def _search(ledger: Ledger, budget: int, display: Display, executors: Executors, result: SearchResult) -> None:
    """Run what is left of the budget."""
    from harness.search.feed import SearchFeed
    from harness.search.proposals import Proposals

    search, options = ledger.search, ledger.options
    least, most = _POPULATION
    proposals = Proposals(
        search.space.choices,
        directions=search.directions,
        sampler=search.sampler,
        seed=(search.sampler_seed, len(ledger.outcomes)),
        jobs=options.jobs,
        population=min(most, max(least, budget // 5)),
    )
    feed = SearchFeed(ledger, proposals, budget)
    with executors(options.jobs, options.threads_for(study_of(search, {}))) as executor:
        summary = run_feed(feed, ledger.store, executor, options, display)
    result.summary.add(summary)
    result.stopped = None if result.ended_early else feed.stopped


def _confirmed(
    ledger: Ledger, result: SearchResult, seeds: tuple[int, ...], display: Display, executors: Executors
) -> list[ScoredPlacement]:
    """Run the front's placements with fresh seeds, as members of the search, and return it with their values."""
    placements = [candidate.placement for candidate in result.front]
    if placements:
        ledger.add(*placements, seeds=seeds)
    study = study_of(ledger.search, ledger.members)
    jobs = [make_job(run, [study], ledger.options) for p in placements for run in ledger.runs(p, seeds)]
    if jobs:
        with executors(min(ledger.options.jobs, len(jobs)), ledger.options.threads_for(study)) as executor:
            feed = Listed(jobs, before=sum(result.summary.ended.values()))
            result.summary.add(run_feed(feed, ledger.store, executor, ledger.options, display))
    return [replace(c, confirmed=ledger.values(c.placement, seeds)) for c in result.front]


def _candidates(ledger: Ledger) -> list[ScoredPlacement]:
    """Return every placement with a value."""
    return [
        ScoredPlacement(
            placement,
            ledger.search.space.words(placement),
            ledger.search.space.trial(placement).key,
            outcome.mean,
            outcome.values,
            ledger.costs(placement),
            outcome.attempts,
        )
        for placement, outcome in ledger.outcomes.items()
        if outcome.state == "value"
    ]


def _importance(search: Search, found: Sequence[ScoredPlacement]) -> dict[str, Sequence["Importance"]]:
    """Return how important each place is for each objective that runs measure; nothing of too few points."""
    from harness.search.importance import importances

    points = [search.space.chosen(candidate.placement) for candidate in found]
    shares = {}
    for i, name in enumerate(search.measured):
        values = [candidate.costs[name] if i else candidate.mean for candidate in found]
        shares[name] = importances(search.space.choices, points, values, search.directions[i])
    return {name: each for name, each in shares.items() if each}


def _conclude(ledger: Ledger, result: SearchResult) -> None:
    """Count what is known, and plan the members once more for what is held."""
    counts = Counter[str](outcome.state for outcome in ledger.outcomes.values())
    counts |= {"unfinished": len(ledger.unfinished), "refused": len(ledger.refused)}
    result.counts = {state: count for state, count in counts.items() if count}
    if not result.ended_early and len(ledger.outcomes) + len(ledger.refused) == ledger.search.space.size:
        result.stopped = "exhausted"
    result.members = len(ledger.members)
    result.stale = sum(outcome.stale for outcome in ledger.outcomes.values())
    held = planned(ledger.search, ledger.members, snapshot(ledger.store), ledger.options.artifacts)
    result.summary.plan = Plan(tuple(run for runs in held.values() for run in runs))


def _study_file(search: Search, out: Path) -> Path:
    return out / f"{search.front_name}.yml"


def _write(result: SearchResult, found: Sequence[ScoredPlacement], out: Path) -> None:
    """Write the front's study and figure."""
    from harness.search.front import write_front
    from harness.search.plot import plot_front

    result.study_file = _study_file(result.search, out)
    result.figure = out / f"{result.search.name}-front.svg"
    write_front(result.study_file, result.search, result.front, result.members)
    plot_front(result.figure, result.search, found, result.front)
