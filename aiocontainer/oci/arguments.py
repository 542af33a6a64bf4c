"""What may be said on the command line; runc's words (its manual pages, runc(8)).

One table, and two who read it. A line as engines write them, options before names, is
taken apart here, in microseconds. Whatever isn't quite of that form (help, mistakes,
abbreviated ways to say it) is left to `usage`, which makes argparse of the same table:
loading it takes longer than most commands.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final, TypeAlias

    Row: TypeAlias = tuple[str, str, str | tuple[str, ...], object, str | None]
    """Attribute, flags, kind or choices, what it is if not said, help."""

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

SWITCH: Final = "switch"
TEXT: Final = "text"
NUMBER: Final = "number"
TEXTS: Final = "texts"
"""An option that may be said more than once."""
NUMBERS: Final = "numbers"
NAME: Final = "name"
"""A word without a flag. Its row says in place of help what help calls it."""
MAYBE: Final = "maybe"
"""Such a word that may be missing."""
REST: Final = "rest"
"""All words that are left, whatever they look like."""
HIDDEN: Final = "==SUPPRESS=="
"""In place of help: an option that help says nothing of."""

GLOBALS: Final[tuple[Row, ...]] = (
    ("root", "--root", TEXT, None, "where states are kept"),
    ("log", "--log", TEXT, None, "file to which messages are written"),
    ("log_format", "--log-format", ("text", "json"), "text", None),
    ("debug", "--debug", SWITCH, False, "write more to the log"),
    ("systemd_cgroup", "--systemd-cgroup", SWITCH, False, "cgroups are systemd's scopes"),
    ("cgroup_manager", "--cgroup-manager", ("cgroupfs", "systemd", "disabled"), None, None),
    ("is_rootless", "--rootless", ("true", "false", "auto"), "auto", None),
    ("criu", "--criu", TEXT, None, "path of criu"),
    ("version", "-v --version", SWITCH, False, "print the version"),
)
"""Said before the command."""

_ID: Final[Row] = ("id", "", NAME, None, "container-id")
_BUNDLE: Final[Row] = ("bundle", "-b --bundle", TEXT, ".", "directory of config.json")
_DETACH: Final[Row] = ("detach", "-d --detach", SWITCH, False, "don't wait for the program")
_CONSOLE: Final[Row] = ("console_socket", "--console-socket", TEXT, None, "socket that the terminal's master is sent to")
_PID_FILE: Final[Row] = ("pid_file", "--pid-file", TEXT, None, "file to which the process id is written")
_PRESERVE: Final[Row] = ("preserve_fds", "--preserve-fds", NUMBER, 0, "descriptors from 3 on to pass")
_FORMAT: Final[Row] = ("format", "-f --format", ("table", "json"), "table", None)
