"""`harness bench report`: reports/benchmarks.md from the stored figures, results/benchmarks/*.json. Needs no torch."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.base.errors import HarnessError
from harness.bench.clock import BENCHMARKS, shape_text

Row = Mapping[str, Any]
Rows = Sequence[Row]
_HEAD = """\
Made by `harness bench report` from `results/benchmarks/*.json`; each section names the command that measured it and
the machine. Seconds are of that machine; what may be compared with others are the ratios, which are taken within one
process (or, for the overhead, between whole commands one after another).
"""


@dataclass(frozen=True)
class Section:
    """How the figures of one benchmark are shown; `rows` makes the table's rows of the stored ones."""

    title: str
    words: str
    columns: Mapping[str, Callable[[Row], str]]
    rows: Callable[[Rows], Rows] = list


def benchmarks_document(folder: Path, plots: Mapping[str, str] | None = None) -> str:
    """Return the document of what is stored in a folder; `plots` names the pictures of benchmarks.

    Raises HarnessError if nothing is stored.
    """
    stored = _stored(folder)
    sections = [_section(name, found, (plots or {}).get(name)) for name, found in stored.items()]
    return "\n".join([f"# Benchmarks\n\n{_summary(stored)}\n", _HEAD, *sections])


def benchmarks_summary(folder: Path) -> str:
    """Return the document's first paragraph. Raises HarnessError if nothing is stored."""
    return _summary(_stored(folder))


