"""Waiting for the kernel to remove what belonged to a dead container."""

from __future__ import annotations

import socket
from typing import Final

import anyio

from . import links
from .netlink import Netlink

_PATIENCE_S: Final = 0.25
_SOL_NETLINK: Final = 270
_NETLINK_ADD_MEMBERSHIP: Final = 1
_RTNLGRP_LINK: Final = 1


async def gone(host: Netlink, index: int, name: str) -> None:
    """Return once this interface is no more.

    The kernel removes it with the other end's namespace, a moment after the last
    process, and tells of it. To remove it ourselves takes 30 ms of the lock that all
    changes of networks wait for; the kernel removes many at once. So that is done only
    if it stays: somebody keeps the namespace, or a packet of a dead process does.
    """
    with _changes() as changes, anyio.move_on_after(_PATIENCE_S):
        while await _exists(host, index, name):
            await anyio.wait_readable(changes)
            _drain(changes)
        return
    if await _exists(host, index, name):
        await links.delete(host, index)


async def _exists(host: Netlink, index: int, name: str) -> bool:
    found = await links.find_index(host, index)
    return found is not None and found.name == name


def _changes() -> socket.socket:
    """A socket that is readable when some interface has changed."""
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    sock = socket.socket(socket.AF_NETLINK, kind, 0)
    try:
        sock.bind((0, 0))
        sock.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, _RTNLGRP_LINK)
    except BaseException:
        sock.close()
        raise
    return sock


def _drain(sock: socket.socket) -> None:
    while True:
        try:
            sock.recv(1)
        except BlockingIOError:
            return
        except OSError:  # ENOBUFS: more has happened than we were told
            continue
