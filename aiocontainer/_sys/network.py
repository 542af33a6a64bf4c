"""The one piece of network set-up that needs no netlink: the loopback interface."""

from __future__ import annotations

import _socket
import fcntl
import struct

from .libc import call

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1


def bring_up(interface: bytes = b"lo") -> None:
    """Set ``IFF_UP`` on an interface of this network namespace (netdevice(7)).

    An address 127.0.0.1/8 (and ::1) comes with it by itself on ``lo``.
    """
    sock = call("socket", _socket.socket, _socket.AF_INET, _socket.SOCK_DGRAM)
    try:
        request = struct.pack("16sh22x", interface, 0)
        answer = call("ioctl", fcntl.ioctl, sock.fileno(), _SIOCGIFFLAGS, request)
        flags = struct.unpack("16sh22x", answer)[1] | _IFF_UP
        request = struct.pack("16sh22x", interface, flags)
        call("ioctl", fcntl.ioctl, sock.fileno(), _SIOCSIFFLAGS, request)
    finally:
        sock.close()
