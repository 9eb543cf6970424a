"""The plot of `harness bench ops`: time in copies of the tensor, a panel for each operator and pass."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.base.files import atomic_open
from harness.bench.clock import shape_text


def write_plot(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write rows, as `OpRow.as_dict` gives them, as SVG: the same bytes for the same rows."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    panels = sorted({(row["op"], row["pass"]) for row in rows})
    tensors = list(dict.fromkeys(_tensor(row) for row in rows))
    with plt.rc_context({"svg.hashsalt": "harness", "font.size": 8}):
        figure, axes = plt.subplots(
            1, len(panels), figsize=(3.6 * len(panels) + 1.5, 0.8 + 0.22 * len(tensors)), sharey=True, squeeze=False
        )
        for axis, (op, both) in zip(axes[0], panels, strict=True):
            mine = [row for row in rows if (row["op"], row["pass"]) == (op, both)]
            for impl in dict.fromkeys(row["impl"] for row in mine):
                points = [(row["ratio_to_clone"], tensors.index(_tensor(row))) for row in mine if row["impl"] == impl]
                size = 36 if impl == "harness" else 14
                axis.scatter(*zip(*points, strict=True), s=size, label=impl, marker="D" if impl == "harness" else "o")
            axis.axvline(1, linewidth=0.5, color="0.5")
            axis.set(xscale="log", title=f"{op}, {both}", xlabel="time / clone()")
            axis.legend(
                fontsize=6, loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=5, ncols=3, frameon=False
            )
        axes[0][0].set_yticks(range(len(tensors)), tensors)
        figure.tight_layout()
        with atomic_open(path) as file:
            figure.savefig(file, format="svg", metadata={"Date": None})
        plt.close(figure)


def _tensor(row: Mapping[str, Any]) -> str:
    return f"{shape_text(row['shape'])} s={row['stride']} {row['layout']} {row['dtype']}"
