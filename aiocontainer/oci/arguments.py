"""What may be said on the command line; runc's words (its manual pages, runc(8)).

One table, and two who read it. A line as engines write it, options before names, is
taken apart here, in microseconds. Whatever isn't quite of that form (help, mistakes,
other ways to say it) is left to `usage`, which makes argparse of the same table:
loading that takes longer than most commands.

    "-b --bundle TEXT .": "directory of config.json"

is a row: flags, what follows them (nothing: a switch), what it is if nothing is said,
and what help says of it. ``> name`` is the attribute, where it isn't the long flag's.
A row without flags is a word by itself, and its text what help calls it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Final, Literal, TypeAlias

    Table: TypeAlias = Mapping[str, str | None]

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

HIDDEN: Final = ""
"""In place of help: help says nothing of it."""

GLOBALS: Final[Table] = {
    "--root TEXT": "where states are kept",
    "--log TEXT": "file to which messages are written",
    "--log-format text|json text": None,
    "--debug": "write more to the log",
    "--systemd-cgroup": "cgroups are systemd's scopes",
    "--cgroup-manager cgroupfs|systemd|disabled": None,
    "--rootless true|false|auto auto > is_rootless": None,
    "--criu TEXT": "path of criu",
    "-v --version": "print the version",
}
"""Said before the command."""

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

_ID: Final = {"id NAME": "container-id"}
_DETACH: Final = {"-d --detach": "don't wait for the program"}
_FORMAT: Final = {"-f --format table|json table": None}
_PID_FILE: Final = {"--pid-file TEXT": "file to which the process id is written"}
_CONSOLE: Final = {
    "--console-socket TEXT": "socket that the terminal's master is sent to"
}
_PRESERVE: Final = {"--preserve-fds NUMBER 0": "descriptors from 3 on to pass"}
_CREATE: Final = {
    "-b --bundle TEXT .": "directory of config.json",
    **_CONSOLE,
    "--pidfd-socket TEXT": "socket that a pidfd of the first process is sent to",
    **_PID_FILE,
    "--no-pivot": "move the root mount instead",
    "--no-new-keyring": "keep the session keyring",
    **_PRESERVE,
    **_ID,
}
_RUN: Final = {
    **_DETACH,
    "--keep": "don't delete the container at its end",
    "--no-subreaper": HIDDEN,
    **_CREATE,
}
_EXEC: Final = {
    **_CONSOLE,
    "--pidfd-socket TEXT": "socket that a pidfd of the process is sent to",
    "--cwd TEXT": "working directory",
    "-e --env TEXTS": "NAME=VALUE",
    "-t --tty": "with a terminal",
    "-u --user TEXT": "UID[:GID]",
    "-g --additional-gids NUMBERS": None,
    "-p --process TEXT": 'file with the process (config.json\'s "process")',
    **_DETACH,
    **_PID_FILE,
    "--process-label TEXT": "SELinux label",
    "--apparmor TEXT": "AppArmor profile",
    "--no-new-privs": None,
    "-c --cap TEXTS": "a further capability",
    **_PRESERVE,
    "--cgroup TEXTS": "[CONTROLLER:]PATH below the container's cgroup",
    "--ignore-paused": "also in a paused container",
    **_ID,
    "args REST": "command",
}


def _kind_of(group: str, name: str) -> str:
    return "TEXT" if group == "memory" or name in ("cpus", "mems") else "NUMBER"


_UPDATE: Final = {
    "-r --resources TEXT": "file with limits, - for standard input",
    **{
        f"--{flag} {_kind_of(*place)} > {'.'.join(place)}": None
        for flag, place in LIMITS.items()
    },
    "--kernel-memory TEXT": HIDDEN,
    "--kernel-memory-tcp TEXT": HIDDEN,
    "--l3-cache-schema TEXT": None,
    "--mem-bw-schema TEXT": None,
    **_ID,
}
_CRIU: Final = {
    "--image-path TEXT": "directory of the images",
    "--work-path TEXT": "directory of logs and other work files",
    "--tcp-established": None,
    "--ext-unix-sk": None,
    "--shell-job": None,
    "--file-locks": None,
    "--lazy-pages": None,
    "--auto-dedup": None,
    "--manage-cgroups-mode TEXT soft": None,
    "--empty-ns TEXTS": None,
}
_CHECKPOINT: Final = {
    **_CRIU,
    "--parent-path TEXT": None,
    "--leave-running": None,
    "--status-fd NUMBER -1": None,
    "--page-server TEXT": None,
    "--pre-dump": None,
    **_ID,
}
_RESTORE: Final = {
    **_CRIU,
    "--lsm-profile TEXT": None,
    "--lsm-mount-context TEXT": None,
    **_RUN,
}

TABLES: Final[Mapping[str, Table]] = {
    "create": _CREATE,
    "start": _ID,
    "run": _RUN,
    "exec": _EXEC,
    "state": _ID,
    "kill": {"-a --all": "to all processes", **_ID, "signal MAYBE SIGTERM": None},
    "delete": {"-f --force": "end it first", **_ID},
    "list": {**_FORMAT, "-q --quiet": "ids only"},
    "ps": {**_FORMAT, **_ID, "options REST": "ps options"},
    "events": {
        "--interval TEXT 5s": "between statistics: 5s, 1m",
        "--stats": "once, then exit",
        **_ID,
    },
    "pause": _ID,
    "resume": _ID,
    "update": _UPDATE,
    "spec": {
        "-b --bundle TEXT .": "where to write it",
        "--rootless": "for who isn't root",
    },
    "features": {},
    "checkpoint": _CHECKPOINT,
    "restore": _RESTORE,
}
"""What may be said after each command."""


TRUTH: Final = dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True) | (
    dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False)
)
"""What may be said of a switch, as in ``--detach=false``: as Go has it."""


class UsageError(Exception):
    """The command line can't be understood."""

    options: Options | None = None
    """What was said before the command."""
    status: int = 1
    """Exit status."""


