"""The Markdown file beside the figures: what each shows, the numbers for what the paper reads off it, what is not
run.
"""

from collections.abc import Sequence

from harness.report.figures.numbers import Numbers, Pointing, figure_of, mean_and_all, quantities
from harness.report.figures.style import Drawn, NotDrawn
from harness.report.render.markdown import escape

_HOW = {
    "area under the curve": "mean test accuracy (first 2,000 images) over all steps observed",
    "steps to 97%": "the first step observed with an accuracy of 0.97; never: the last step + 100",
    "successive deviation": "standard deviation of the differences of successive points after the first epoch",
    "total variation": "mean absolute difference of neighbouring pixels over the map's standard deviation; constant "
    "maps are left out",
    "similarity to the baseline": "linear CKA with the baseline's maps at the same seed: pixels are samples, channels "
    "features, mean of ten images",
    "hidden mean": "activations of the last hidden layer, mean over the steps of the last epoch",
    "hidden variance": "their variance, mean over the steps of the last epoch",
}


def figures_markdown(
    figures: Sequence[Drawn | NotDrawn], numbers: Numbers | None, folder: str = "", ending: str = "svg"
) -> str:
    """Return the page. `folder` is where the figures lie, as the page links to them ("figures/"); "" links none.

    `numbers` are those of the paper's figures; None if the page is not about them.
    """
    lines = ["# Figures from stored results", ""]
    lines += [] if numbers is None else _numbers(numbers)
    drawn = [figure for figure in figures if isinstance(figure, Drawn)]
    if drawn:
        lines += ["## Figures", ""]
    for figure in drawn:
        lines += [f"**{escape(figure.title)}** {escape(figure.caption)}", ""]
        lines += [f"![{figure.title}]({folder}{figure.name}.{ending})", ""] if folder else []
    missing = [figure for figure in figures if isinstance(figure, NotDrawn)]
    if missing:
        lines += ["## Not drawn", ""]
        lines += [f"- {escape(figure.title)}: {escape(figure.why)}." for figure in missing] + [""]
    return "\n".join(lines).rstrip("\n") + "\n"


def numbers_markdown(numbers: Numbers) -> str:
    """Return the numbers alone."""
    return "\n".join(_numbers(numbers)).rstrip("\n") + "\n"


def _numbers(numbers: Numbers) -> list[str]:
    """Return a table of each figure's quantities, and what the paper reads from it beside the numbers."""
    if not numbers.readings:
        return ["No run of Table 1 with curves or maps is stored: there are no numbers to Figs. 4, 5 and 6.", ""]
    lines = []
    for figure in dict.fromkeys(figure_of(q) for q in quantities()):
        names = [q for q in quantities() if figure_of(q) == figure and numbers.of(q)]
        if not names:
            continue
        lines += [
            f"## {figure} in numbers",
            "",
            "Mean over the seeds, in brackets each seed's value; of more than four the least and the most.",
            "",
        ]
        labels = list(dict.fromkeys(r.label for q in names for r in numbers.of(q)))
        rows = [["", *(name.capitalize() for name in names)]]
        for label in labels:
            found = {r.quantity: r.words for q in names for r in numbers.of(q) if r.label == label}
            rows.append([label, *(found.get(name, "–") for name in names)])
        lines += [*_table(rows), ""]
        lines += [f"- {name}: {_HOW[name]}" for name in names]
        lines += _between(numbers) if "similarity to the baseline" in names else []
        lines += ["", *_readings(numbers, figure)]
    return [*lines, *(part for remark in numbers.remarks for part in (f"Some of it was {escape(remark)}.", ""))]


def _between(numbers: Numbers) -> list[str]:
    if not numbers.between_baselines:
        return []
    pairs = numbers.between_baselines
    return [f"- For comparison, baseline to baseline of another seed: {mean_and_all(pairs, 3)}"]


def _readings(numbers: Numbers, figure: str) -> list[str]:
    """Return the table of the paper's sentences beside the numbers."""
    mine = [p for p in numbers.pointing if figure_of(p.claim.quantity) == figure]
    if not mine:
        return []
    rows = [["The paper reads", "Quantity", "Networks", "First", "Second", "Seeds that point its way"]]
    for before, p in zip([None, *mine], mine, strict=False):
        rows.append(_reading(p, again=before is not None and before.claim.quote == p.claim.quote))
    seeds = max(len(p.seeds) for p in mine)
    few = f"With {seeds} seed{'s' if seeds > 1 else ''} no outcome has a p below {2.0**-seeds:.2g}: "
    told = f"{few}a direction, no finding." if seeds < 5 else "Decided by `harness report findings`, not here."
    return [*_table(rows), "", told, ""]


def _reading(p: Pointing, *, again: bool) -> list[str]:
    word = {"less": "less", "greater": "more", "either": "alike"}[p.claim.direction]
    return [
        "″" if again else f"“{p.claim.quote}”",
        f"{p.claim.quantity}: {word}",
        " against ".join(p.claim.trials),
        p.first.mean_words,
        p.second.mean_words,
        f"{p.agreeing} of {len(p.seeds)}",
    ]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *body = [f"| {' | '.join(escape(field) for field in row)} |" for row in rows]
    return [head, f"| --- |{' ---: |' * (len(rows[0]) - 1)}", *body]
