"""`harness cost`: parameters, variables, MACs and the paper's FLOPs of a study's networks."""

from typing import TYPE_CHECKING, Any

import click

from harness.base.errors import HarnessError
from harness.cli.common import (
    amount,
    files_argument,
    format_option,
    load_studies,
    only_option,
    plugins_option,
    print_json,
    print_table,
    set_option,
    skip_option,
)

if TYPE_CHECKING:
    from harness.cost.narrow import By

_COUNTS = ("parameters", "variables", "weights", "macs", "paper_flops")


@click.command()
@files_argument
@only_option
@set_option
@skip_option
@plugins_option
@click.option(
    "--narrow",
    type=click.Choice(["parameters", "macs"]),
    help="Add the width at which the whole network, uniformly narrowed, costs as much without its compressors.",
)
@format_option("text", "json")
def cost(
    files: tuple[str, ...],
    only: str | None,
    overrides: tuple[str, ...],
    skip_invalid: bool,
    narrow: "By | None",
    fmt: str,
) -> None:
    """Count what the networks of STUDY files cost, without data and without training.

    parameters: trainable; variables: with the moving statistics of batch normalisation; weights: of convolutions and
    linear layers; macs: multiply-accumulates of a forward pass, an image; paper_flops: what the paper's FLOPs column
    counts, 2·weights + 6·BN channels.

    \b
    harness cost ablations/mnist.yml --format json
    harness cost ablations/cifar.yml --only '2FP*' --narrow parameters
    """
    from harness.execution.register import trial_costs

    rows = []
    for study in load_studies(files, overrides, only, skip_invalid=skip_invalid):
        for item in study.chosen:
            if item.trial.is_function:
                raise HarnessError(f"'{study.name}: {item.name}' is a function: there is no network to count")
            costs = trial_costs(item.trial, study.plugin_folders)
            counts = {name: int(costs[name]) if name in costs else None for name in _COUNTS}
            if narrow and item.trial.is_untrained:
                raise HarnessError(f"'{study.name}: {item.name}' is not trained: --narrow is of networks that are")
            width = _narrow_width(item.trial, narrow, study.plugin_folders) if narrow else {}
            rows.append({"trial": item.name, "key": item.trial.key, **counts, **width})
    if fmt == "json":
        print_json(rows)
    else:
        print_table(
            ["trial", *(name.replace("_", " ") for name in _COUNTS), *(["narrow: width", narrow] if narrow else [])],
            [
                [row["trial"], *("–" if row[name] is None else amount(row[name]) for name in _COUNTS)]
                + ([row["narrow_width"], amount(row["narrow_cost"])] if narrow else [])
                for row in rows
            ],
        )


def _narrow_width(trial: Any, by: "By", plugin_folders: tuple[str, ...]) -> dict[str, float]:
    """Return the width of the network that is as costly as a trial's, and what it costs."""
    from harness.cost.narrow import narrow

    found = narrow(trial.config, by, plugin_folders)
    return {"narrow_width": found.width, "narrow_cost": found.cost}
