"""inotify(7), as far as it is needed to learn that a directory was removed."""

import os
import struct
from ctypes import c_char_p, c_int, c_uint32
from typing import Final, NamedTuple

from .libc import call, function

IN_DELETE: Final = 0x0000_0200
IN_Q_OVERFLOW: Final = 0x0000_4000
IN_ONLYDIR: Final = 0x0100_0000

_BUFFER_BYTES: Final = 64 * 1024
_HEADER: Final = struct.Struct("iIII")  # struct inotify_event, without the name

_init1 = function("inotify_init1", c_int)
_add_watch = function("inotify_add_watch", c_int, c_char_p, c_uint32)
_rm_watch = function("inotify_rm_watch", c_int, c_int)


class InotifyEvent(NamedTuple):
    """``struct inotify_event``."""

    wd: int
    mask: int
    name: str


def inotify_init() -> int:
    """A new inotify instance: non-blocking, closed on exec."""
    flags = os.O_NONBLOCK | os.O_CLOEXEC
    descriptor: int = call("inotify_init1", _init1, flags)
    return descriptor


def inotify_add_watch(fd: int, path: str, mask: int) -> int:
    """Watch ``path``; the same number again for what is watched already.

    Raises:
        OSError: there is no such path, it can't be read, or the user has no more
            watches (``ENOSPC``).
    """
    number: int = call(
        "inotify_add_watch", _add_watch, fd, os.fsencode(path), mask, path=path
    )
    return number


def inotify_rm_watch(fd: int, wd: int) -> None:
    """Stop a watch.

    Raises:
        OSError: there is no such watch; the kernel drops those of removed directories.
    """
    call("inotify_rm_watch", _rm_watch, fd, wd)


def inotify_read(fd: int) -> list[InotifyEvent]:
    """All that has happened since the last call, up to 64 KiB of it."""
    try:
        data: bytes = call("read", os.read, fd, _BUFFER_BYTES)
    except BlockingIOError:
        return []
    return parse_events(data)


def parse_events(data: bytes) -> list[InotifyEvent]:
    """Take apart what read(2) gave."""
    events: list[InotifyEvent] = []
    at = 0
    while at < len(data):
        wd, mask, _cookie, length = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        name = data[at : at + length].rstrip(b"\0")  # padded to a multiple of 16
        at += length
        events.append(InotifyEvent(wd, mask, os.fsdecode(name)))
    return events
