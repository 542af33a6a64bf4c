"""nsinit's commands and flags of 2015.

    cd ROOTFS; aiocontainer nsinit exec --tty /bin/sh

makes the container that ``container.json`` there describes (or the flags, where there
is none), and the same command again joins it. ``init`` was nsinit's other half, inside
the container; the helper of this library does that.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from ...errors import ConfigError
from ..going import go, leave, log_to, tell, told
from . import work

F = TypeVar("F", bound=Callable[..., Any])

_ENVIRONMENT: Final = (
    "HOME=/root",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOSTNAME=nsinit",
    "TERM=xterm",
)
_id = click.option(
    "--id", default="nsinit", show_default=True, help="Of the container."
)


def _flag(name: str, text: str, **options: Any) -> Callable[[F], F]:  # noqa: ANN401
    return click.option(f"--{name}", help=text, **options)


_CREATE: Final = (
    _flag("cgroup", "Parent of the cgroup."),
    _flag("read-only", "Root directory read-only.", is_flag=True),
    _flag("cpushares", "CPU shares.", type=int),
    _flag("memory-limit", "In bytes.", type=int),
    _flag("memory-swap", "Memory and swap, in bytes.", type=int),
    _flag("memory-swappiness", "0 to 100.", type=int),
    _flag("cpuset-cpus", "Processors, as 0-3."),
    _flag("cpuset-mems", "Memory nodes."),
    _flag("parent-death-signal", "Sent when its parent ends.", type=int),
    _flag("userns-root-uid", "The host's id that is root inside.", type=int),
    _flag("veth-mtu", "Of the veth pair.", type=int),
    _flag("veth-address", "As 10.0.0.2/24."),
    _flag("veth-bridge", "The bridge that it is attached to."),
    _flag("veth-gateway", "The default route."),
    _flag("apparmor-profile", "AppArmor profile."),
    _flag("process-label", "SELinux label of the process."),
    _flag("mount-label", "SELinux label of the mounts."),
    _flag("hostname", "Host name."),
    _flag("rootfs", "Root directory; by default the current one."),
    _flag("groups", "Additional group.", multiple=True),
    _flag("security", "Profile.", type=click.Choice(["high", "medium", "low"])),
    _flag("bind", "SOURCE:DIR[:ro|rw]", multiple=True),
    _flag("tmpfs", "A tmpfs there.", multiple=True),
    _flag("sysctl", "NAME=VALUE", multiple=True),
    *(
        _flag(name, f"{name} namespace: host, private, or a path.")
        for name in ("ipc", "mnt", "net", "pid", "uts")
    ),
)


def _create_flags(function: F) -> F:
    for option in reversed(_CREATE):
        function = option(function)
    return function


@click.group("nsinit")
@click.option("--root", help="Of the states.  [default: /run/nsinit]")
@click.option("--debug", is_flag=True, help="Taken, and without effect.")
@click.option("--log-file", metavar="FILE", help="Errors are added to it, too.")
@click.option("--criu", default="criu", help="Taken, and without effect.")
@click.pass_context
def nsinit_command(
    ctx: click.Context, root: str | None, debug: bool, log_file: str | None, criu: str
) -> None:
    """libcontainer's nsinit of 2015, on a container.json in the current directory.

    \b
    cd /srv/busybox
    aiocontainer nsinit config > container.json
    aiocontainer nsinit exec --tty /bin/sh      # again, in another window: joins it
    """
    ctx.obj = os.path.abspath(root) if root else ctx.obj or "/run/nsinit"
    if log_file is not None:
        log_to(log_file)


@nsinit_command.command(
    "exec",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option("-t", "--tty", is_flag=True, help="A terminal of its own.")
@click.option("--systemd", is_flag=True, help="Cgroups by systemd.")
@_id
@click.option(
    "--config", "config_file", metavar="FILE", help="Instead of the one here."
)
@click.option("-u", "--user", default="root", show_default=True)
@click.option("--cwd", help="Working directory.")
@click.option("--env", multiple=True, default=_ENVIRONMENT, help="NAME=VALUE")
@_create_flags
@click.argument("args", metavar="COMMAND...", nargs=-1, type=click.UNPROCESSED)
@go
async def exec_command(
    id: str,
    tty: bool,
    args: tuple[str, ...],
    **options: Any,  # noqa: ANN401  of the options
) -> int:
    """Run COMMAND: as pid 1 of a new container, or in the one that runs here."""
    from ..running import command_of

    return await work.execute(id, command_of(args), tty, options)


@nsinit_command.command("init", hidden=True)
def init_command() -> None:
    """Nothing: the library's own helper sets containers up."""
    tell("init is done by the library's helper; use exec")
    leave(1)


@nsinit_command.command("config")
@click.option("-f", "--file", "path", metavar="FILE", help="Instead of stdout.")
@_create_flags
def config_command(
    path: str | None,
    **flags: Any,  # noqa: ANN401  of the options
) -> None:
    """Print the container.json that these flags describe."""
    from .template import changed, template

    with told():
        text = json.dumps(changed(template(os.getcwd(), "nsinit"), flags), indent=1)
        if path is None:
            click.echo(text)
            return
        try:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text + "\n")
        except OSError as error:
            raise ConfigError("--file", str(error)) from None


@nsinit_command.command("oom")
@_id
@go
async def oom_command(id: str) -> None:
    """Print a line for each kill for want of memory, until the container ends."""
    async with work.runtime().load(id) as container, container.oom_events() as events:
        tell(f"waiting for out-of-memory notifications of {id}")
        async for _ in events:
            click.echo("OOM notification received")


@nsinit_command.command("pause")
@_id
@go
async def pause_command(id: str) -> None:
    """Stop all processes of the container."""
    async with work.runtime().load(id) as container:
        await container.pause()


@nsinit_command.command("unpause")
@_id
@go
async def unpause_command(id: str) -> None:
    """Let all processes of the container go on."""
    async with work.runtime().load(id) as container:
        await container.resume()


@nsinit_command.command("stats")
@_id
@go
async def stats_command(id: str) -> None:
    """Print what the container uses, as JSON."""
    async with work.runtime().load(id) as container:
        click.echo(json.dumps((await container.stats()).to_dict(), indent=1))


@nsinit_command.command("state")
@_id
def state_command(id: str) -> None:
    """Print the container's state, as JSON."""
    with told():
        click.echo(json.dumps(work.state(id), indent=1))
