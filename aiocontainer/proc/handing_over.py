"""Handing the terminal, or a pidfd, of a new process to who listens at a socket."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Final

import anyio

from ..errors import ConfigError, SetupError
from .process import Process

__all__ = ("Receivers", "connected")

_CONSOLE_NAME: Final = b"/dev/ptmx"
_PIDFD_NAME: Final = b"pidfd"
_PAUSE_S: Final = 0.001


class Receivers:
    """Connections to those who are to get something of a process."""

    def __init__(
        self, console: socket.socket | None, pidfd: socket.socket | None
    ) -> None:
        """They stay the caller's to close."""
        self._console = console
        self._pidfd = pidfd

    async def give(self, process: Process) -> None:
        """Send what is to be sent of a process; if that fails, it has ended.

        Raises:
            SetupError: who was to get it has gone.
        """
        try:
            self._send_all(process)
        except BaseException:
            await process.aclose()
            raise

    def _send_all(self, process: Process) -> None:
        step = "hand over the pidfd"
        try:
            if self._pidfd is not None:
                _send(self._pidfd, _PIDFD_NAME, process.pidfd)
            step = "hand over the terminal"
            if self._console is not None:
                master = process.release_terminal()
                try:
                    _send(self._console, _CONSOLE_NAME, master)
                finally:
                    os.close(master)
        except (OSError, ValueError) as error:
            raise SetupError(step, str(error) or "nobody takes it") from error


@asynccontextmanager
async def connected(
    console: str | os.PathLike[str] | None,
    pidfd: str | os.PathLike[str] | None,
    terminal: object,
) -> AsyncIterator[Receivers]:
    """Connect to the sockets of these paths, before anything is started.

    Raises:
        ConfigError: there is no terminal to send.
        SetupError: nobody listens there.
    """
    if console is not None and not terminal:
        raise ConfigError("console_socket", "needs a terminal")
    with ExitStack() as connections:
        found = []
        for what, path in (("console socket", console), ("pidfd socket", pidfd)):
            connection = None if path is None else await _connect(what, path)
            if connection is not None:
                connections.enter_context(connection)
            found.append(connection)
        yield Receivers(*found)


async def _connect(what: str, path: str | os.PathLike[str]) -> socket.socket:
    kind = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
    connection = socket.socket(socket.AF_UNIX, kind)
    try:
        while True:
            try:
                connection.connect(os.fspath(path))
            except BlockingIOError:  # too many others wait to be taken in
                await anyio.sleep(_PAUSE_S)
            else:
                return connection
    except BaseException as error:
        connection.close()
        if not isinstance(error, OSError | ValueError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        step = f"connect to the {what} {os.fspath(path)}"
        raise SetupError(step, reason) from error


def _send(connection: socket.socket, name: bytes, descriptor: int) -> None:
    # The caller's program may have SIGPIPE as it was.
    socket.send_fds(connection, [name], [descriptor], socket.MSG_NOSIGNAL)