class Options:
    """What was said: one attribute for each row of `GLOBALS` and the command's table.

    Besides, ``command``, which is ``None`` where nothing but the version was asked for.
    """

    if TYPE_CHECKING:
        command: Any
        root: str | None
        log: str | None
        log_format: str
        debug: bool
        systemd_cgroup: bool
        cgroup_manager: Literal["cgroupfs", "systemd", "disabled"] | None
        version: bool

        def __getattr__(self, name: str) -> Any: ...  # noqa: ANN401


class Row:
    """A row of a table, taken apart."""

    __slots__ = ("attribute", "default", "flags", "kind")

    def __init__(self, text: str) -> None:
        """Take it apart.

        Args:
            text: the row without its help.
        """
        said, _, attribute = text.partition(" > ")
        words = said.split(" ")
        count = 0
        while count < len(words) and words[count][0] == "-":
            count += 1
        self.flags = words[:count]
        """``["-b", "--bundle"]``; none for a word by itself."""
        name = words[count - 1][2:].replace("-", "_") if count else words[0]
        self.attribute = attribute or name
        rest = words[count or 1 :]
        self.kind = rest[0] if rest else "SWITCH"
        """SWITCH, TEXT, NUMBER, TEXTS and NUMBERS (which may be said more than once),
        or choices: "text|json". Of a word by itself: NAME, MAYBE, or REST, which takes
        all that is left, whatever it looks like."""
        self.default: str | int | bool | None = rest[1] if len(rest) > 1 else None
        """If nothing is said; an empty list for what may be said more than once."""
        if self.kind == "SWITCH":
            self.default = False
        elif self.kind == "NUMBER" and len(rest) > 1:
            self.default = int(rest[1])


def parse(words: Sequence[str]) -> Options:
    """Take a command line apart.

    Raises:
        UsageError: it can't be understood.
        SystemExit: it asked for help, which was printed.
    """
    options = quick(words)
    if options is None:
        from . import usage

        options = usage.parse(words)
    return options


def quick(words: Sequence[str]) -> Options | None:
    """What a line of the usual form says; ``None`` where argparse is to judge.

    Where it says anything, it says what argparse would.
    """
    options = Options()
    options.command = None
    rest = _take_flags(words, GLOBALS, options)
    if rest is None or options.version:
        return None if rest is None else options
    if not rest or rest[0] not in TABLES:
        return None
    options.command = rest[0]
    table = TABLES[rest[0]]
    rest = _take_flags(rest[1:], table, options)
    if rest is None or not _take_names(rest, table, options):
        return None
    return options


def _take_flags(
    words: Sequence[str], table: Table, options: Options
) -> Sequence[str] | None:
    """What is left after the flags; ``None`` if one isn't plain."""
    rows = {}
    for text in table:
        row = Row(text)
        if row.flags:
            many = row.kind in ("TEXTS", "NUMBERS")
            setattr(options, row.attribute, [] if many else row.default)
            rows.update(dict.fromkeys(row.flags, row))
    at = 0
    while at < len(words) and words[at].startswith("-"):
        flag, equals, value = words[at].partition("=")
        at += 1
        found = rows.get(flag)
        if found is None:
            return None
        if equals and not (value and flag.startswith("--")):
            return None
        if found.kind != "SWITCH" and not equals:
            if at == len(words):
                return None
            value = words[at]
            at += 1
        if not _set(options, found, value):
            return None
    return words[at:]


def _set(options: Options, row: Row, value: str) -> bool:
    """Whether the value may be one; empty for a switch."""
    kind = row.kind
    taken: str | int | bool = value
    if kind == "SWITCH":
        if value and value not in TRUTH:
            return False
        taken = TRUTH[value or "true"]
    elif value.startswith("-") and value != "-":
        return False  # rather a flag, before which the value is missing
    elif "|" in kind:
        if value not in kind.split("|"):
            return False
    elif kind.startswith("NUMBER"):
        try:
            taken = int(value)
        except ValueError:
            return False
    if kind.endswith("S"):
        getattr(options, row.attribute).append(taken)
    else:
        setattr(options, row.attribute, taken)
    return True


def _take_names(words: Sequence[str], table: Table, options: Options) -> bool:
    """Whether these are the words by themselves that the command takes."""
    left = [*words]
    for row in map(Row, table):
        if row.flags:
            continue
        if row.kind == "REST":
            setattr(options, row.attribute, left)
            return "--" not in left
        if not left and row.kind == "NAME":
            return False
        word = left.pop(0) if left else row.default
        if str(word).startswith("-"):
            return False
        setattr(options, row.attribute, word)
    return not left
