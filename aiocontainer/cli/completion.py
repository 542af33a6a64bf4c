"""Completion of commands, options and container ids by the shell."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, get_completion_class


def ids(ctx: click.Context, param: click.Parameter, start: str) -> list[CompletionItem]:
    """Ids of containers that begin with what was typed."""
    from ..errors import StateError
    from ..state import Store

    root = ctx.find_root().params.get("root")
    try:
        found = Store(root).ids()
    except StateError:
        return []
    return [CompletionItem(id) for id in found if id.startswith(start)]


container_argument = click.argument("id", metavar="ID", shell_complete=ids)
"""The one container that a command is about."""

containers_argument = click.argument(
    "ids", metavar="ID...", nargs=-1, required=True, shell_complete=ids
)
"""Those that a command is about."""


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print what makes SHELL complete commands, options and ids.

    \b
    Examples:
      source <(aiocontainer completion bash)
      aiocontainer completion fish > ~/.config/fish/completions/aiocontainer.fish
    """
    from .app import cli

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"nothing is known of {shell}")
    script = found(cli, {}, "aiocontainer", "_AIOCONTAINER_COMPLETE")
    click.echo(script.source())
