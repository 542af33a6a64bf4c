"""Steps that hide kernel files, or keep them from being written."""

from __future__ import annotations

import errno
import os
import stat

from ..._sys import constants as c
from ..._sys import mounts, paths
from ..._sys.libc import call, fail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .child import Context


def mask(context: Context, masked: tuple[bytes, ...]) -> None:
    """Make paths unreadable: files show as /dev/null, directories as empty."""
    empty = -1
    for path in masked:
        target = _try_open(context, path)
        if target < 0:
            continue
        if not stat.S_ISDIR(os.fstat(target).st_mode):
            tree = mounts.clone_tree(_checked_null(context))
        elif empty >= 0:
            tree = mounts.clone_tree(empty)
        else:
            # Itself attached and not a copy: to close one that never was waits for an
            # RCU grace period (dissolve_on_fput in fs/namespace.c).
            tree = empty = empty_directory()
        mounts.attach(tree, target)
        if tree != empty:
            os.close(tree)
        os.close(target)
    if empty >= 0:
        os.close(empty)


def _try_open(context: Context, path: bytes) -> int:
    """Open what may be missing: -1 if it is."""
    found = paths.try_open_in_root(context.root, path)
    if found >= 0 or found in (-errno.ENOENT, -errno.ENOTDIR):
        return max(found, -1)
    return fail("openat2", -found, path)


def empty_directory() -> int:
    options = ((b"nr_blocks", b"1"), (b"nr_inodes", b"1"))
    return mounts.new_filesystem(b"tmpfs", options, c.MOUNT_ATTR_RDONLY)


def _checked_null(context: Context) -> int:
    """The host's /dev/null, proved to be one: a container's could be anything."""
    if context.null < 0:
        path = b"/dev/null"
        null = call("open", os.open, path, c.O_PATH | c.O_NOFOLLOW | c.O_CLOEXEC)
        found = os.fstat(null)
        if not stat.S_ISCHR(found.st_mode) or found.st_rdev != os.makedev(1, 3):
            fail("open", errno.ENODEV, path)
        context.null = null
    return context.null


def make_readonly(context: Context, readonly: tuple[bytes, ...]) -> None:
    """Mount paths read-only on themselves."""
    for path in readonly:
        target = _try_open(context, path)
        if target < 0:
            continue
        tree = mounts.clone_tree(target, recursive=True)
        mounts.set_attributes(tree, c.MOUNT_ATTR_RDONLY, recursive=True)
        mounts.attach(tree, target)
        os.close(tree)
        os.close(target)
