"""Steps that make the container's root: a directory, an overlay or a tmpfs.

As in all steps that build its file system, sources are paths of the host, from the
config; everything below the container's root is reached through `_sys.paths` only.
"""

from __future__ import annotations

import errno
import os

from ..._sys import constants as c
from ..._sys import mounts, paths
from ..._sys.libc import call
from . import copy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .child import Context

    Option = tuple[bytes, bytes | None]


def set_propagation(_context: Context, propagation: int) -> None:
    """Cut the mounts of this namespace off from the host's."""
    mounts.set_root_propagation(propagation)


def root_directory(context: Context, path: bytes, propagation: int) -> None:
    """Take a host directory, with what is mounted below it, as the root."""
    place = _open_host_directory(path)
    tree = mounts.clone_tree(place, recursive=True)
    mounts.set_attributes(tree, propagation=propagation, recursive=True)
    _become_root(context, tree, place)


def root_tree(context: Context, path: bytes, number: int) -> None:
    """Take a tree that was prepared of a host directory as the root. It goes over the
    host's: nobody here needs to be able to reach the directory itself."""
    _become_root(context, context.trees[number], _open_host_directory(b"/"))


def root_overlay(
    context: Context,
    lower: tuple[bytes, ...],
    upper_options: tuple[Option, ...],
    overlay_options: tuple[Option, ...],
) -> None:
    """Put an empty, writable layer over directories that stay as they are.

    The layer is a tmpfs of this mount namespace, so nothing of it is left on the host.
    overlayfs wants attached layers before Linux 6.15: the tmpfs is attached on top of
    the first lower directory, which is reached by its descriptor from then on.

    Where a user namespace may have no overlay, the layers are copied into the tmpfs.
    """
    layers = [_open_host_directory(path) for path in lower]
    place = _scratch(layers[0], upper_options)
    upper = _by_descriptor(place)
    options = (
        (b"lowerdir", b":".join(map(_by_descriptor, layers))),
        (b"upperdir", upper + b"/upper"),
        (b"workdir", upper + b"/work"),
        *overlay_options,
    )
    try:
        root = mounts.new_filesystem(b"overlay", options)
    except OSError as error:
        if not overlay_options or error.errno not in _REFUSALS:
            raise
        root = _copied(layers, place)
    _become_root(context, root, place)
    for descriptor in layers:
        os.close(descriptor)


_REFUSALS = (errno.EPERM, errno.EACCES, errno.ENODEV, errno.EINVAL, errno.ENOSYS)


def _copied(layers: list[int], scratch: int) -> int:
    """The same, for as many bytes of memory as there are in the layers."""
    flags = c.O_PATH | c.O_DIRECTORY | c.O_CLOEXEC
    upper = call("openat", lambda: os.open(b"upper", flags, dir_fd=scratch))
    copy.layers(layers[::-1], upper)
    tree = mounts.clone_tree(upper)
    os.close(upper)
    return tree


def _scratch(place: int, options: tuple[Option, ...]) -> int:
    """A tmpfs with the two directories that overlayfs needs, attached at ``place``."""
    scratch = mounts.new_filesystem(b"tmpfs", options, c.MOUNT_ATTR_NODEV)
    mounts.attach(scratch, place)
    below = os.fstat(place)
    for name in (b"upper", b"work"):
        paths.make_directory(scratch, name, 0o700)
    # The merged root shows the attributes of the upper one.
    call("fchmodat", _chmod_child, scratch, b"upper", below.st_mode & 0o7777)
    if (below.st_uid, below.st_gid) != (0, 0):
        try:
            owner = below.st_uid, below.st_gid
            call("fchownat", _chown_child, scratch, b"upper", *owner)
        except OSError as error:
            if error.errno != errno.EINVAL:  # it isn't mapped: let it be our root's
                raise
    return scratch


def _chmod_child(directory: int, name: bytes, mode: int) -> None:
    os.chmod(name, mode, dir_fd=directory)


def _chown_child(directory: int, name: bytes, uid: int, gid: int) -> None:
    os.chown(name, uid, gid, dir_fd=directory, follow_symlinks=False)


def root_tmpfs(context: Context, options: tuple[Option, ...]) -> None:
    """Start from an empty tmpfs as the root; what is in it comes by later steps."""
    place = _open_host_directory(b"/")
    harmless = c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NODEV
    _become_root(context, mounts.new_filesystem(b"tmpfs", options, harmless), place)


def _open_host_directory(path: bytes) -> int:
    flags = c.O_PATH | c.O_DIRECTORY | c.O_NOFOLLOW | c.O_CLOEXEC
    found: int = call("open", os.open, path, flags, path=path)
    return found


def _by_descriptor(descriptor: int) -> bytes:
    return b"/proc/self/fd/%d" % descriptor


def _become_root(context: Context, tree: int, place: int) -> None:
    """Attach the root: pivot_root(2) wants it to be a mount point."""
    mounts.attach(tree, place)
    os.close(place)
    context.root = tree


def root_attributes(context: Context, attributes: int) -> None:
    """Set attributes (as read-only) of the root mount."""
    mounts.set_attributes(context.root, attributes)


def root_propagation(context: Context, propagation: int) -> None:
    """Set how mounts spread to and from the root mount."""
    mounts.set_attributes(context.root, propagation=propagation)
