"""The attempts of a search, for the driver: a placement is asked for when there is room for its runs.

First comes what an earlier call left unfinished, from its checkpoints. Then proposals are taken until the search has as
many members as its budget says: one that is known already is told from the store and costs nothing. What fails is told
as failed and held as always; what a pruner ends is stopped at a checkpoint. Sites that each can have a compressor may
refuse them together, which only shows when they are proposed: the sampler is told that this failed, and continues.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.attempt.messages import CURVE_FILE, ENDED_WELL, read_curve
from harness.base.checks import FieldError
from harness.base.errors import DamagedError
from harness.execution.jobs import Job, make_job
from harness.search.ledger import Ledger
from harness.search.outcome import Outcome, epochs_of, study_of
from harness.search.proposals import Proposal, Proposals
from harness.search.space import Placement

REPEATS = 100
"""A sampler that proposes so many known placements one after another has nothing new to say.

Nor has one, other than brute force, that finds so many one after another which cannot be.
"""

Stopped = Literal["budget", "exhausted", "repeats", "refused"]


@dataclass
class _Open:
    """A placement whose runs are under way."""

    proposal: Proposal
    placement: Placement
    waiting: list[Job]
    running: int = 0
    pruned: bool = False
    interrupted: bool = False  # one of the runs: the placement is still open, and is told nothing of


@dataclass
class SearchFeed:
    """Gives the driver's session the attempts of a search; `stopped` says at the end why there are no more."""

    ledger: Ledger
    proposals: Proposals
    budget: int
    stopped: Stopped | None = None
    _open: dict[str, _Open] = field(default_factory=dict)  # by the trial's key
    _unfinished: list[Placement] = field(init=False)
    _in_vain: set[Placement] = field(default_factory=set)  # lost in this call: the next one goes on with them
    _repeats: int = 0
    _refusals: int = 0

    def __post_init__(self) -> None:
        """Tell the sampler all that is known."""
        self._unfinished = self.ledger.unfinished
        for placement, outcome in self.ledger.outcomes.items():
            self._tell(self.proposals.ask_for(self.ledger.search.space.chosen(placement)), placement, outcome)

    @property
    def expected(self) -> int:
        """How many attempts there will be, at most."""
        new = min(self.budget - len(self.ledger.members), self.ledger.search.space.size - self._known)
        return (len(self._unfinished) + int(max(0, new))) * len(self.ledger.search.seeds)

    @property
    def exhausted(self) -> bool:
        """Whether the search has all its members, and the runs of each have begun."""
        waiting = self._unfinished or any(opened.waiting for opened in self._open.values())
        known = self._known >= self.ledger.search.space.size
        return not waiting and (known or len(self.ledger.members) >= self.budget)

    def take(self) -> Job | None:
        """Return the next attempt: of a placement under way, an unfinished one, or a new proposal."""
        while True:
            for opened in self._open.values():
                if opened.waiting and not opened.pruned:
                    opened.running += 1
                    return opened.waiting.pop(0)
            if not self._open_next():
                return None

    def reached(self, job: Job, progress: Mapping[str, Any]) -> bool:
        """Report the first seed's value after each epoch, or each step of a function; return whether to prune."""
        opened, search = self._open[job.request.trial_key], self.ledger.search
        if not search.prunes or opened.pruned:
            return opened.pruned
        first = job.request.kind == "train" and job.request.seed == search.seeds[0]
        if first and (search.of_arguments or progress.get("epoch", 0) > opened.proposal.reported):
            try:
                points = read_curve(Path(job.request.folder) / CURVE_FILE)
            except (OSError, DamagedError):  # which is said when the attempt has ended
                return False
            epochs = epochs_of(search.space.trial(opened.placement), search.objectives[0], points)
            prune = self.proposals.report(opened.proposal, epochs)
            opened.pruned = prune and (search.of_arguments or progress["epoch"] < progress["epochs"])
        return opened.pruned

    def ended(self, job: Job, state: str) -> None:
        """Tell the outcome of a placement when its last attempt has ended; nothing if it is to be resumed."""
        opened = self._open[job.request.trial_key]
        opened.running -= 1
        opened.interrupted = opened.interrupted or state == "interrupted"
        if state not in ENDED_WELL:
            opened.waiting.clear()
        elif job.request.seed == self.ledger.search.seeds[0]:
            opened.pruned = False  # it came to its end before it was stopped
        if opened.running or opened.waiting:
            return
        del self._open[job.request.trial_key]
        placement = opened.placement
        outcome = self.ledger.look(placement)
        if outcome is None and opened.interrupted:
            return
        if outcome is None:
            self._in_vain.add(placement)
            self.proposals.tell(opened.proposal, "failed")
        else:
            self._tell(opened.proposal, placement, outcome)
        self._repeats = 0

    def _open_next(self) -> bool:
        """Begin with another placement; return False if there is none now."""
        if self._unfinished:
            placement = self._unfinished.pop(0)
            proposal = self.proposals.ask_for(self.ledger.search.space.chosen(placement))
        elif len(self.ledger.members) >= self.budget:
            self.stopped = "budget"
            return False
        else:
            new = self._new_proposal()
            if new is None:
                return False
            proposal, placement = new, self._placement(new)
            self.ledger.add(placement)
        study = study_of(self.ledger.search, {placement: self.ledger.members[placement]})
        jobs = [make_job(run, [study], self.ledger.options) for run in self.ledger.runs(placement)]
        self._open[self.ledger.search.space.trial(placement).key] = _Open(proposal, placement, jobs)
        return True

    def _new_proposal(self) -> Proposal | None:
        """Ask until a placement is proposed that is not known; those that are, are told from the store."""
        while max(self._repeats, self._refusals) < REPEATS:
            if self._known >= self.ledger.search.space.size:
                self.stopped = "exhausted"
                return None
            proposal = self.proposals.ask()
            placement = self._placement(proposal)
            outcome = self.ledger.outcomes.get(placement)
            if outcome is None and placement not in self.ledger.refused and not self._can_be(placement):
                self.proposals.tell(proposal, "failed")
                self._refusals += self.ledger.search.sampler != "brute"  # which tries all that there is
                continue
            if outcome is not None:
                self._tell(proposal, placement, outcome)
            elif placement in self.ledger.refused or placement in self._in_vain or self._is_open(placement):
                self.proposals.tell(proposal, "failed")  # asked for already: the first of the two brings the value
            else:
                self._repeats = self._refusals = 0
                return proposal
            self._repeats += 1
        if not self._open:
            self.stopped = "repeats" if self._repeats >= REPEATS else "refused"
        return None

    def _can_be(self, placement: Placement) -> bool:
        """Return whether the compressors of a placement can be combined; each has been tried alone."""
        try:
            self.ledger.search.space.trial(placement)
        except FieldError as error:
            if error.path != ("compressors",):  # another mistake, such as a plug-in that was edited meanwhile
                raise
            self.ledger.refused.add(placement)
            return False
        return True

    def _is_open(self, placement: Placement) -> bool:
        return self.ledger.search.space.trial(placement).key in self._open

    @property
    def _known(self) -> int:
        """How many placements need not be asked for any more."""
        return len(self.ledger.outcomes.keys() | self.ledger.members.keys() | self.ledger.refused)

    def _tell(self, proposal: Proposal, placement: Placement, outcome: Outcome) -> None:
        values = self.ledger.objectives(placement) if outcome.state in {"value", "nan"} else ()
        if values:
            self.proposals.tell(proposal, "value", values, epochs=outcome.epochs)
        else:
            state: Literal["failed", "pruned"] = "pruned" if outcome.state == "pruned" else "failed"
            self.proposals.tell(proposal, state, epochs=outcome.epochs)

    def _placement(self, proposal: Proposal) -> Placement:
        return self.ledger.search.space.placement(proposal.chosen)
