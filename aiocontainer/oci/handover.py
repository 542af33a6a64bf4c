"""What an engine gives a new process and wants of it: descriptors, sockets, files."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..proc.process import Process

if TYPE_CHECKING:
    from .arguments import Options

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
        try:
            fcntl.fcntl(number, fcntl.F_GETFD)
        except OSError:
            raise ConfigError("preserve-fds", f"{number} is not open") from None
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


def check_console(path: str | None, *, needed: bool) -> None:
    """Look whether a terminal can be handed over.

    Raises:
        ConfigError: there is no socket, and nobody else to take it.
    """
    if path is None:
        if needed:
            reason = "is needed: a terminal has to be in somebody's hands"
            raise ConfigError("console-socket", reason)
        return
    try:
        is_socket = stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError as error:
        raise ConfigError("console-socket", f"{path}: {error.strerror}") from error
    if not is_socket:
        raise ConfigError("console-socket", f"{path} is not a socket")


def give(options: Options, process: Process) -> None:
    """Tell of a process where the command line says: its terminal, a pidfd, its pid.

    Raises:
        OSError: somebody doesn't listen, or a file can't be written.
    """
    if options.console_socket and process.terminal is not None:
        send_descriptor(options.console_socket, process.terminal.fileno())
    if options.pidfd_socket:
        send_descriptor(options.pidfd_socket, process.pidfd)
    if options.pid_file:
        write_pid(options.pid_file, process.pid)


def send_descriptor(path: str, descriptor: int, name: bytes = b"/dev/ptmx") -> None:
    """Send a descriptor to who listens at a socket.

    Raises:
        OSError: nobody does.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(path)
        socket.send_fds(connection, [name], [descriptor])


def write_pid(path: str, pid: int) -> None:
    """Write a process id to a file, which is there as a whole or not at all.

    Raises:
        OSError: it can't be written.
    """
    folder, name = os.path.split(os.path.abspath(path))
    new = os.path.join(folder, f".{name}.{os.getpid()}")
    with open(new, "w") as file:
        file.write(str(pid))
    os.rename(new, path)
