"""What a person sees while attempts run: bars on a terminal, one line per epoch elsewhere. All on stderr.

On a narrow terminal the bar, the count and the time left stay. Of what is measured only as much is shown as fits, the
primary metric first; the name loses its study, if that is everyone's, and then its middle.
"""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from harness.attempt.messages import AttemptResult
from harness.base.errors import printable, printable_line
from harness.cli.common import duration
from harness.cli.terminal import behind
from harness.execution.lines import UNFINISHED, Lines, Said, said, summary_line
from harness.execution.options import Display

if TYPE_CHECKING:
    from rich.table import Table

_BAR = 10
_SHORTEST_NAME = 24
_GAPS = 4
_SPARE = 3  # for the "^C" that a terminal writes behind the last line: one that it breaks leaves a bar behind


class ShownDisplay(Display, Protocol):
    """A display that is opened for as long as attempts run."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def display() -> ShownDisplay:
    """Return bars if stderr is a terminal, lines if it is not."""
    return Bars() if sys.stderr.isatty() else Lines()


@dataclass
class _Row:
    """An attempt that runs."""

    name: str
    said: Said
    first_done: float | None = None  # how far it was when it said so first: one that resumes does not begin at 0
    since: float = field(default_factory=time.monotonic)

    def take(self, told: Said) -> None:
        """Take how far it is now."""
        if self.first_done is None and told.done is not None:
            self.first_done, self.since = told.done, time.monotonic()
        self.said = told

    @property
    def gained(self) -> float:
        """Which share of the attempt was made while this call looked on."""
        return 0.0 if self.said.done is None or self.first_done is None else self.said.done - self.first_done


class Bars:
    """A bar for all attempts and one for each that runs."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._began = time.monotonic()
        self._total: int | None = None
        self._ended: Counter[str] = Counter()
        self._gained = 0.0
        self._rows: dict[str, _Row] = {}
        self._console = Console(file=behind(sys.stderr))
        self._live = Live(console=self._console, get_renderable=self._table, refresh_per_second=4)

    def __enter__(self) -> Self:
        with suppress(OSError):
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # of a terminal that is gone
            self._live.stop()

    def total(self, attempts: int) -> None:
        """Set the length of the bar for all."""
        self._total = attempts

    def started(self, label: str, *, resumed: bool) -> None:
        """Add a bar."""
        begins = Said("resumes" if resumed else "begins", (), None)
        self._rows[label] = _Row(printable_line(label), begins)

    def progress(self, label: str, state: dict[str, Any]) -> None:
        """Move a bar."""
        self._rows[label].take(said(state))

    def ended(self, label: str, state: str, result: AttemptResult | None, error: str | None) -> None:
        """Replace a bar by a line."""
        row = self._rows.pop(label)
        self._ended[state] += 1
        self._gained += row.gained if state in UNFINISHED else 1 - (row.first_done or 0.0)
        line = printable(summary_line(label, state, result, error))
        self._console.print(line, highlight=False, markup=False)

    def _table(self) -> "Table":
        """Return the bars as they are now; called by the thread that draws them."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        rows = list(self._rows.values())
        lines = [self._line_of_all(rows), *map(self._line_of, rows)]
        fixed = _BAR + max(len(line[1]) for line in lines) + max(len(line[2]) for line in lines)
        room = self._console.width - fixed - _GAPS - _SPARE
        longest = min(max(len(line[0]) for line in lines), _SHORTEST_NAME)
        values = [_as_many_as_fit(line[3], room - longest) for line in lines]
        names = cut_names([line[0] for line in lines], max(room - max(map(len, values)), 1))
        table = Table.grid(padding=(0, 1, 0, 0))
        for _ in range(5):
            table.add_column(no_wrap=True)
        for name, (_, count, left, _, done), value in zip(names, lines, values, strict=True):
            bar = ProgressBar(total=None if done is None else 1, completed=done or 0, width=_BAR)
            table.add_row(_plain(name), bar, _plain(count), _plain(left), _plain(value))
        return table

    def _line_of_all(self, rows: Sequence[_Row]) -> "_Line":
        finished = sum(count for state, count in self._ended.items() if state not in UNFINISHED)
        now = ", ".join(f"{count} {state}" for state, count in sorted(self._ended.items()))
        if self._total is None:
            return "all", "", "", [now], None
        done = finished + sum(row.said.done or 0.0 for row in rows)
        gained = self._gained + sum(row.gained for row in rows)
        left = _time_left(self._began, gained, self._total - done) if rows else ""
        return "all", f"{finished}/{self._total}", left, [now], done / self._total if self._total else 1.0

    @staticmethod
    def _line_of(row: _Row) -> "_Line":
        told = row.said
        left = "" if told.done is None else _time_left(row.since, row.gained, 1 - told.done)
        return row.name, printable_line(told.count), left, [printable_line(value) for value in told.values], told.done


_Line = tuple[str, str, str, list[str], float | None]
"""Name, count, time left, what is measured, and which share is done."""


def _plain(text: str) -> Any:
    from rich.text import Text

    return Text(text)  # a trial may be called [relu]


def _time_left(since: float, gained: float, rest: float) -> str:
    """Return how long the rest will take, at the speed of what was gained since then; "" while nothing was."""
    return f"{duration((time.monotonic() - since) * max(rest, 0.0) / gained)} left" if gained > 0 else ""


def _as_many_as_fit(values: Sequence[str], width: int) -> str:
    """Return the first of some values as a list, as many as fit into a width."""
    for number in range(len(values), 0, -1):
        text = ", ".join(values[:number])
        if len(text) <= width:
            return text
    return ""


def cut_names(names: Sequence[str], width: int) -> list[str]:
    """Return names of runs, "STUDY: TRIAL, seed SEED", so that they fit into a width.

    If one is too long they lose the study that all of them share, and then their middle: the end tells them apart.
    """
    if max(map(len, names)) > width:
        studies = {study for study, colon, _ in (name.partition(": ") for name in names) if colon}
        if len(studies) == 1:
            names = [name.removeprefix(f"{next(iter(studies))}: ") for name in names]
    end = 2 * (width - 1) // 3
    cut = (f"{name[: width - 1 - end]}…{name[len(name) - end :]}" for name in names)
    return [name if len(name) <= width else short for name, short in zip(names, cut, strict=True)]
