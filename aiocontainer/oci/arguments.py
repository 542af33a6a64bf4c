"""What may be said on the command line; runc's words (its manual pages, runc(8))."""

from __future__ import annotations

import argparse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final, NoReturn

    Add = Callable[[argparse.ArgumentParser], None]

COMMANDS: Final = {
    "create": "make a container, up to the point where its program is executed",
    "start": "execute the program of a container that was created",
    "run": "create and start a container, and wait for it",
    "exec": "execute another program in a container",
    "state": "print the state of a container",
    "kill": "send a signal to the container's first process",
    "delete": "remove a container",
    "list": "list the containers of this root",
    "ps": "list the processes in a container",
    "events": "print statistics and out-of-memory events",
    "pause": "stop all processes of a container",
    "resume": "let the processes of a container go on",
    "update": "change limits of a container",
    "spec": "write a config.json to begin with",
    "features": "print what this runtime can do",
    "checkpoint": "write the state of a running container to files",
    "restore": "run a container from a checkpoint",
}


class Parser(argparse.ArgumentParser):
    """Says what is wrong as an exception, which is then reported like any other."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{self.prog}: {message}")


class UsageError(Exception):
    """The command line can't be understood."""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Take a command line apart.

    Raises:
        UsageError: it can't be understood.
        SystemExit: it asked for help, which was printed.
    """
    end = _end_of_globals(arguments)
    parser = _global_parser()
    options = parser.parse_args(arguments[:end])
    options.command = None
    if options.version:
        return options
    if end == len(arguments) or arguments[end] == "help":
        parser.print_help()
        raise SystemExit(0)
    name, *own = arguments[end:]
    if name not in COMMANDS:
        raise UsageError(f"no such command: {name}")
    command = Parser(
        prog=f"aiocontainer-oci {name}",
        description=COMMANDS[name],
        allow_abbrev=False,
    )
    _ADD[name](command)
    options.command = name
    return command.parse_args(own, options)


def _end_of_globals(words: Sequence[str]) -> int:
    """Global options come before the command, which is the first other word."""
    end = 0
    while end < len(words) and words[end].startswith("-"):
        name, equals, _ = words[end].partition("=")
        takes_value = name.lstrip("-") in _GLOBAL_VALUES and not equals
        end += 2 if takes_value else 1
    return min(end, len(words))


_GLOBAL_VALUES: Final = frozenset(
    ("root", "log", "log-format", "rootless", "criu", "cgroup-manager")
)


def _global_parser() -> Parser:
    epilog = "commands:\n" + "".join(
        f"  {name:12}{text}\n" for name, text in COMMANDS.items()
    )
    parser = Parser(
        prog="aiocontainer-oci",
        description="An OCI runtime.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--root", help="where states are kept")
    add("--log", help="file to which messages are written")
    add("--log-format", choices=("text", "json"), default="text")
    add("--debug", action="store_true", help="write more to the log")
    add("--systemd-cgroup", action="store_true", help="cgroups are systemd's scopes")
    add("--cgroup-manager", choices=("cgroupfs", "systemd", "disabled"))
    choices = ("true", "false", "auto")
    add("--rootless", choices=choices, default="auto", dest="is_rootless")
    add("--criu", help="path of criu")
    add("-v", "--version", action="store_true", help="print the version")
    return parser


def _id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="container-id")


def _create(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-b", "--bundle", default=".", help="directory of config.json")
    add("--console-socket", help="socket that the terminal's master is sent to")
    add("--pidfd-socket", help="socket that a pidfd of the first process is sent to")
    add("--pid-file", help="file to which the process id is written")
    add("--no-pivot", action="store_true", help="move the root mount instead")
    add("--no-new-keyring", action="store_true", help="keep the session keyring")
    add("--preserve-fds", type=int, default=0, help="descriptors from 3 on to pass")
    _id(parser)


def _run(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-d", "--detach", action="store_true", help="don't wait for the program")
    add("--keep", action="store_true", help="don't delete the container at its end")
    add("--no-subreaper", action="store_true", help=argparse.SUPPRESS)
    _create(parser)


def _exec(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--console-socket", help="socket that the terminal's master is sent to")
    add("--pidfd-socket", help="socket that a pidfd of the process is sent to")
    add("--cwd", help="working directory")
    add("-e", "--env", action="append", default=[], help="NAME=VALUE")
    add("-t", "--tty", action="store_true", help="with a terminal")
    add("-u", "--user", help="UID[:GID]")
    add("-g", "--additional-gids", type=int, action="append", default=[])
    add("-p", "--process", help='file with the process (config.json\'s "process")')
    add("-d", "--detach", action="store_true", help="don't wait for the program")
    add("--pid-file", help="file to which the process id is written")
    add("--process-label", help="SELinux label")
    add("--apparmor", help="AppArmor profile")
    add("--no-new-privs", action="store_true")
    add("-c", "--cap", action="append", default=[], help="a further capability")
    add("--preserve-fds", type=int, default=0, help="descriptors from 3 on to pass")
    add("--cgroup", help="[CONTROLLER:]PATH below the container's cgroup")
    add("--ignore-paused", action="store_true", help="also in a paused container")
    _id(parser)
    add("args", nargs=argparse.REMAINDER, metavar="command")


def _kill(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-a", "--all", action="store_true", help="to all processes")
    _id(parser)
    parser.add_argument("signal", nargs="?", default="SIGTERM")


def _delete(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--force", action="store_true", help="end it first")
    _id(parser)


def _format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--format", choices=("table", "json"), default="table")


def _list(parser: argparse.ArgumentParser) -> None:
    _format(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="ids only")


def _ps(parser: argparse.ArgumentParser) -> None:
    _format(parser)
    _id(parser)
    parser.add_argument("options", nargs=argparse.REMAINDER, metavar="ps options")


def _events(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--interval", default="5s", help="between statistics: 5s, 1m")
    parser.add_argument("--stats", action="store_true", help="once, then exit")
    _id(parser)


LIMITS: Final = {
    "blkio-weight": ("blockIO", "weight"),
    "cpu-period": ("cpu", "period"),
    "cpu-quota": ("cpu", "quota"),
    "cpu-burst": ("cpu", "burst"),
    "cpu-share": ("cpu", "shares"),
    "cpu-rt-period": ("cpu", "realtimePeriod"),
    "cpu-rt-runtime": ("cpu", "realtimeRuntime"),
    "cpu-idle": ("cpu", "idle"),
    "cpuset-cpus": ("cpu", "cpus"),
    "cpuset-mems": ("cpu", "mems"),
    "memory": ("memory", "limit"),
    "memory-reservation": ("memory", "reservation"),
    "memory-swap": ("memory", "swap"),
    "pids-limit": ("pids", "limit"),
}
"""Flag of ``update`` -> place in ``linux.resources``."""


def _update(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-r", "--resources", help="file with limits, - for standard input")
    for flag, place in LIMITS.items():
        kind: Any = str if place[1] in ("cpus", "mems") else int
        add(f"--{flag}", type=kind, dest=".".join(place))
    add("--l3-cache-schema")
    add("--mem-bw-schema")
    _id(parser)


def _spec(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-b", "--bundle", default=".", help="where to write it")
    parser.add_argument("--rootless", action="store_true", help="for who isn't root")


def _criu(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--image-path", help="directory of the images")
    add("--work-path", help="directory of logs and other work files")
    for flag in ("tcp-established", "ext-unix-sk", "shell-job", "file-locks"):
        add(f"--{flag}", action="store_true")
    add("--lazy-pages", action="store_true")
    add("--auto-dedup", action="store_true")
    add("--manage-cgroups-mode", default="soft")
    add("--empty-ns", action="append", default=[])


def _checkpoint(parser: argparse.ArgumentParser) -> None:
    _criu(parser)
    add = parser.add_argument
    add("--parent-path")
    add("--leave-running", action="store_true")
    add("--status-fd", type=int, default=-1)
    add("--page-server")
    add("--pre-dump", action="store_true")
    _id(parser)


def _restore(parser: argparse.ArgumentParser) -> None:
    _criu(parser)
    parser.add_argument("--lsm-profile")
    parser.add_argument("--lsm-mount-context")
    _run(parser)


def _nothing(_parser: argparse.ArgumentParser) -> None:
    pass


_ADD: Final[dict[str, Add]] = {
    "create": _create,
    "start": _id,
    "run": _run,
    "exec": _exec,
    "state": _id,
    "kill": _kill,
    "delete": _delete,
    "list": _list,
    "ps": _ps,
    "events": _events,
    "pause": _id,
    "resume": _id,
    "update": _update,
    "spec": _spec,
    "features": _nothing,
    "checkpoint": _checkpoint,
    "restore": _restore,
}
