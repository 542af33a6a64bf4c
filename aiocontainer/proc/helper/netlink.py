"""Netlink sockets in the network namespaces of others, for the program to use."""

from __future__ import annotations

import _socket
import os

from ..._sys import constants as c
from ..._sys.libc import call
from ..._sys.namespaces import open_namespace, setns
from . import wire


def send_socket(pipe: int, pidfd: int, protocol: int) -> None:
    """Send back a netlink socket of the network namespace that a process is in.

    A socket belongs to the namespace that its maker was in. We go there and back: a
    spawner that can't go back ends, as its next children would be born there.
    """
    own = open_namespace(b"/proc/self/ns/net")
    try:
        setns(pidfd, c.CLONE_NEWNET)
        try:
            kind = _socket.SOCK_RAW | _socket.SOCK_CLOEXEC
            family = _socket.AF_NETLINK
            sock = call("socket", _socket.socket, family, kind, protocol)
        finally:
            _go_back(own)
    finally:
        os.close(own)
    try:
        wire.send_descriptor(pipe, b"s", sock.fileno())
    finally:
        sock.close()


def _go_back(own: int) -> None:
    try:
        setns(own, c.CLONE_NEWNET)
    except OSError as error:
        raise SystemExit(f"lost in another network namespace: {error}") from error
