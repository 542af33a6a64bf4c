"""``start``, ``kill``, ``pause``, ``resume``, ``update``, ``wait``, ``rm``, ``gc``."""

from __future__ import annotations

import signal
from typing import Any

import click

from ..errors import CgroupBusy, ContainerError, StateError, StatusError
from .completion import container_argument, containers_argument
from .going import FAILED, go, runtime, tell
from .options import limit_options


@click.command("start")
@container_argument
@go
async def start_command(id: str) -> None:
    """Have the program of a container begin that was only created."""
    async with runtime().load(id) as container:
        await container.start()


@click.command("kill")
@click.option(
    "-s", "--signal", "word", metavar="SIGNAL", default="KILL", show_default=True
)
@click.option("-a", "--all", "everyone", is_flag=True, help="Every process in it.")
@containers_argument
@go
async def kill_command(ids: tuple[str, ...], word: str, everyone: bool) -> int:
    """Send a signal to the first process of containers; KILL ends all in them.

    \b
    Examples:
      aiocontainer kill web
      aiocontainer kill -s HUP web
    """
    from .ending import signal_number

    number = signal_number(word)
    status = 0
    for id in ids:
        try:
            async with runtime().load(id) as container:
                if (now := container.status()) == "stopped":
                    raise StatusError(now, f"kill {id}")
                if number == signal.SIGKILL:
                    container.kill()
                elif everyone:
                    _signal_all(container.processes(), number)
                else:
                    container.signal(number)
        except ContainerError as error:
            tell(str(error))
            status = FAILED
    return status


def _signal_all(pids: list[int], number: int) -> None:
    import os

    for pid in pids:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            signal.pidfd_send_signal(pidfd, number)
        except ProcessLookupError:
            pass
        finally:
            os.close(pidfd)


@click.command("pause")
@containers_argument
@go
async def pause_command(ids: tuple[str, ...]) -> None:
    """Stop every process of containers, until `resume`."""
    for id in ids:
        async with runtime().load(id) as container:
            await container.pause()


@click.command("resume")
@containers_argument
@go
async def resume_command(ids: tuple[str, ...]) -> None:
    """Let every process of containers go on."""
    for id in ids:
        async with runtime().load(id) as container:
            await container.resume()


@click.command("update")
@limit_options
@click.option(
    "--may-kill", is_flag=True, help="Even if less memory than in use kills processes."
)
@container_argument
@go
async def update_command(
    id: str,
    may_kill: bool,
    **values: Any,  # noqa: ANN401  of the options
) -> None:
    """Change limits of a container while it runs.

    \b
    Examples:
      aiocontainer update -m 512MiB web
      aiocontainer update --cpus 2 --pids 100 web
    """
    from ..config import Resources
    from ..config.shorthands import fold_shorthands

    resources = fold_shorthands(values).get("resources")
    if not isinstance(resources, Resources):
        raise click.UsageError("what is to be changed?")
    async with runtime().load(id) as container:
        await container.set(resources, may_kill=may_kill)


@click.command("wait")
@container_argument
@go
async def wait_command(id: str) -> int:
    """Wait for the end of a container's own program; its exit status is ours."""
    async with runtime().load(id) as container:
        status = await container.wait()
    return status if status >= 0 else 128 - status


@click.command("rm")
@click.option("-f", "--force", is_flag=True, help="End it first, if it is alive.")
@containers_argument
@go
async def rm_command(ids: tuple[str, ...], force: bool) -> int:
    """Remove containers that have ended.

    \b
    Examples:
      aiocontainer rm web
      aiocontainer rm -f $(aiocontainer ps -q)
    """
    status = 0
    for id in ids:
        try:
            await _remove(id, force)
        except ContainerError as error:
            tell(str(error))
            status = FAILED
    return status


async def _remove(id: str, force: bool) -> None:
    from ..runtime.collecting import collect_one
    from ..state import Store

    found = [each for each in runtime().list() if each.id == id]
    if found and (found[0].error is not None or found[0].leftover):
        # Nobody can load it, or its program can't see to it any more.
        if not await collect_one(Store(runtime().root), id, foreign=force):
            raise found[0].error or StatusError(found[0].status, f"remove {id}")
        return
    async with runtime().load(id) as container:
        status = container.status()
        if status not in ("stopped", "checkpointed") and not force:
            raise StatusError(status, f"remove {id} without --force")
        await container.destroy()


@click.command("gc")
@click.option("--stopped", is_flag=True, help="Also detached ones that have ended.")
@click.option("--foreign", is_flag=True, help="Also records that we didn't write.")
@go
async def gc_command(stopped: bool, foreign: bool) -> int:
    """Remove what killed programs have left: processes, cgroups, records.

    Prints the ids. Detached containers, and those of living programs, stay.
    """
    try:
        for id in await runtime().collect(stopped=stopped, foreign=foreign):
            click.echo(id)
    except (CgroupBusy, StateError) as error:
        tell(str(error))
        for note in getattr(error, "__notes__", ()):
            tell(note)
        return FAILED
    return 0
