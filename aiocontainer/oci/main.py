"""The entry point: from a command line to the module that does the command."""

from __future__ import annotations

import gc
import os
import sys

from . import arguments
from .report import Log, describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, NoReturn

    from .arguments import Options

_FUNCTIONS: Final = {
    "create": "create.create",
    "run": "create.run",
    "restore": "checkpointing.restore",
    "checkpoint": "checkpointing.checkpoint",
    "exec": "joining.execute",
    "start": "starting.start",
    "state": "telling.state",
    "list": "telling.list_all",
    "ps": "telling.ps",
    "events": "watching.events",
    "kill": "ending.kill",
    "delete": "ending.delete",
    "pause": "changing.pause",
    "resume": "changing.resume",
    "update": "changing.update",
    "spec": "documents.spec",
    "features": "documents.features",
}
"""Command -> the function that does it, and its module."""

_STARTING: Final = frozenset(("create", "run", "exec"))
"""Commands that start a process."""

_LEAN: Final = _STARTING | {"pause", "resume", "update", "features"}
"""Commands that use the library, in a way that stand-ins may be enough for."""

EXEC_FAILED: Final = 255
"""Exit status of ``exec`` where the program wasn't executed."""


def main(
    words: list[str] | None = None, *, lean: bool = True, told: int = 0
) -> NoReturn:
    """Do what the command line says, and exit with the status that engines expect.

    Args:
        words: the command line; ``None`` is the process's.
        lean: with stand-ins for what takes long to load, where that is enough.
        told: how many warnings were written before this, the second time.
    """
    gc.disable()  # what is made here is needed to the end, which is near
    _complete_streams()
    log = Log(None, "text", debug=False)
    command = None
    try:
        words = sys.argv[1:] if words is None else words
        options = arguments.parse(words)
        command = options.command
        log = Log(options.log, options.log_format, debug=options.debug, told=told)
        if command is None:
            _print_version()
            raise SystemExit(0)
        if lean and command in _LEAN and not _takes_the_real(options):
            from .lean import attempt

            status = attempt(lambda: _do(options, log), words, log)
        else:
            status = _do(options, log)
    except arguments.UsageError as error:
        if (said := error.options) is not None:
            log = Log(said.log, said.log_format, debug=said.debug)
        log.error(str(error))
        status = error.status
    except KeyboardInterrupt:
        status = 130
    except Exception as error:
        log.error(f"{_during(command)}{describe(error)}")
        status = EXEC_FAILED if command == "exec" else 1
    if spawner := sys.modules.get("aiocontainer.proc.spawner"):
        spawner.stop()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status or 0)  # to take all apart would take longer than most commands


def _complete_streams() -> None:
    """Have stdin, stdout and stderr be something: else what we open gets these numbers,
    and so the container gets that."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  to the end


def _do(options: Options, log: Log) -> int | None:
    if options.command in _STARTING:
        _begin_spawner()
    module, _, function = _FUNCTIONS[options.command].partition(".")
    loaded = __import__(f"{__package__}.{module}", fromlist=[function])
    do = getattr(loaded, function)
    status: int | None = do(options, log)
    return status


def _takes_the_real(options: Options) -> bool:
    """It is known that stand-ins won't do: systemd is spoken to in a loop, and what is
    read from a pipe can't be read twice."""
    if options.systemd_cgroup or options.cgroup_manager == "systemd":
        return True
    document = None
    if options.command == "exec":
        document = options.process
    elif options.command == "update" and options.resources != "-":  # that is kept
        document = options.resources
    return document is not None and not os.path.isfile(document)


def _begin_spawner() -> None:
    """Have it loaded beside us, while we load what speaks to it."""
    from ..proc import spawner

    spawner.current()


def _during(command: str | None) -> str:
    if command in ("create", "run", "exec", "restore"):
        return f"aiocontainer {command} failed: "
    return ""


def _print_version() -> None:
    from .. import __version__

    # Engines read the first line, and the one of the specification.
    sys.stdout.write(f"aiocontainer-oci version {__version__}\nspec: 1.3.0\n")
