"""What an engine gives a new process and wants of it: descriptors, sockets, files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError
from ..proc.stdio import is_inherited

_FIRST = 3  # after stdin, stdout and stderr: sd_listen_fds(3)


def preserved(count: int) -> tuple[int, ...]:
    """Descriptors that the program gets as they are: those of socket activation (as
    many as ``LISTEN_FDS`` says), then ``count`` more.

    Raises:
        ConfigError: one of them isn't open.
    """
    if count < 0:
        raise ConfigError("preserve-fds", "is negative")
    numbers = tuple(range(_FIRST, _FIRST + _listening() + count))
    for number in numbers:
        if not is_inherited(number):
            raise ConfigError("preserve-fds", f"{number} is not open")
    return numbers


def listening(env: Mapping[str, str]) -> dict[str, Any]:
    """The environment, as a change to settings, where there are activated sockets."""
    count = _listening()
    if not count:
        return {}
    said = {"LISTEN_FDS": str(count), "LISTEN_PID": "1"}
    if names := os.environ.get("LISTEN_FDNAMES"):
        said["LISTEN_FDNAMES"] = names
    return {"env": {**env, **said}}


def _listening() -> int:
    text = os.environ.get("LISTEN_FDS", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0


def check_console(console: str | None, *, terminal: object, detaches: bool) -> None:
    """Look whether there is somebody for a terminal, and a terminal for somebody.

    Raises:
        ConfigError: one of them is missing.
    """
    if terminal and detaches and not console:
        reason = "is needed: a terminal has to be in somebody's hands"
        raise ConfigError("console-socket", reason)
    if console and not (terminal and detaches):
        reason = "is of use for a terminal of what is detached only"
        raise ConfigError("console-socket", reason)


def write_pid(path: str | None, pid: int) -> None:
    """Write a process id to a file, if there is to be one: as a whole or not at all.

    Raises:
        OSError: it can't be written.
    """
    if not path:
        return
    folder, name = os.path.split(os.path.abspath(path))
    new = os.path.join(folder, f".{name}.{os.getpid()}")
    with open(new, "x") as file:  # never a link that somebody has put there
        file.write(str(pid))
    os.rename(new, path)
