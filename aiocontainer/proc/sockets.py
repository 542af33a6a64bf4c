"""Sockets that the spawner makes for us where we don't go."""

from __future__ import annotations

import array
import os
import socket
from typing import Any

import anyio

from .._sys.libc import call
from ..errors import HandshakeError
from . import init_pipe, spawner

__all__ = ("NetworkHelper", "open_netlink")


class NetworkHelper:
    """What the room of networks gets of the spawner."""

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
        room = socket.CMSG_SPACE(4)
        message, ancillary, _, _ = call(
            "recvmsg", ours.recvmsg, init_pipe.MAX_MESSAGE, room
        )
    for _, _, data in ancillary:
        (number,) = array.array("i", data[:4])
        return socket.socket(fileno=number)
    if not message:
        raise HandshakeError("the spawner was lost while it made a socket")
    _, code, _, reason = init_pipe.decode_failed(message)
    raise OSError(code, reason or os.strerror(code))
