"""The small table under a table: each row's result over its seeds beside the row that it is compared with, and in words
what so few seeds can show.
"""

import math
from collections.abc import Iterable, Sequence

from harness.report.document import Statistics, StatisticsTable
from harness.report.printing import MINUS, NOTHING, number
from harness.report.tables.cells import TracedCell
from harness.report.tables.table import NumberFormat, Select, Table
from harness.stats.comparison import Difference, McNemar
from harness.stats.tests import ALPHA, draw_error, smallest_p


def statistics_tables(table: Table, found: Sequence[TracedCell], how: Select) -> tuple[StatisticsTable, ...]:
    """Return a small table for each column of results of which something is stored; none if there is one row alone."""
    if len(table.rows) < 2:
        return ()
    made = []
    for column in (c for c in table.columns if c.source == "result"):
        rows = [(f.row.label, f.cell.statistics) for f in found if f.column.key == column.key]
        if any(statistics is not None for _, statistics in rows):
            made.append(small_table(column.label, column.unit, column.format, str(table.baseline), rows, how))
    return tuple(made)


def small_table(
    label: str,
    unit: str,
    form: NumberFormat,
    baseline: str,
    rows: Sequence[tuple[str, Statistics | None]],
    how: Select = "mean",
    *,
    networks: bool = True,
) -> StatisticsTable:
    """Return the small table of one column of results; without `networks` none are compared image by image."""
    several = len({s.against for _, s in rows if s is not None and s.against is not None}) > 1
    other = "the row in brackets" if several else baseline
    by_item = any(s is not None and s.items is not None for _, s in rows)
    heads = ["Seeds", "Mean ± sd", "Difference [95%]", "p (Holm)"]
    heads += ["By image [95%] (seeds)" if by_item else "McNemar p (b/c; seeds)"] if networks else []
    points = "; differences in percentage points" if unit == "percent" else ""
    words = f" ({unit}{points})" if unit not in {"", "fraction"} else ""
    return StatisticsTable(
        name=f"{label} [{unit}]" if unit and networks else label,
        title=f"{label} over seeds, against {other}{words}.",
        columns=tuple(heads),
        rows=tuple((_label(name, s, several=several), *_fields(s, form, len(heads))) for name, s in rows),
        notes=tuple(_notes(rows, other, how)),
        data=tuple(s for _, s in rows),
        networks=networks,
        can_tell=_attainable([s.difference for _, s in rows if s is not None and s.difference is not None]),
    )


def _label(label: str, statistics: Statistics | None, *, several: bool) -> str:
    """Return a row's label, with that of the row that it is compared with if these differ."""
    against = None if statistics is None else statistics.against
    return f"{label} (against {against})" if several and against is not None else label


def _fields(statistics: Statistics | None, form: NumberFormat, fields: int) -> list[str]:
    """Return a row's fields: what does not apply or is not stored is a dash."""
    if statistics is None:
        return [NOTHING] * fields
    d = statistics.difference
    spread = number(statistics.mean, form)
    if statistics.sd is not None and not math.isnan(statistics.sd):
        spread += f" ± {number(statistics.sd, form)}"
    return [
        seeds_text(statistics.seeds),
        spread,
        NOTHING if d is None else _difference(d, form),
        NOTHING if d is None or math.isnan(d.p) else f"{p_text(d.p, d.draws)} ({p_text(d.p_holm)})",
        _networks(statistics, form),
    ][:fields]


def _networks(statistics: Statistics, form: NumberFormat) -> str:
    """Return how two single networks compare image by image."""
    gap = statistics.items
    if gap is None:
        return NOTHING if statistics.mcnemar is None else _mcnemar(statistics.mcnemar)
    return f"{_interval(gap.mean, gap.low_95, gap.high_95, form)} ({gap.seed}, {gap.against_seed})"


def seeds_text(seeds: Sequence[int]) -> str:
    """Return "0, 1, 2", and four or more in a row as "0–8"."""
    rows: list[list[int]] = []
    for seed in sorted(seeds):
        if rows and seed == rows[-1][-1] + 1:
            rows[-1].append(seed)
        else:
            rows.append([seed])
    return ", ".join(f"{row[0]}–{row[-1]}" if len(row) > 3 else ", ".join(map(str, row)) for row in rows)


def _difference(d: Difference, form: NumberFormat) -> str:
    """Return "+0.0013 [−0.0051, +0.0077]"; of one pair without the interval."""
    return _interval(d.mean, d.low_95, d.high_95, form)


def _interval(middle: float, low: float | None, high: float | None, form: NumberFormat) -> str:
    if low is None or high is None or math.isnan(low):
        return signed(middle, form)
    return f"{signed(middle, form)} [{signed(low, form)}, {signed(high, form)}]"


def _mcnemar(pair: McNemar) -> str:
    return f"{p_text(pair.p)} ({pair.only_this}/{pair.only_against}; {pair.seed}, {pair.against_seed})"


def signed(value: float, form: NumberFormat) -> str:
    """Return a difference with its sign; zero without one, nan as it is."""
    text = number(abs(value), form)
    if math.isnan(value) or not float(text):
        return text
    return f"{'+' if value > 0 else MINUS}{text}"


