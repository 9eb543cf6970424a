"""`harness bench report`: reports/benchmarks.md from the stored figures, results/benchmarks/*.json. Needs no torch."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.bench.clock import BENCHMARKS
from harness.spec.errors import HarnessError

Row = Mapping[str, Any]
_HEAD = """\
# Benchmarks

Made by `harness bench report` from `results/benchmarks/*.json`; each section names the command that measured it and
the machine. Seconds are of that machine; what may be compared with others are the ratios, which are taken within one
process (or, for the overhead, between whole commands one after another).
"""


def benchmarks_document(folder: Path) -> str:
    """Return the document of what is stored in a folder. Raises HarnessError where nothing is."""
    stored = [(name, folder / f"{name}.json") for name in BENCHMARKS if (folder / f"{name}.json").is_file()]
    if not stored:
        raise HarnessError(f"{folder}: holds no figures; `harness bench ops --out {folder}` measures some")
    sections = [_section(name, json.loads(path.read_text(encoding="utf-8"))) for name, path in stored]
    return "\n".join([_HEAD, *sections])


def _section(name: str, found: Mapping[str, Any]) -> str:
    title, words, columns = _SECTIONS[name]
    about = found["machine"]
    gpu = f", {about['gpu']}" if about["gpu"] else ""
    where = (
        f"{about['processor']}, {about['cores']} cores, {about['threads']} threads{gpu}, Python {about['python']}, "
        f"torch {about['torch']}, {about['date']}; load when it ended {about['load']}"
    )
    table = _table(list(columns), [[text(row) for text in columns.values()] for row in found["rows"]])
    return f"## {title}\n\n{words}\n\n`{found['command']}`, on {where}.\n\n{table}\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(name: str) -> Callable[[Row], str]:
    return lambda row: str(row[name])


def _number(name: str, digits: int, unit: str = "") -> Callable[[Row], str]:
    return lambda row: "–" if row[name] is None else f"{row[name]:,.{digits}f}{unit}"


def _percent(name: str) -> Callable[[Row], str]:
    return lambda row: f"{100 * row[name]:.1f}%"


def _milliseconds(row: Row) -> str:
    return f"{1000 * row['seconds']:.3f}"


_SECTIONS: Mapping[str, tuple[str, str, Mapping[str, Callable[[Row], str]]]] = {
    "ops": (
        "Pooling across channels",
        ("Time of every implementation, alternating call by call with `clone()` of the same tensor over three buffers. "
        "/ bytes: over moving what must move at the copy's bandwidth; / best other: below 1 it is the fastest."),
        {
            "op": _text("op"), "shape": lambda row: "×".join(map(str, row["shape"])), "s": _text("stride"),
            "layout": _text("layout"), "dtype": _text("dtype"), "pass": _text("pass"), "impl": _text("impl"),
            "ms": _milliseconds, "/ clone": _number("ratio_to_clone", 2), "/ best other": _number("ratio_to_best", 2),
            "/ bytes": _number("ratio_to_bytes", 2),
        },
    ),
    "epoch": (
        "An epoch",
        ("One epoch by the harness and by the usual loop (`harness/bench/usual.py`), in turn. Ratio: images a second "
         "over the usual loop's. Accuracy: on the test set after the epoch."),
        {
            "case": _text("case"), "loop": _text("loop"), "precision": _text("precision"), "device": _text("device"),
            "workers": _text("workers"), "images": _number("images", 0), "s": _number("seconds", 1),
            "images/s": _number("images_per_s", 0), "ratio": _number("ratio", 2), "accuracy": _number("accuracy", 4),
        },
    ),
    "overhead": (
        "The harness around a run",
        ("Whole commands: `harness run grid` (store, curves, checkpoints) against the same work in plain scripts, a "
         "process a run."),
        {
            "task": _text("task"), "runs": _text("runs"), "bare s": _number("bare_seconds", 1),
            "grid s": _number("grid_seconds", 1), "more a run": _number("seconds_a_run_more", 2, " s"),
            "overhead": _percent("overhead"),
        },
    ),
    "store": (
        "The store",
        ("Made-up attempts: written as the driver writes them, exported, merged into another store, planned from the "
         "study file, rendered as the study's table."),
        {
            "step": _text("step"), "runs": _number("runs", 0), "metric rows": _number("metric_rows", 0),
            "s": _number("seconds", 2),
        },
    ),
    "startup": (
        "Start-up",
        "Processor time (user and system) of a whole command, median.",
        {"command": _text("command"), "CPU s": _number("cpu_seconds", 3), "limit s": _number("limit", 2)},
    ),
}  # fmt: skip
