"""The studies with their trials, settings and runs. A trial that several studies have is shown once, under the first of
them; each setting says where it is from.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.base.errors import HarnessError
from harness.report.figures.groups import Group, Score, score, study_groups
from harness.report.figures.results import Results
from harness.report.html.anchors import study_id, trial_id
from harness.report.html.runs import RunView, runs_of
from harness.report.html.tables import TableView, study_table
from harness.report.printing import fixed
from harness.report.tables.provenance import short
from harness.report.tables.table_file import load_our_table, load_paper_table, our_tables, paper_tables
from harness.store.records import Snapshot
from harness.trial.overrides import Override, in_words, overrides, protocol_in_words
from harness.trial.protocol import resolve_protocol

_COSTS = {"parameters": "parameters", "macs": "MACs"}


@dataclass(frozen=True)
class SettingView:
    """A setting: its part of the configuration, name and value; stated, inferred, assumed or set (by the study)."""

    part: str
    name: str
    value: str
    source: str
    where: str


@dataclass(frozen=True)
class TrialView:
    """A trial: its settings, and its runs. `elsewhere` names the study under which it is shown, "" where here."""

    id: str
    name: str
    key: str
    summary: tuple[str, ...]
    counts: tuple[tuple[int, str], ...]  # with what is counted
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
    groups, asked = study_groups(results.snapshot, name), results.of_study(name).snapshot
    scores = score(asked, study_groups(asked, name))
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
    whole = not elsewhere
    return TrialView(
        id=trial_id(group.trial),
        name=group.label,
        key=group.trial.key,
        summary=tuple(summary),
        counts=tuple((round(costs[name]), words) for name, words in _COSTS.items() if name in costs),
        settings=tuple(settings_of(results.snapshot, group)) if whole else (),
        runs=tuple(runs_of(results, study, group)) if whole else (),
        elsewhere=elsewhere,
    )


def settings_of(snapshot: Snapshot, group: Group) -> list[SettingView]:
    """Return all settings of a trial: what the study says, then its protocol's."""
    config = group.trial.config
    rows = [_set("task", name, value) for name, value in _flat(config.get("task", {}))]
    for split, fingerprint in sorted(dict(config.get("data", {})).items()):
        rows.append(_data(snapshot, split, str(fingerprint)))
    rows += [_set("model", name, value) for name, value in _flat(config.get("model", {}))]
    compressors = config.get("compressors", {})
    rows += [_set("compressors", site, _plain(value)) for site, value in sorted(compressors.items())]
    rows += [] if compressors else [_set("compressors", "", "none")]
    rest = sorted(set(config) - {"task", "data", "model", "compressors", "protocol"})
    rows += [_set(part, name, value) for part in rest for name, value in _flat(config[part])]
    return [*rows, *_protocol(group)]


def _protocol(group: Group) -> Iterator[SettingView]:
    """Yield the protocol's fields: from where its file says, "set" if the study overrides them, or a part of them."""
    ours = dict(group.trial.config.get("protocol", {}))
    changed: dict[str, list[Override]] = {}
    for override in overrides(group.protocol, group.trial.config):
        changed.setdefault(override.setting.split(".")[0], []).append(override)
    try:
        named = resolve_protocol({"kind": group.protocol})
    except HarnessError:
        yield from (SettingView("protocol", n, _plain(v), "set", "") for n, v in ours.items())
        return
    order = [name for name in named.fields if name in ours]
    for name in [*order, *sorted(set(ours) - set(order))]:
        field = named.fields.get(name)
        if field is not None and name not in changed:
            yield SettingView("protocol", name, _plain(ours[name]), field.source, field.where)
        else:
            yield SettingView("protocol", name, _plain(ours[name]), "set", _said(changed.get(name, []), group.protocol))


def _said(changed: Sequence[Override], protocol: str) -> str:
    named = ", ".join(f"{override.setting} is {in_words(override.named)}" for override in changed)
    return f"by the study: {named} in {protocol}" if named else f"by the study, beside {protocol}"


def _data(snapshot: Snapshot, split: str, fingerprint: str) -> SettingView:
    record = snapshot.datasets.get(fingerprint)
    known = "" if record is None else f"{record.name} {record.split}, {record.images:,} images, "
    return SettingView("data", split, f"{known}fingerprint {short(fingerprint)}", "set", "by the study")


def _set(part: str, name: str, value: object) -> SettingView:
    return SettingView(part, name, _plain(value), "set", "by the study")


def _flat(value: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a mapping's values by dotted names."""
    if not isinstance(value, Mapping):
        yield before, value
        return
    for name, inner in value.items():
        yield from _flat(inner, f"{before}.{name}" if before else str(name))


def _plain(value: object) -> str:
    """Return a value in words: {kind: sgd, learning_rate: 0.05} as "sgd, learning_rate 0.05"."""
    if isinstance(value, Mapping):
        return ", ".join(_plain(v) if k == "kind" else f"{k} {_plain(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return " ".join(_plain(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
