"""Sockets that the spawner makes for us where we don't go."""

from __future__ import annotations

import array
import os
import socket

import anyio

from .._sys.libc import call
from ..errors import HandshakeError
from . import init_pipe, spawner

__all__ = ("open_netlink",)


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