def _stored(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    stored = {name: found for name in BENCHMARKS if (found := stored_benchmark(folder, name)) is not None}
    if not stored:
        raise HarnessError(f"{folder}: holds no figures; `harness bench ops --out {folder}` measures some")
    return stored


def stored_benchmark(folder: Path, name: str) -> Mapping[str, Any] | None:
    """Return what a benchmark has stored: machine, command and rows; None if it has not."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _section(name: str, found: Mapping[str, Any], plot: str | None) -> str:
    section = _SECTIONS[name]
    about = found["machine"]
    gpu = f", {about['gpu']}" if about["gpu"] else ""
    where = (
        f"{about['processor']}, {about['cores']} cores, {about['threads']} threads{gpu}, Python {about['python']}, "
        f"torch {about['torch']}, {about['date']}; load when it ended {about['load']}"
    )
    lines = [[text(row) for text in section.columns.values()] for row in section.rows(found["rows"])]
    parts = [f"## {section.title}", section.words, f"`{found['command']}`, on {where}."]
    parts += [f"![{section.title}]({plot})"] if plot else []
    return "\n\n".join([*parts, _table(list(section.columns), lines)]) + "\n"


def _summary(stored: Mapping[str, Mapping[str, Any]]) -> str:
    """Say in a paragraph what the ratios come to."""
    says = {
        "ops": _summary_of_ops, "ops-gpu": _summary_of_ops_on_a_gpu, "epoch": _summary_of_epochs,
        "epoch-gpu": _summary_of_epochs, "overhead": _summary_of_overhead,
    }  # fmt: skip
    told = [sentence for name, tell in says.items() if name in stored for sentence in tell(stored[name]["rows"])]
    return " ".join(told) or "Seconds of commands, below."


def _summary_of_ops(rows: Rows) -> Iterator[str]:
    for op, name in (("spatial", "feature pooling"), ("topk", "top-k across channels")):
        mine = [row for row in _cases(rows) if row["op"] == op and "backward" in row["pass"] and row["faster"]]
        if mine:
            yield (
                f"Forward and backward, {name} takes {_range(mine, 'ratio_to_clone')} times as long as a copy of its "
                f"tensor and is {_range(mine, 'faster')} times faster than the fastest way to write it in torch"
                f"{_forward_alone(rows, op)}."
            )


def _summary_of_ops_on_a_gpu(rows: Rows) -> Iterator[str]:
    """Say what part of the copy's bandwidth is reached when no cache holds the tensor, and how many times faster."""
    for op, name in (("spatial", "feature pooling"), ("topk", "top-k across channels")):
        mine = [row for row in _cases(rows) if row["op"] == op and "backward" in row["pass"]]
        large = [{"part": 100 / row["ratio_to_bytes"], "channels": row["shape"][1]} for row in mine if _uncached(row)]
        parts = " and ".join(
            f"{_range([row for row in large if row['channels'] == channels], 'part', 0)}% at {channels} channels"
            for channels in sorted({row["channels"] for row in large})
        )
        faster = [row for row in mine if row["faster"]]
        if parts and faster:
            yield (
                f"On a GPU, forward and backward, {name} reaches {parts} of a copy's bandwidth when no cache "
                f"holds the tensor and is {_range(faster, 'faster')} times faster than the fastest way to write it in "
                "torch."
            )


_NO_CACHE = 256 * 10**6  # bytes
_ITEM = {"float32": 4, "bfloat16": 2, "float16": 2}  # bytes


def _uncached(row: Row) -> bool:
    return math.prod(row["shape"]) * _ITEM[row["dtype"]] >= _NO_CACHE


def _forward_alone(rows: Rows, op: str) -> str:
    """Return how our operator compares if no gradient is wanted: below 1 it is slower than torch."""
    alone = [row for row in _cases(rows) if row["op"] == op and "backward" not in row["pass"] and row["faster"]]
    return f" (forward alone: {_range(alone, 'faster')} times)" if alone else ""


def _summary_of_epochs(rows: Rows) -> Iterator[str]:
    for row in rows:
        if row["loop"] == "harness":
            yield (
                f"An epoch ({row['case']}, {row['precision']}, {row['device']}): {row['ratio']:.2f} times as many "
                "images per second as a standard DataLoader loop."
            )


def _summary_of_overhead(rows: Rows) -> Iterator[str]:
    """Say what several rounds gave; one alone is all noise, and is in its table only."""
    said = ", ".join(f"{overhead_text(row)} ({row['task']})" for row in rows if _rounds(row) > 1)
    if said:
        yield f"What the harness around a run adds to its time: {said}."


def _rounds(row: Row) -> int:
    return int(row.get("rounds", 1))


def overhead_text(row: Row) -> str:
    """Return "+0.6% [+0.2%, +1.0%]", the interval of several rounds, or "not measurable (±1.2%)" if it does not lie
    above none. Figures stored without an interval have the least and the most of their rounds for one.
    """
    if _rounds(row) == 1:
        return f"{100 * row['overhead']:+.1f}%"
    low = row.get("overhead_low_95", row["overhead_least"])
    high = row.get("overhead_high_95", row["overhead_most"])
    if low <= 0:
        return f"not measurable (±{100 * max(abs(low), abs(high)):.1f}%)"
    ends = "" if "overhead_low_95" in row else " least to most"
    return f"{100 * row['overhead']:+.1f}% [{100 * low:+.1f}%, {100 * high:+.1f}%]{ends}"


def _more(row: Row) -> str:
    """Return the added seconds per run; a dash if they cannot be distinguished from zero."""
    return "–" if "not measurable" in overhead_text(row) else f"{row['seconds_a_run_more']:,.2f} s"


def _range(rows: Rows, name: str, digits: int = 1) -> str:
    values = [row[name] for row in rows]
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"


def _cases(rows: Rows) -> Rows:
    """Return a row a case of `bench ops`: ours, with the fastest of the other forms."""
    others: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if row["impl"] != "harness":
            others.setdefault(_case(row), []).append(row)
    return [{**row, **_best_of(others.get(_case(row), []), row)} for row in rows if row["impl"] == "harness"]


def _best_of(others: Rows, ours: Row) -> Row:
    """Return the name and time of the fastest of other forms, and how many times faster ours is."""
    best = min(others, key=lambda other: other["seconds"], default=None)
    if best is None:
        return {"other": "–", "other_seconds": None, "faster": None}
    return {"other": best["impl"], "other_seconds": best["seconds"], "faster": best["seconds"] / ours["seconds"]}


def _case(row: Row) -> tuple[Any, ...]:
    return row["op"], *row["shape"], row["stride"], row["layout"], row["dtype"], row["device"], row["pass"]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(name: str) -> Callable[[Row], str]:
    return lambda row: str(row[name])


def _number(name: str, digits: int, unit: str = "") -> Callable[[Row], str]:
    return lambda row: "–" if row[name] is None else f"{row[name]:,.{digits}f}{unit}"


def _milliseconds(name: str, digits: int = 2) -> Callable[[Row], str]:
    return lambda row: "–" if row[name] is None else f"{1000 * row[name]:.{digits}f}"


def _share(part: float | None) -> str:
    return "–" if part is None else f"{100 * part:.0f}%"


_ALL_FORMS = (
    "The harness's operator beside the fastest of the other forms that people write (all are in "
    "`results/benchmarks/{}.json`), each alternating call by call with `clone()` of the same tensor over three "
    "buffers, {}. / clone: in copies of the tensor; / bytes: over moving what must move at the copy's bandwidth."
)


def _peak(row: Mapping[str, Any]) -> str:
    """Return the memory of a step that was a process of its own; figures of earlier versions have none."""
    return f"{row['peak_mib']:,.0f}" if row.get("peak_mib") else "–"


_SECTIONS: dict[str, Section] = {
    "ops": Section(
        "Pooling across channels",
        _ALL_FORMS.format("ops", "with a worker's memory"),
        {
            "op": _text("op"), "shape": lambda row: shape_text(row["shape"]), "s": _text("stride"),
            "layout": _text("layout"), "dtype": _text("dtype"), "pass": _text("pass"), "ms": _milliseconds("seconds"),
            "/ clone": _number("ratio_to_clone", 2), "/ bytes": _number("ratio_to_bytes", 2),
            "best other": _text("other"), "its ms": _milliseconds("other_seconds"),
            "times faster": _number("faster", 1),
        },
        _cases,
    ),
    "epoch": Section(
        "An epoch",
        ("One epoch by the harness and by the usual loop (`harness/bench/usual.py`), in turn. Ratio: images per second "
         "over the usual loop's. Accuracy: on the test set after the epoch."),
        {
            "case": _text("case"), "loop": _text("loop"), "precision": _text("precision"), "device": _text("device"),
            "workers": _text("workers"), "images": _number("images", 0), "s": _number("seconds", 1),
            "images/s": _number("images_per_s", 0), "ratio": _number("ratio", 2), "accuracy": _number("accuracy", 4),
        },
    ),
    "overhead": Section(
        "The harness around a run",
        ("Whole commands: `harness run grid` (store, curves, checkpoints) against the same work in plain scripts, a "
         "process per run. Each round times both sides, in random order. Not measurable: the interval over the "
         "rounds reaches none, or lies below it (which nothing around a run can do: the machine was not at rest)."),
        {
            "task": _text("task"), "runs": _text("runs"), "bare s": _number("bare_seconds", 1),
            "grid s": _number("grid_seconds", 1), "more per run": _more,
            "rounds": lambda row: str(_rounds(row)), "overhead [95%]": overhead_text,
        },
    ),
    "store": Section(
        "The store",
        ("Made-up attempts: written as the driver writes them, exported, merged into another store, planned from the "
         "study file, rendered as the study's table; then whole commands, with their peak of memory."),
        {
            "step": _text("step"), "runs": _number("runs", 0), "metric rows": _number("metric_rows", 0),
            "s": _number("seconds", 2), "peak MiB": _peak,
        },
    ),
    "startup": Section(
        "Start-up",
        "Processor time (user and system) of a whole command, median.",
        {"command": _text("command"), "CPU s": _number("cpu_seconds", 3), "limit s": _number("limit", 2)},
    ),
}  # fmt: skip
_SECTIONS["ops-gpu"] = replace(
    _SECTIONS["ops"],
    title="Pooling across channels, on a GPU",
    words=_ALL_FORMS.format("ops-gpu", "by the GPU's own clock"),
    columns={
        **_SECTIONS["ops"].columns, "ms": _milliseconds("seconds", 4), "its ms": _milliseconds("other_seconds", 4),
    },
)  # fmt: skip
_SECTIONS["epoch-gpu"] = replace(
    _SECTIONS["epoch"],
    title="An epoch, on a GPU",
    words=(
        f"{_SECTIONS['epoch'].words} Of the peak: multiply-accumulates of both passes, in parts of what products of "
        "large matrices reach in the same precision on this GPU."
    ),
    columns={**_SECTIONS["epoch"].columns, "of the peak": lambda row: _share(row["of_peak"])},
)
