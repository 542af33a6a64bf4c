"""The one piece of network set-up that needs no netlink: the loopback interface."""

from __future__ import annotations

import _socket
import fcntl
import struct

from .libc import call

_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1


# struct ifreq: the name, then the flags.
_LOOPBACK_UP = struct.pack("16sh22x", b"lo", _IFF_UP)


def bring_up_loopback() -> None:
    """Set ``IFF_UP`` on ``lo`` of this network namespace (netdevice(7)).

    The other flags of a new one need not be read first: they are off, or the kernel's
    own. 127.0.0.1/8 and ::1 come by themselves.
    """
    sock = call("socket", _socket.socket, _socket.AF_INET, _socket.SOCK_DGRAM)
    try:
        call("ioctl", fcntl.ioctl, sock.fileno(), _SIOCSIFFLAGS, _LOOPBACK_UP)
    finally:
        sock.close()
