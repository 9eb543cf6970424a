"""`harness cost`: parameters, variables, MACs and the paper's FLOPs of a study's networks."""

import click

from harness.cli.common import amount, format_option, load_studies, only_option, print_json, print_table, set_option

_COUNTS = ("parameters", "variables", "weights", "macs", "paper_flops")


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="STUDY...")
@only_option
@set_option
@format_option("text", "json")
def cost(files: tuple[str, ...], only: str | None, overrides: tuple[str, ...], fmt: str) -> None:
    """Count what the networks of STUDY files cost, without data and without training.

    parameters: trainable; variables: with the moving statistics of batch normalisation; weights: of convolutions and
    linear layers; macs: multiply-accumulates of a forward pass, an image; paper_flops: what the paper's FLOPs column
    counts, 2·weights + 6·BN channels.

    \b
    harness cost ablations/mnist.yml --format json
    """
    from harness.execution.register import trial_costs

    rows = []
    for study in load_studies(files, overrides, only):
        for item in study.chosen:
            costs = trial_costs(item.trial, study.plugin_folders)
            rows.append({"trial": item.name, "key": item.trial.key, **{name: int(costs[name]) for name in _COUNTS}})
    if fmt == "json":
        print_json(rows)
    else:
        print_table(
            ["trial", *(name.replace("_", " ") for name in _COUNTS)],
            [[row["trial"], *(amount(row[name]) for name in _COUNTS)] for row in rows],
        )
