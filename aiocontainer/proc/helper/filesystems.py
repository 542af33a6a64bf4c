"""Steps that mount new file systems, and change what is mounted."""

from __future__ import annotations

import errno
import os

from ..._sys import constants as c
from ..._sys import mounts, paths
from ..._sys.libc import call, fail
from . import copy
from .wire import tell_mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .child import Context

    Option = tuple[bytes, bytes | None]


def mount_filesystem(
    context: Context,
    destination: bytes,
    kind: bytes,
    options: tuple[Option, ...],
    attributes: int,
    copy_up: bool,
) -> None:
    """Mount a new file system; a tmpfs takes the mode of the directory it covers."""
    target = -errno.ENOENT
    if kind in (b"proc", b"sysfs"):
        # Reached through a symbolic link it would be elsewhere than it looks.
        strict = paths.IN_ROOT | c.RESOLVE_NO_SYMLINKS
        flags = c.O_PATH | c.O_DIRECTORY
        target = paths.try_open_in_root(context.root, destination, flags, strict)
    if target == -errno.ENOENT:
        target = paths.ensure_directory(context.root, destination)
    elif target < 0:
        fail("openat2", -target, destination)
    if kind == b"tmpfs" and not any(key == b"mode" for key, _ in options):
        mode = os.fstat(target).st_mode & 0o7777
        options = (*options, (b"mode", b"%o" % mode))
    try:
        mount = mounts.new_filesystem(kind, options, 0 if copy_up else attributes)
    except PermissionError:
        if kind != b"sysfs" or context.report >= 0:
            raise
        mount = _sysfs_of_the_host(attributes)
    if copy_up:
        copy.tree(target, mount)
        mounts.set_attributes(mount, attributes)
    if context.report >= 0:
        tell_mount(context, mount)
    mounts.attach(mount, target)
    os.close(target)
    os.close(mount)


def _sysfs_of_the_host(attributes: int) -> int:
    """The one that is seen here, read-only: a user namespace gets none of its own where
    that has parts covered, as in a container (mount_too_revealing in fs/namespace.c).
    """
    tree = mounts.clone_tree_at(b"/sys", recursive=True)
    mounts.set_attributes(tree, propagation=c.MS_PRIVATE, recursive=True)
    mounts.set_attributes(tree, attributes | c.MOUNT_ATTR_RDONLY, recursive=True)
    return tree


def change_propagation(
    context: Context, destination: bytes, propagation: int, recursive: bool
) -> None:
    """Change how mounts spread to and from the mount at ``destination``."""
    target = paths.open_in_root(context.root, destination)
    mounts.set_attributes(target, propagation=propagation, recursive=recursive)
    os.close(target)


def change_attributes(
    context: Context,
    destination: bytes,
    attr_set: int,
    attr_clr: int,
    rec_set: int,
    rec_clr: int,
) -> None:
    """Set attributes (as read-only) of a mount that the set-up had to write to."""
    target = paths.open_in_root(context.root, destination)
    if attr_set or attr_clr:
        mounts.set_attributes(target, attr_set, attr_clr)
    if rec_set or rec_clr:
        mounts.set_attributes(target, rec_set, rec_clr, recursive=True)
    os.close(target)


def reconfigure(
    context: Context, destination: bytes, options: tuple[Option, ...]
) -> None:
    """Change options (as the size) of a file system that is mounted already."""
    target = paths.open_in_root(context.root, destination)
    try:
        mounts.reconfigure(target, options)
    except OSError as error:
        error.filename = destination
        raise
    os.close(target)


def write_sysctl(_context: Context, values: tuple[tuple[bytes, bytes], ...]) -> None:
    """Write kernel parameters through a proc file system that nobody else can see."""
    try:
        proc = mounts.new_filesystem(b"proc", ())
    except PermissionError:
        # In a user namespace with the pids of the host: the host's own, which shows
        # the parameters of whoever looks, too. The container's root isn't "/" yet.
        proc = call("open", os.open, b"/proc", c.O_PATH | c.O_DIRECTORY | c.O_CLOEXEC)
    strict = c.RESOLVE_BENEATH | c.RESOLVE_NO_XDEV | c.RESOLVE_NO_SYMLINKS
    for key, value in values:
        path = b"sys/" + key
        file = paths.open_in_root(
            proc, path, os.O_WRONLY, strict | c.RESOLVE_NO_MAGICLINKS
        )
        call("write", os.write, file, value, path=path)
        os.close(file)
    os.close(proc)
