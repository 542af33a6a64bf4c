"""Whether a parent cgroup of the caller's choice is inside its hierarchy."""

from __future__ import annotations

import errno
import os
from typing import Final

from .._sys.constants import (
    RESOLVE_BENEATH,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
)
from .._sys.libc import call
from .._sys.paths import try_open_in_root
from ..errors import CgroupError

__all__ = ("INSIDE", "check_reach")

INSIDE: Final = (
    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS
)
_LEADS_OUT: Final = frozenset({errno.ELOOP, errno.EXDEV})


def check_reach(mount: str, directory: str) -> None:
    """Refuse a directory below a mount point that isn't in the same file system.

    A hierarchy has no symbolic links of its own, but its files can be mounted over, and
    what is written to a cgroup's file mustn't end up in another. The part of the path
    that is there is walked by openat2(2), which sees to that.

    Raises:
        CgroupError: a component is a symbolic link or another mount.
    """
    path = directory[len(mount) :].strip("/")
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        top = call("open", os.open, mount, flags)
    except FileNotFoundError:
        return  # nothing can be made there, and whoever tries is told
    try:
        while path:
            found = try_open_in_root(top, os.fsencode(path), os.O_PATH, INSIDE)
            if found >= 0:
                os.close(found)
                return
            if -found in _LEADS_OUT:
                raise CgroupError(directory, "leads out of its hierarchy")
            path = path.rpartition("/")[0]  # it isn't there, or we may not look
    finally:
        os.close(top)
