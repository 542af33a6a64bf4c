"""The commands, each loaded when it is needed."""

from __future__ import annotations

import importlib
import os
from typing import Final

import click

from .. import __version__

_HOMES: Final = {
    "running": ("run", "exec"),
    "looking": ("ps", "stats", "events", "inspect"),
    "live": ("top",),
    "planning": ("plan", "doctor"),
    "acting": ("start", "kill", "pause", "resume", "update", "wait", "rm", "gc"),
    "completion": ("completion",),
    "nsinit": ("nsinit",),
    "keeper": ("keeper",),
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}


class Commands(click.Group):
    """A group whose commands are imported on first use: click, and what they need."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of a container's life, not of the alphabet."""
        return list(_HOME_OF)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, from its module."""
        home = _HOME_OF.get(cmd_name)
        if home is None:
            return None
        module = importlib.import_module(f".{home}", __package__)
        found: click.Command = getattr(module, f"{cmd_name}_command")
        return found


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 92},
    epilog="See `aiocontainer COMMAND --help` for examples.",
)
@click.version_option(__version__, prog_name="aiocontainer")
@click.option(
    "--root",
    metavar="DIR",
    envvar="AIOCONTAINER_ROOT",
    help="Where the states of containers are kept.  [env: AIOCONTAINER_ROOT]",
)
@click.pass_context
def cli(ctx: click.Context, root: str | None) -> None:
    """Linux containers without a daemon: run them, watch them, end them.

    \b
    aiocontainer run -- sh                      the host's programs, read-only
    aiocontainer run --overlay /srv/debian -t -- bash
    aiocontainer run -d --name web --memory 256MiB --overlay /srv/web -- /bin/server
    aiocontainer ps
    """
    ctx.obj = os.path.abspath(root) if root else None
