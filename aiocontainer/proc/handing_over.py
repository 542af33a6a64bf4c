"""Handing the terminal, or a pidfd, of a new process to who listens at a socket."""

from __future__ import annotations

import os
from collections.abc import Awaitable
from typing import Final

import anyio
from anyio.abc import UNIXSocketStream

from ..errors import ConfigError, SetupError
from .process import Process

__all__ = ("Receivers", "connect_receivers")

_CONSOLE_NAME: Final = b"/dev/ptmx"
_PIDFD_NAME: Final = b"pidfd"


class Receivers:
    """Connections to those who are to get something of a process."""

    def __init__(self) -> None:
        self.console: UNIXSocketStream | None = None
        self.pidfd: UNIXSocketStream | None = None

    async def hand_over(self, start: Awaitable[Process]) -> Process:
        """Start the process and send what is to be sent; cancelled or failed, it has
        ended. The connections are closed.

        Raises:
            SetupError: who was to get it has gone; or what the start raises.
        """
        try:
            process = await start
            try:
                await self._send(process)
            except BaseException:
                await process.aclose()
                raise
            return process
        finally:
            await self.aclose()

    async def _send(self, process: Process) -> None:
        step = "hand over the pidfd"
        try:
            if self.pidfd is not None:
                await self.pidfd.send_fds(_PIDFD_NAME, [process.pidfd])
            step = "hand over the terminal"
            if self.console is not None:
                master = process.release_terminal()
                try:
                    await self.console.send_fds(_CONSOLE_NAME, [master])
                finally:
                    os.close(master)
        except (OSError, anyio.BrokenResourceError, ValueError) as error:
            raise SetupError(step, str(error) or "nobody takes it") from error

    async def aclose(self) -> None:
        """Close the connections."""
        for connection in (self.console, self.pidfd):
            if connection is not None:
                await anyio.aclose_forcefully(connection)


async def connect_receivers(
    console: str | os.PathLike[str] | None,
    pidfd: str | os.PathLike[str] | None,
    terminal: object,
) -> Receivers:
    """Connect to the sockets of these paths, before anything is started.

    Raises:
        ConfigError: there is no terminal to send.
        SetupError: nobody listens there.
    """
    if console is not None and not terminal:
        raise ConfigError("console_socket", "needs a terminal")
    receivers = Receivers()
    try:
        if console is not None:
            receivers.console = await _connect("console socket", console)
        if pidfd is not None:
            receivers.pidfd = await _connect("pidfd socket", pidfd)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await receivers.aclose()
        raise
    return receivers


async def _connect(what: str, path: str | os.PathLike[str]) -> UNIXSocketStream:
    try:
        return await anyio.connect_unix(os.fspath(path))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        step = f"connect to the {what} {os.fspath(path)}"
        raise SetupError(step, reason) from error
