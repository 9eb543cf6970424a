"""One look for all figures, and files whose bytes depend on nothing but what is drawn.

Without pyplot, which keeps state of its own. Colours can be told apart with any common colour blindness; dashes and
marks repeat what a colour says.
"""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from harness.attempt.metrics import Better
from harness.base.errors import HarnessError, printable
from harness.base.files import atomic_write
from harness.report.figures.groups import Group

Format = Literal["svg", "pdf", "png"]
FORMATS: tuple[Format, ...] = get_args(Format)
_DPI, _SCREEN_DPI = 200, 110  # of PNG: 1,280 pixels for the width of a page's text, 700 in a notebook

GREY = "#555555"
COLOURS = ("#0067a5", "#c8500a", "#00845f", "#b04a87", "#a67c00", "#3e9bd0", "#7a5230")
LINES: tuple[Any, ...] = ("-", (0, (4, 1.6)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_KINDS = {"spatial": COLOURS[0], "topk": COLOURS[1], "width": COLOURS[2], "conv1x1": COLOURS[3], "average": COLOURS[4]}
_DASHES: dict[int, Any] = {4: (0, (4, 1.6)), 8: (0, (1.2, 1.2))}

_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "axes.edgecolor": "#888888",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "xtick.labelcolor": "#222222",
    "ytick.labelcolor": "#222222",
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.6,
    "text.parse_math": False,  # names of trials and metrics are a person's
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
}


@dataclass(frozen=True, repr=False)
class Drawn:
    """A figure that was drawn: the name of its file, what it shows and from what."""

    name: str
    title: str
    caption: str
    figure: Figure

    def __repr__(self) -> str:
        """Return what it shows, in a line."""
        return f"<{self.title}>"

    def save(self, path: str | Path) -> Path:
        """Write the figure as its ending says, *.svg, *.pdf or *.png, and return the path. Raises HarnessError."""
        form = Path(path).suffix.removeprefix(".")
        if form not in FORMATS:
            raise HarnessError(f"a figure is saved as *.svg, *.pdf or *.png, not as '{path}'")
        with styled():
            atomic_write(Path(path), as_bytes(self, form))
        return Path(path)

    def _repr_png_(self) -> bytes:
        """Return what a notebook shows."""
        with styled():
            return as_bytes(self, "png", _SCREEN_DPI)


@dataclass(frozen=True)
class NotDrawn:
    """A figure whose data are not stored, and what is missing."""

    name: str
    title: str
    why: str


@contextmanager
def styled() -> Iterator[None]:
    """Draw and save with our settings, whatever a person's own are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def colour_of(group: Group) -> str:
    """Return a compressor's colour: grey without one."""
    return _KINDS.get(group.kinds[0], COLOURS[5]) if group.kinds else GREY


def dashes_of(group: Group) -> Any:
    """Return the line style of a stride: whole for 2, dashed for 4."""
    return _DASHES.get(group.strides[-1], "-") if group.strides else "-"


def colour_map(better: Better) -> str:
    """Return the colours of a metric's values, alike to all eyes and in grey too: the better, the darker."""
    return "cividis_r" if better == "higher" else "cividis"


def shown(label: str) -> str:
    """Return a label that a legend shows: it would leave out one that begins with "_"."""
    return f" {label}" if label.startswith("_") else label


def mark_powers(axis: Axis, words: Callable[[float, Any], str]) -> None:
    """Mark a logarithmic axis at 1, 2 and 5 of each power of ten, in words: matplotlib's own marks are formulas."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(words))
    axis.set_minor_locator(NullLocator())


def legend(*axes: Axes, columns: int = 1) -> None:
    """Put the legend of some axes of one figure below the whole of it, where it hides nothing."""
    figure = axes[0].get_figure(root=True)
    if figure is not None:
        entries = [entry for each in axes for entry in zip(*each.get_legend_handles_labels(), strict=True)]
        figure.legend(
            [handle for handle, _ in entries], [label for _, label in entries], loc="outside lower left", ncols=columns
        )


def file_name(*parts: str) -> str:
    """Return words as the name of a file, without its ending: "scatter-denoise-photos-test-gaussian-sigma-25"."""
    return re.sub(r"[^\w.=-]+", "-", "-".join(parts)).strip("-")


def as_bytes(drawn: Drawn, form: Format, dpi: int = _DPI) -> bytes:
    """Return the figure as a file, without the date. Call within `styled`."""
    _settle(drawn.figure)
    buffer = io.BytesIO()
    left_out: dict[str, Any] = {_DATED[form]: None}
    with mpl.rc_context({"svg.hashsalt": drawn.name}):
        drawn.figure.savefig(buffer, format=form, dpi=dpi, metadata={"Title": drawn.title, **left_out})
    if form == "svg":  # a control character, which a comment repeats, is no XML
        return printable(buffer.getvalue().decode()).encode()
    return buffer.getvalue()


_DATED = {"svg": "Date", "pdf": "CreationDate", "png": "Software"}
"""What a file would say that is another thing tomorrow."""


def _settle(figure: Figure) -> None:
    """Lay the figure out and keep every place, rounded: the solver's last digits differ from process to process, and an
    SVG's names are hashes of them.
    """
    figure.draw_without_rendering()
    with mpl.rc_context({"figure.constrained_layout.use": False}):
        figure.set_layout_engine(None)  # and not "none", which still has all drawn once more before it is written
    for axes in figure.axes:
        left, bottom, width, height = (round(float(edge), 6) for edge in axes.get_position(original=True).bounds)
        axes.set_position((left, bottom, width, height))
