"""A trial's configuration, setting by setting, each with where it is from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.base.errors import HarnessError
from harness.report.figures.groups import Group
from harness.report.tables.provenance import short
from harness.store.records import Snapshot
from harness.trial.overrides import Override, in_words, overrides
from harness.trial.protocol import resolve_protocol


@dataclass(frozen=True)
class SettingView:
    """A setting: its part of the configuration, name and value; stated, inferred, assumed or set (by the study)."""

    part: str
    name: str
    value: str
    source: str
    where: str


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
