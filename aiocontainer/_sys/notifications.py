"""A seccomp listener: what waits for an answer, and answering (seccomp_unotify(2)).

None of the calls here waits, if the listener polls as readable before `receive`. Adding
descriptors to the caller's does, and is in `aiocontainer._sys.seccomp`.
"""

from __future__ import annotations

import errno
import fcntl
import struct
from typing import Final, NamedTuple

from .libc import call

__all__ = (
    "Notification",
    "is_waiting",
    "let_continue",
    "receive",
    "respond",
)

# _IOWR('!', 0, 80), _IOWR('!', 1, 24) and _IOW('!', 2, 8), of
# include/uapi/linux/seccomp.h; the same on all machines that we compile filters for but
# ppc64le, whose numbers have the directions elsewhere.
_RECV: Final = 0xC050_2100
_SEND: Final = 0xC018_2101
_ID_VALID: Final = 0x4008_2102

# struct seccomp_notif: id, pid, flags, and struct seccomp_data: nr, arch, instruction
# pointer, six arguments.
_NOTIFICATION: Final = struct.Struct("=QIIiIQ6Q")
_RESPONSE: Final = struct.Struct("=QqiI")

_FLAG_CONTINUE: Final = 1


class Notification(NamedTuple):
    """A system call that waits for an answer (``struct seccomp_notif``)."""

    id: int
    pid: int
    """The thread, as this process sees it; 0 if it doesn't."""
    flags: int
    number: int
    architecture: int
    """``AUDIT_ARCH_*``"""
    instruction_pointer: int
    arguments: tuple[int, ...]


def receive(listener: int) -> Notification | None:
    """The next one; ``None`` if it was withdrawn meanwhile."""
    buffer = bytearray(_NOTIFICATION.size)
    try:
        call("ioctl", fcntl.ioctl, listener, _RECV, buffer)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINTR):
            return None
        raise
    f = _NOTIFICATION.unpack(buffer)
    return Notification(f[0], f[1], f[2], f[3], f[4], f[5], f[6:])


def is_waiting(listener: int, notification: int) -> bool:
    """Whether the call still waits: its thread wasn't killed or interrupted."""
    return _send(listener, _ID_VALID, struct.pack("=Q", notification))


def respond(listener: int, notification: int, value: int, code: int) -> bool:
    """Make the call return ``value``, or fail with errno ``code`` if that isn't 0;
    False if it waits no more."""
    return _send(listener, _SEND, _RESPONSE.pack(notification, value, -code, 0))


def let_continue(listener: int, notification: int) -> bool:
    """Have the kernel carry the call out; False if it waits no more."""
    response = _RESPONSE.pack(notification, 0, 0, _FLAG_CONTINUE)
    return _send(listener, _SEND, response)


def _send(listener: int, request: int, argument: bytes) -> bool:
    try:
        call("ioctl", fcntl.ioctl, listener, request, bytearray(argument))
    except OSError as error:
        # EINPROGRESS: it has had its answer.
        if error.errno in (errno.ENOENT, errno.EINPROGRESS):
            return False
        raise
    return True
