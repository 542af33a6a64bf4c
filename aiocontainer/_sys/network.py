"""The one piece of network set-up that needs no netlink: the loopback interface."""

from __future__ import annotations

import _socket
import fcntl
import struct

from .libc import call

_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1


def bring_up(interface: bytes = b"lo") -> None:
    """Set ``IFF_UP`` on an interface of this network namespace (netdevice(7)).

    The other flags of a new one need not be read first: they are off, or the kernel's
    own. 127.0.0.1/8 (and ::1) come by themselves on ``lo``.
    """
    sock = call("socket", _socket.socket, _socket.AF_INET, _socket.SOCK_DGRAM)
    try:
        request = struct.pack("16sh22x", interface, _IFF_UP)
        call("ioctl", fcntl.ioctl, sock.fileno(), _SIOCSIFFLAGS, request)
    finally:
        sock.close()
