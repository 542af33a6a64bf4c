"""Sockets that the spawner makes for us where we don't go."""

from __future__ import annotations

import array
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import anyio

from .._sys import pidfd as sys_pidfd
from .._sys.libc import call
from ..errors import HandshakeError
from . import init_pipe, spawner
from .uncancelled import uncancelled

__all__ = ("NetworkHelper", "open_netlink", "open_relay")

_PATIENCE_S: Final = 10.0
"""How long a process is waited for that does only what it was asked for."""


class Relay:
    """Sockets that reach the kernel's rtnetlink by a process of their own, which does
    the waiting. Use `open_relay`."""

    def __init__(self, count: int) -> None:
        kind = socket.SOCK_SEQPACKET
        self.sockets: list[socket.socket] = []
        """Each takes and gives what a netlink socket does, a datagram each."""
        self._theirs: list[socket.socket] = []
        self._key = next(spawner.keys)
        self._pidfd = -1
        self._is_asked = self._is_ready = False
        try:
            for _ in range(count):
                pair = call("socketpair", socket.socketpair, socket.AF_UNIX, kind)
                self.sockets.append(pair[0])
                self._theirs.append(pair[1])
                pair[0].setblocking(False)
        except BaseException:
            self._close()
            raise

    async def start(self, pidfd: int | None) -> None:
        """Have the process made; cancelled or failed, `aclose` has to follow."""
        descriptors = [sock.fileno() for sock in self._theirs]
        if pidfd is not None:
            descriptors.append(pidfd)
        await spawner.send(("relay", self._key), descriptors)
        self._is_asked = True
        for sock in self._theirs:
            sock.close()
        with anyio.move_on_after(_PATIENCE_S) as scope:
            while self._pidfd < 0 or not self._is_ready:
                await self._hear()
        if scope.cancelled_caught:
            raise HandshakeError("a relay didn't begin in time")

    async def _hear(self) -> None:
        """One word: which process it is, by the spawner, or that it is ready."""
        await anyio.wait_readable(self.sockets[0])
        message, received = _receive(self.sockets[0])
        if received is not None:
            self._pidfd = received
            spawner.watch_process(self._key, received)
        elif message == init_pipe.READY:
            self._is_ready = True
        elif not message:
            self._is_asked = False
            raise HandshakeError("the spawner was lost while it made a relay")
        else:
            raise _refusal(message)

    async def aclose(self) -> None:
        """Return when all that was asked for is done, and the process is reaped."""
        try:
            await uncancelled(self._end)
        finally:
            self._close()

    async def _end(self) -> None:
        with anyio.move_on_after(_PATIENCE_S):
            while self._is_asked and self._pidfd < 0:
                with contextlib.suppress(OSError, HandshakeError):
                    await self._hear()
            for sock in self.sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_WR)
            while self._pidfd >= 0 and sys_pidfd.reap(self._pidfd) is None:
                await anyio.wait_readable(self._pidfd)

    def _close(self) -> None:
        for sock in (*self.sockets, *self._theirs):
            sock.close()
        spawner.forget(self._key)
        if self._pidfd >= 0:
            os.close(self._pidfd)
        self._pidfd = -1


@asynccontextmanager
async def open_relay(pidfd: int | None) -> AsyncIterator[list[socket.socket]]:
    """A socket for rtnetlink of our network namespace, and one for that of a process.

    What is sent before the block is left is done when it has been left.

    Raises:
        OSError: the kernel refused.
        SpawnerError, HandshakeError: the spawner was lost.
    """
    relay = Relay(1 if pidfd is None else 2)
    try:
        await relay.start(pidfd)
        yield relay.sockets
    finally:
        await relay.aclose()


class NetworkHelper:
    """What the room of networks gets of the spawner."""

    def open_relay(
        self, pidfd: int | None
    ) -> AbstractAsyncContextManager[list[socket.socket]]:
        """See `open_relay`."""
        return open_relay(pidfd)

    async def open_netlink(self, pidfd: int, protocol: int) -> socket.socket:
        """See `open_netlink`."""
        return await open_netlink(pidfd, protocol)

    def new_key(self) -> int:
        """A number for `bequeath`."""
        return next(spawner.keys)

    async def bequeath(
        self, key: int, will: tuple[tuple[Any, ...], ...], sockets: tuple[int, ...]
    ) -> None:
        """See `spawner.bequeath`."""
        await spawner.bequeath(key, will, sockets)

    def forget(self, key: int) -> None:
        """Undo `bequeath`, at once: the sockets that are held keep things alive."""
        spawner.forget(key, at_once=True)


async def open_netlink(pidfd: int, protocol: int) -> socket.socket:
    """A netlink socket of the network namespace that a process is in.

    Raises:
        OSError: the kernel refused.
        SpawnerError, HandshakeError: the spawner was lost.
    """
    pair = call("socketpair", socket.socketpair, socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours, theirs = pair
    with ours:
        with theirs:
            request = ("netlink", protocol)
            await spawner.send(request, (theirs.fileno(), pidfd))
        ours.setblocking(False)
        await anyio.wait_readable(ours)
        message, received = _receive(ours)
    if received is not None:
        return socket.socket(fileno=received)
    if not message:
        raise HandshakeError("the spawner was lost while it made a socket")
    raise _refusal(message)


def _receive(sock: socket.socket) -> tuple[bytes, int | None]:
    """A message, and the descriptor that came with it."""
    size, room = init_pipe.MAX_MESSAGE, socket.CMSG_SPACE(4)
    message, ancillary, _, _ = call("recvmsg", sock.recvmsg, size, room)
    for _, _, data in ancillary:
        return message, array.array("i", data[:4])[0]
    return message, None


def _refusal(message: bytes) -> OSError:
    _, code, _, reason = init_pipe.decode_failed(message)
    return OSError(code, reason or os.strerror(code))
