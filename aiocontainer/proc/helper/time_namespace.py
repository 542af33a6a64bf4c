"""A time namespace with offsets: made by the parent, since who makes it only sends its
children there, and whose first process fixes the offsets."""

from __future__ import annotations

import os

from ..._sys import constants as c
from ..._sys import identity, namespaces
from ..._sys.libc import call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .child import Context

_OFFSETS = b"/proc/self/timens_offsets"


def open_own() -> int:
    """The time namespace that we are in, for the way back."""
    return namespaces.open_namespace(b"/proc/self/ns/time")


def make(offsets: bytes) -> None:
    """Send children to come to a new time namespace (time_namespaces(7))."""
    namespaces.unshare(c.CLONE_NEWTIME)
    if not offsets:
        return
    file = call("open", os.open, _OFFSETS, os.O_WRONLY | os.O_CLOEXEC, path=_OFFSETS)
    try:
        call("write", os.write, file, offsets, path=_OFFSETS)
    finally:
        os.close(file)


def new_time_namespace(_context: Context, offsets: bytes) -> None:
    """The same by a child itself, which enters it with its exec (Linux 6.1)."""
    identity.set_dumpable(True)  # else the file is root's, whom we may not be
    try:
        make(offsets)
    finally:
        identity.set_dumpable(False)
