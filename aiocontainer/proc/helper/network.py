"""What is done to the network when the program is gone, and all its processes.

A will is a sequence of
  ("send", n, message)                      to the n-th socket that came with it
  ("bridge", lock, ports, delete)           a bridge goes, if it has no ports
  ("lock", path)                            this file goes, if nobody has the lock
whose messages (netlink(7)) the program has written: no names are looked up here.
"""

from __future__ import annotations

import _socket
import fcntl
import os
import struct
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_NLMSG_DONE = 3
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_BRIDGES_S = 4.0
_OWN_PID = struct.pack("=I", 0x7FFFFFFE)
"""Stands for ours in messages: `aiocontainer.network.links.OWN_PID`."""


def execute(will: tuple[tuple[Any, ...], ...], sockets: list[int]) -> None:
    """Send what is to be sent; a refusal changes nothing about the rest."""
    own = struct.pack("=I", os.getpid())
    for entry in will:
        if entry[0] == "send":
            try:
                os.write(sockets[entry[1]], entry[2].replace(_OWN_PID, own))
            except OSError:
                pass


def remove_bridges(
    wills: Iterable[tuple[tuple[Any, ...], ...]], deadline: float
) -> None:
    """Remove the bridges that nobody uses any more; tried again for a while, since the
    kernel takes its time to remove the ports of dead containers."""
    left = {entry for will in wills for entry in will if entry[0] == "bridge"}
    deadline = min(deadline, time.monotonic() + _BRIDGES_S)
    while left:
        left = {entry for entry in left if not _try_remove(*entry[1:])}
        if not left or time.monotonic() > deadline:
            return
        time.sleep(0.01)


def remove_locks(wills: Iterable[tuple[tuple[Any, ...], ...]]) -> None:
    """Remove the files that the program had, or waited for."""
    for path in {entry[1] for will in wills for entry in will if entry[0] == "lock"}:
        _try_locked(path, 0, lambda: True)


def _try_remove(path: str, ports: bytes, delete: bytes) -> bool:
    """True once it is settled that the bridge stays or is gone."""
    return _try_locked(path, os.O_CREAT, lambda: _remove_unused(ports, delete))


def _try_locked(path: str, flags: int, action: Callable[[], bool]) -> bool:
    """What the action gave; False where another has the lock, True without a file."""
    try:
        flags |= os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        lock = os.open(path, flags, 0o600)
    except OSError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.fstat(lock).st_nlink:
            return False
        try:
            return action()
        finally:
            os.unlink(path)
    except OSError:
        return False
    finally:
        os.close(lock)


def _remove_unused(ports: bytes, delete: bytes) -> bool:
    sock = _socket.socket(
        _socket.AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, 0
    )
    try:
        sock.bind((0, 0))
        sock.send(ports)
        answer = sock.recv(1 << 16)
        if len(answer) < 16 or _HEADER.unpack_from(answer)[1] != _NLMSG_DONE:
            return False
        sock.send(delete)
        return True
    finally:
        sock.close()
