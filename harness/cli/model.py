"""`harness model`: the networks and where compressors can stand in them."""

import click

from harness.cli.common import format_option, print_json, print_table
from harness.spec.errors import HarnessError, did_you_mean


@click.group()
def model() -> None:
    """List models and the sites where compressors can stand."""


@model.command("list")
@format_option("text", "json")
def list_models(fmt: str) -> None:
    """List the networks that come with the harness.

    \b
    harness model list
    """
    from harness.spec.models import MODELS

    rows = [
        {"model": m.name, "input_shape": list(m.input_shape), "classes": m.classes, "sites": list(m.sites)}
        for m in MODELS.values()
    ]
    if fmt == "json":
        print_json(rows)
        return
    print_table(
        ["model", "input", "classes", "sites"],
        [[m.name, "×".join(map(str, m.input_shape)), m.classes, ", ".join(m.sites)] for m in MODELS.values()],
    )


@model.command()
@click.argument("name", metavar="MODEL")
@format_option("text", "json")
def sites(name: str, fmt: str) -> None:
    """Print the sites of MODEL, each named by the module behind which it stands.

    \b
    harness model sites mnist_cnn
    """
    from harness.spec.models import MODELS

    if name not in MODELS:
        raise HarnessError(f"unknown model '{name}'{did_you_mean(name, MODELS)}")
    found = MODELS[name].sites.values()
    if fmt == "json":
        print_json([{"path": s.name, "channels": s.channels, "narrowable": s.narrowable} for s in found])
    else:
        print_table(["site", "channels", "'width' possible"], [[s.name, s.channels, s.narrowable] for s in found])
