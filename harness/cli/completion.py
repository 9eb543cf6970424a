"""`harness completion`: what a shell needs in order to complete commands and options."""

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), metavar="bash|zsh|fish")
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the lines that make a shell complete commands, options and their values.

    \b
    harness completion bash >> ~/.bashrc
    harness completion zsh >> ~/.zshrc
    harness completion fish > ~/.config/fish/completions/harness.fish
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"click has no completion for {shell}")
    root = ctx.find_root()
    click.echo(found(root.command, {}, "harness", "_HARNESS_COMPLETE").source())
