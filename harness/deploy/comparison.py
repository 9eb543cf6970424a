"""Before and after on one page: what a change of a network did to its results, its size and its time.

Results are those of all stored seeds, compared as `harness report compare` does. Parameters and MACs are counted, and
passes of both networks are timed here, in turn; weights do not matter to that, so none are needed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from harness.base.errors import HarnessError, in_one_line
from harness.bench.clock import machine
from harness.cost.count import count_config
from harness.deploy.latency import Saved, milliseconds, saved
from harness.deploy.network import FOLDERS
from harness.models.build import build_model
from harness.report.methods import compare_trials, trial_named
from harness.stats.comparison import Methods
from harness.store.connection import Store
from harness.store.merge import open_results
from harness.store.queries import snapshot
from harness.store.records import Snapshot

_COUNTED = {"parameters": "parameters", "macs": "MACs per image"}


@dataclass(frozen=True)
class Side:
    """One of the two trials, as STUDY:TRIAL."""

    name: str
    costs: Mapping[str, float]  # parameters, macs
    ms: float  # of a pass


@dataclass(frozen=True)
class Comparison:
    """All that the page says."""

    before: Side
    after: Side
    metrics: Mapping[str, Methods]  # in words, such as "digits/test accuracy"
    saved: Saved  # milliseconds of a pass
    input_shape: tuple[int, ...]  # of a timed pass, (N, C, H, W)
    device: str
    machine: Mapping[str, Any]


def compare(
    before: str, after: str, sources: Sequence[Path], *, batch: int, threads: int | None, device: str, repetitions: int
) -> Comparison:
    """Return the comparison of two trials, each STUDY:TRIAL.

    Raises HarnessError if one is not stored, has no network, or takes other images than the other one.
    """
    with open_results(sources) as store:
        found = snapshot(store)
        keys = (_key(found, before), _key(found, after))
        metrics = _metrics(store, found, keys, before)
    configs = [found.trials[key].config for key in keys]
    networks = [_network(name, config) for name, config in zip((before, after), configs, strict=True)]
    declared: list[Any] = [network.declaration for network in networks]
    shapes = [each.input_shape for each in declared]
    if shapes[0] != shapes[1]:
        taken = [f"'{name}' takes {'×'.join(map(str, s))}" for name, s in zip((before, after), shapes, strict=True)]
        raise HarnessError(f"the two take other images: {', '.join(taken)}")
    shape = (batch, *shapes[0])
    inputs = [torch.rand(shape), *([torch.full((batch,), 25.0)] if configs[0]["task"]["kind"] == "denoising" else [])]
    pair = dict(zip(("before", "after"), networks, strict=True))
    seconds = milliseconds(pair, inputs, device=device, threads=threads, repetitions=repetitions)
    one, other = (
        Side(name, _costs(found.trials[key].costs, config), 1000 * seconds[which].median)
        for name, key, config, which in zip((before, after), keys, configs, pair, strict=True)
    )
    gap = saved(seconds["before"], seconds["after"])
    return Comparison(one, other, metrics, gap, shape, device, machine(threads))


def _key(found: Snapshot, name: str) -> str:
    key = trial_named(found, name)
    if key is None:
        raise HarnessError(f"'{name}' is no trial, which is written STUDY:TRIAL: all of its runs are compared")
    if "model" not in found.trials[key].config:
        raise HarnessError(f"'{name}' is a function: the harness knows no network of it")
    return key


def _metrics(store: Store, found: Snapshot, keys: tuple[str, str], before: str) -> dict[str, Methods]:
    if not all(found.runs(key) for key in keys):
        raise HarnessError("one of the two has no finished run yet: harness run grid runs what is left")
    return compare_trials(store, found, keys, None, before.partition(":")[0])


def _network(name: str, config: Mapping[str, Any]) -> nn.Module:
    with in_one_line(f"the network of '{name}' cannot be made"), torch.random.fork_rng(devices=[]):
        return build_model(config, FOLDERS)


def _costs(stored: Mapping[str, float], config: Mapping[str, Any]) -> dict[str, float]:
    known = stored or count_config(config, FOLDERS)
    return {name: known[name] for name in _COUNTED if name in known}


def page(found: Comparison) -> str:
    """Return the page as Markdown."""
    seeds = sorted({len(m.a.seeds) for m in found.metrics.values()} | {len(m.b.seeds) for m in found.metrics.values()})
    lines = [
        f"# {found.after.name} beside {found.before.name}",
        "",
        "| | before | after | difference |",
        "|---|--:|--:|---|",
        *(f"| {' | '.join(cells)} |" for cells in _rows(found)),
        "",
        *_notes(found, seeds),
    ]
    return "\n".join(lines) + "\n"


def _rows(found: Comparison) -> Iterator[tuple[str, str, str, str]]:
    for words, methods in found.metrics.items():
        yield words, _mean(methods, "a"), _mean(methods, "b"), _difference(methods)
    for name, words in _COUNTED.items():
        if name in found.before.costs and name in found.after.costs:
            a, b = found.before.costs[name], found.after.costs[name]
            yield words, f"{a:,.0f}", f"{b:,.0f}", f"{(b - a) / a:+.1%}" if a else "–"
    gap = found.saved
    told = "" if gap.is_shown else "; not shown to differ"
    took = f"{-gap.ms:+.3g} [{-gap.high:+.3g}, {-gap.low:+.3g}]{told}"
    yield "milliseconds per pass", f"{found.before.ms:.3g}", f"{found.after.ms:.3g}", took


def _mean(methods: Methods, side: str) -> str:
    spread = methods.a if side == "a" else methods.b
    return f"{spread.mean:.5g}" if spread.sd is None else f"{spread.mean:.5g} ± {spread.sd:.2g}"


def _difference(methods: Methods) -> str:
    ends = methods.student_95
    interval = "" if ends is None else f" [{ends[0]:+.3g}, {ends[1]:+.3g}]"
    test = methods.sign_flip or methods.mann_whitney
    return f"{methods.difference:+.3g}{interval}; p = {test.p:.2g}" + (
        "" if test.can_tell else ", too few seeds to tell"
    )


def _notes(found: Comparison, seeds: Sequence[int]) -> Iterator[str]:
    runs = " or ".join(map(str, seeds))
    yield (
        f"Results are means ± standard deviations over {runs} seeds; the differences have 95% intervals (t), and p by "
        "sign flips of pairs, or by Mann-Whitney if runs are not paired. The text of `harness report compare` has more."
    )
    yield ""
    gpu = found.device.startswith("cuda")
    where = found.machine["gpu"] if gpu else f"{found.machine['processor']}, {found.machine['threads']} thread(s)"
    yield (
        f"Passes on {'×'.join(map(str, found.input_shape))} in turn, on {where}, torch {found.machine['torch']}, load "
        f"{found.machine['load']}, {found.machine['date']}: the median of each, and of the differences call by call "
        "with a 95% interval. Trained weights do not matter to time and were not loaded."
    )
