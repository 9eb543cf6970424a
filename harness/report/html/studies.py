"""The studies with their trials and runs. A trial that several studies have is shown once, under the first of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.report.figures.groups import Group, Score, score, study_groups
from harness.report.figures.results import Results
from harness.report.html.anchors import study_id, trial_id
from harness.report.html.runs import RunView, runs_of
from harness.report.html.settings import SettingView, settings_of
from harness.report.html.tables import TableView, study_table
from harness.report.printing import fixed
from harness.report.tables.table_file import load_our_table, load_paper_table, our_tables, paper_tables
from harness.trial.overrides import overrides, protocol_in_words

_COSTS = {"parameters": "parameters", "macs": "MACs"}


@dataclass(frozen=True)
class TrialView:
    """A trial: its settings, and its runs. `elsewhere` names the study under which it is shown, "" where here."""

    id: str
    name: str
    key: str
    summary: tuple[str, ...]
    settings: tuple[SettingView, ...]
    runs: tuple[RunView, ...]
    elsewhere: str = ""


@dataclass(frozen=True)
class StudyView:
    """A study: its text as it was run, its own table, its trials."""

    id: str
    name: str
    text: str
    table: TableView
    trials: tuple[TrialView, ...]
    runs: int


def in_order(names: Sequence[str]) -> list[str]:
    """Return studies in the order of the tables that show them, the paper's first; the others after them, by name."""
    tables = [*(load_paper_table(n) for n in paper_tables()), *(load_our_table(n) for n in our_tables())]
    shown = list(dict.fromkeys(row.trial.study for table in tables for row in table.rows))
    return sorted(names, key=lambda name: (shown.index(name) if name in shown else len(shown), name))


def all_studies(results: Results, names: Sequence[str]) -> list[StudyView]:
    """Return the studies of these names."""
    shown: dict[str, str] = {}
    return [_study(results, name, shown) for name in names]


def _study(results: Results, name: str, shown: dict[str, str]) -> StudyView:
    groups = study_groups(results.snapshot, name)
    scores = score(results.snapshot, groups)
    trials = []
    for group in groups:
        elsewhere = shown.setdefault(group.trial.key, name)
        trials.append(_trial(results, name, group, scores, "" if elsewhere == name else elsewhere))
    text = next(r.spec_yaml for r in reversed(results.snapshot.study_trials) if r.study == name)
    runs = sum(len(group.runs) for group in groups)
    return StudyView(study_id(name), name, text, study_table(results, name), tuple(trials), runs)


def _trial(results: Results, study: str, group: Group, scores: Mapping[str, Score], elsewhere: str) -> TrialView:
    summary = [f"{len(group.runs)} run{'' if len(group.runs) == 1 else 's'}"]
    if group.label in scores:
        found = scores[group.label]
        summary.append(f"{found.metric.label} {fixed(found.mean, found.metric.digits)} ({found.words})")
    if overrides(group.protocol, group.trial.config):
        summary.append(protocol_in_words(group.protocol, group.trial.config))
    costs = group.trial.costs
    summary += [f"{round(costs[name]):,} {words}" for name, words in _COSTS.items() if name in costs]
    whole = not elsewhere
    return TrialView(
        id=trial_id(group.trial),
        name=group.label,
        key=group.trial.key,
        summary=tuple(summary),
        settings=tuple(settings_of(results.snapshot, group)) if whole else (),
        runs=tuple(runs_of(results, study, group)) if whole else (),
        elsewhere=elsewhere,
    )