def p_text(p: float, drawn: int | None = None) -> str:
    """Return a p with two significant digits, "< 0.0001" if it is smaller; with its error, if it is from draws."""
    error = draw_error(p, drawn)
    return ("< 0.0001" if p < 0.0001 else f"{p:.2g}") + ("" if error is None else f" ± {error:.1g}")


def _notes(rows: Sequence[tuple[str, Statistics | None]], other: str, how: Select) -> Iterable[str]:
    """Say how to read the small table, what so many seeds can tell, and what is missing."""
    compared = [s.difference for _, s in rows if s is not None and s.difference is not None]
    tests = max((d.tests for d in compared), default=0)
    networks = any(s is not None and s.mcnemar is not None for _, s in rows)
    if compared:
        yield (
            f"sd: sample standard deviation. Difference: row {MINUS} {other}, paired by seed, with its 95% interval"
            f" (Student's t). p: {_flips(compared)}; in brackets after Holm's correction over the"
            f" {_rows(tests)} compared. Intervals{' and McNemar tests' if networks else ''} are each row's alone."
        )
        yield from _partly_shared(rows, other)
    if networks:
        yield _about_mcnemar(other, how)
    if any(s is not None and s.items is not None for _, s in rows):
        yield _about_items(other, how)
    if compared:
        yield _attainable(compared)
    broken = [label for label, s in rows if s is not None and math.isnan(s.mean)]
    if broken:
        yield (
            f"nan among the runs of {_listed(broken)}: a run that diverges is a result, so mean, deviation and interval"
            " with it are nan, and it gives no p."
        )
    for note in sorted({s.note for _, s in rows if s is not None and s.note is not None}):
        missing = [label for label, s in rows if s is not None and s.note == note]
        yield f"Not compared, as {note}: {_listed(missing)}."


def _attainable(compared: Sequence[Difference]) -> str:
    """Say what the most seeds of some rows that are compared can tell; "" of none."""
    if not compared:
        return ""
    return can_tell(max(len(d.seeds) for d in compared), max(d.tests for d in compared))


def _about_mcnemar(other: str, how: Select) -> str:
    pair = "the two networks that are shown" if how == "best" else "the networks of the smallest seed that both have"
    chosen = ", which were picked on the same images; the test does not allow for that" if how == "best" else ""
    return (
        f"McNemar: exact, two-sided test between single networks, image by image: {pair} (seeds: the row's, that of"
        f" {other}){chosen}. b: images that only the row's network has right, c: only the other. It says nothing of"
        " other seeds."
    )


def _about_items(other: str, how: Select) -> str:
    pair = "the two networks that are shown" if how == "best" else "the networks of the smallest seed that both have"
    return (
        f"By image: the mean over the images of {pair} (seeds: the row's, that of {other}), row {MINUS} {other}, with"
        " its 95% interval by a paired bootstrap over the images. It says nothing of other seeds."
    )


def _flips(compared: Sequence[Difference]) -> str:
    """Name the test, and say how p was estimated if choices of signs were drawn."""
    drawn = {d.draws for d in compared if d.draws is not None}
    if not drawn:
        return "exact two-sided sign-flip test"
    counted = "" if all(d.draws for d in compared) else " (of few seeds exact)"
    return (
        f"two-sided sign-flip test{counted} by {' or '.join(f'{n:,}' for n in sorted(drawn))} choices of signs drawn at"
        " random from a fixed seed, as (b + 1)/(B + 1), ± its Monte-Carlo standard error"
    )


def _partly_shared(rows: Sequence[tuple[str, Statistics | None]], other: str) -> Iterable[str]:
    """Say of which rows the difference is over fewer seeds than the means beside it."""
    for label, s in rows:
        if s is not None and s.difference is not None and s.paired_means is not None:
            against = other if s.against is None else s.against
            yield (
                f"{label}: the difference is over {_seeds(s.difference.seeds)}, which {against} has too; each mean is"
                " over all seeds of its row."
            )


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'' if len(seeds) == 1 else 's'} {seeds_text(seeds)}"


def can_tell(seeds: int, tests: int) -> str:
    """Return a sentence on what a sign-flip test of so many seeds, in so many tests, can and cannot tell."""
    least = smallest_p(seeds, tests=tests)
    corrected = min(1.0, tests * least)
    if seeds == 1:
        return "1 seed cannot tell: there is no spread to hold a difference against."
    if least >= ALPHA:
        return (
            f"{seeds} seeds cannot tell: even if all differences pointed one way, p would be {p_text(least)}"
            f"{f' ({p_text(corrected)} after the correction)' if tests > 1 else ''}."
        )
    if corrected >= ALPHA:
        return (
            f"{seeds} seeds can tell one difference (p no smaller than {p_text(least)}), but not {_rows(tests)}: after"
            f" the correction no p is below {p_text(corrected)}, even if all differences pointed one way."
        )
    return (
        f"{seeds} seeds give no smaller p than {p_text(least)}"
        f"{f', {p_text(corrected)} after the correction' if tests > 1 else ''}."
    )


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number} rows"


def _listed(labels: Sequence[str]) -> str:
    return "; ".join(labels)
