"""``run`` and ``exec``: programs in containers, in the foreground or left alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from .completion import container_argument
from .going import OURS, go, runtime
from .keeper import leave_to_keeper, needs_keeper
from .options import config_of, config_options, process_options, settings_of

if TYPE_CHECKING:
    from ..config import Config
    from ..proc.process import Process
    from ..runtime import KeptContainer
    from .attach import Wiring

_COMMAND = {"ignore_unknown_options": True, "allow_interspersed_args": False}
_program = click.argument(
    "args", metavar="[--] COMMAND...", nargs=-1, type=click.UNPROCESSED
)
_tty = click.option("-t", "--tty", is_flag=True, help="A terminal of its own.")
_timeout = click.option(
    "--timeout", metavar="SECONDS", type=float, help="Then it is killed (status 124)."
)
_report = click.option(
    "--report",
    type=click.Choice(["text", "json"]),
    help="Say on stderr how it ended, and what it used.",
)


def command_of(args: tuple[str, ...]) -> tuple[str, ...]:
    """The command line of the program, which ``--`` may come before."""
    command = args[1:] if args[:1] == ("--",) else args
    if not command:
        raise click.UsageError("what is to be run?")
    return command


def _go(function: Callable[..., Any]) -> Callable[..., None]:
    return go(function, failed=OURS)


@click.command("run", context_settings=_COMMAND)
@click.option("--name", metavar="ID", help="Id of the container; made up without.")
@click.option("-d", "--detach", is_flag=True, help="Leave it alone, and print its id.")
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="With --detach: its stdout and stderr are added to this file.",
)
@_tty
@_timeout
@_report
@config_options
@_program
@_go
async def run_command(
    name: str | None,
    detach: bool,
    output: str | None,
    tty: bool,
    timeout: float | None,
    report: str | None,
    args: tuple[str, ...],
    **values: Any,  # noqa: ANN401  of the options
) -> int:
    """Run COMMAND in a container of its own; its exit status is ours (128 and the
    number for a signal, 124 for --timeout, 125 to 127 if it can't be started).

    Without --rootfs or --overlay it sees the host's programs and libraries, read-only,
    and nothing else of the host.

    \b
    Examples:
      aiocontainer run -- sh -c 'id; ls /'
      aiocontainer run -m 64MiB --cpus 0.5 --timeout 10 -- python3 task.py
      aiocontainer run -v "$PWD" -w "$PWD" -u "$(id -u)" -- make
      aiocontainer run --overlay /srv/debian -t -- bash
      aiocontainer run -d --name web --overlay /srv/web -p 8080:80 -- /bin/server
      seq 9 | aiocontainer run --report json -- wc -l
    """
    args = command_of(args)
    if detach and (tty or timeout or report):
        raise click.UsageError("--detach can't be with --tty, --timeout or --report")
    if output and not detach:
        raise click.UsageError("--output needs --detach")
    config = config_of(values, tty=tty)
    if detach:
        if needs_keeper(config):
            return leave_to_keeper(name, config, args, output)
        return await _leave_alone(name, config, args, output)
    from .attach import Wiring

    wiring = Wiring.to_us(tty=tty)
    container = await runtime().create(name, config, args, **wiring.streams)
    async with container:
        process = container.init
        assert process is not None
        return await supervise(container, process, wiring, timeout, report, begin=True)


async def _leave_alone(
    name: str | None, config: Config, args: tuple[str, ...], output: str | None
) -> int:
    streams: dict[str, Any] = {}
    with open(output or "/dev/null", "ab") as file:
        if output:
            streams = {"stdout": file, "stderr": file}
        container = await runtime().create(name, config, args, detach=True, **streams)
    async with container:
        try:
            await container.start()
        except BaseException:
            await container.destroy()
            raise
    click.echo(container.id)
    return 0


@click.command("exec", context_settings=_COMMAND)
@_tty
@_timeout
@_report
@click.option(
    "--cgroup",
    metavar="[CONTROLLER:]PATH",
    multiple=True,
    help="A cgroup that is there, below the container's.",
)
@process_options
@container_argument
@_program
@_go
async def exec_command(
    id: str,
    tty: bool,
    timeout: float | None,
    report: str | None,
    cgroup: tuple[str, ...],
    args: tuple[str, ...],
    **values: Any,  # noqa: ANN401  of the options
) -> int:
    """Run COMMAND in the container ID, beside its own program. It ends with us.

    \b
    Examples:
      aiocontainer exec web -- ps
      aiocontainer exec -t web -- sh
      aiocontainer exec -u nobody --timeout 5 web -- /bin/check
      aiocontainer exec --cgroup memory:jobs web -- /bin/job
    """
    args = command_of(args)
    from ..cgroups.below import cgroup_of
    from .attach import Wiring

    place = cgroup_of(cgroup)
    wiring = Wiring.to_us(tty=tty)
    async with runtime().load(id) as container:
        settings = settings_of(values, tty=tty)
        process = await container.start(
            args, **wiring.streams, cgroup=place, **settings
        )
        return await supervise(container, process, wiring, timeout, report)


async def supervise(
    container: KeptContainer,
    process: Process,
    wiring: Wiring,
    timeout: float | None,
    report: str | None,
    *,
    begin: bool = False,
) -> int:
    """See a program through to its end; what we are to exit with."""
    import anyio

    from ..proc.result import ExitReason
    from .attach import attached
    from .ending import Ending

    ending = Ending(container, process)
    async with attached(process, wiring, ending.signal):
        if begin:
            await container.start()
        with anyio.move_on_after(timeout):
            await process.wait_for_end()
        if not process.ended:
            await process.end(ExitReason.TIMED_OUT)
    if report is not None:
        ending.report(report)
    return ending.status()
