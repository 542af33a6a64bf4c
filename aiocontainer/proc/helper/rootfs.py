"""Steps that build the container's file system, all by descriptor.

Sources are paths of the host, from the config; everything below the container's root is
reached through `_sys.paths` only.
"""

from __future__ import annotations

import errno
import os
import stat

from ..._sys import constants as c
from ..._sys import mounts, paths
from ..._sys.libc import call, fail
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
    _become_root(context, mounts.new_filesystem(b"overlay", options), place)
    for descriptor in layers:
        os.close(descriptor)


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
        call("fchownat", _chown_child, scratch, b"upper", below.st_uid, below.st_gid)
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
    mount = mounts.new_filesystem(kind, options, 0 if copy_up else attributes)
    if copy_up:
        copy.tree(target, mount)
        mounts.set_attributes(mount, attributes)
    mounts.attach(mount, target)
    os.close(target)
    os.close(mount)


def bind(
    context: Context,
    source: bytes,
    destination: bytes,
    recursive: bool,
    attr_set: int,
    attr_clr: int,
    rec_set: int,
    rec_clr: int,
    propagation: int,
) -> None:
    """Show a host file or directory in the container."""
    tree = mounts.clone_tree_at(source, recursive=recursive)
    if attr_set or attr_clr:
        mounts.set_attributes(tree, attr_set, attr_clr)
    if rec_set or rec_clr:
        mounts.set_attributes(tree, rec_set, rec_clr, recursive=True)
    if propagation:
        mounts.set_attributes(tree, propagation=propagation, recursive=True)
    if stat.S_ISDIR(os.fstat(tree).st_mode):
        target = paths.ensure_directory(context.root, destination)
    else:
        target = paths.ensure_file(context.root, destination)
    mounts.attach(tree, target)
    os.close(target)
    os.close(tree)


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


def make_nodes(
    context: Context,
    directory: bytes,
    nodes: tuple[tuple[bytes, int, int, int, int], ...],
) -> None:
    """Make device nodes and FIFOs: (name, mode with type, device, uid, gid)."""
    parent = paths.ensure_directory(context.root, directory)
    for name, mode, device, uid, gid in nodes:
        path = directory + b"/" + name
        try:
            call("mknodat", _make_node, parent, name, mode, device, path=path)
        except FileExistsError:
            _check_node(parent, name, mode, device)
        if uid or gid:
            call("fchownat", _chown_child, parent, name, uid, gid, path=path)
    os.close(parent)


def _make_node(parent: int, name: bytes, mode: int, device: int) -> None:
    os.mknod(name, mode, device, dir_fd=parent)


def _check_node(parent: int, name: bytes, mode: int, device: int) -> None:
    """What an image brought in a device's place has to be that device."""
    found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if (stat.S_IFMT(found.st_mode), found.st_rdev) != (stat.S_IFMT(mode), device):
        fail("mknodat", errno.EEXIST, name)


def bind_nodes(
    context: Context,
    directory: bytes,
    nodes: tuple[tuple[bytes, int, int, int, int], ...],
) -> None:
    """The same in a user namespace, where mknod(2) is refused: show the host's own."""
    for name, mode, device, uid, gid in nodes:
        if stat.S_ISFIFO(mode):
            make_nodes(context, directory, ((name, mode, device, uid, gid),))
            continue
        path = directory + b"/" + name
        source = call("open", os.open, path, c.O_PATH | c.O_NOFOLLOW | c.O_CLOEXEC)
        found = os.fstat(source)
        # Under that name the host may have another device.
        if (stat.S_IFMT(found.st_mode), found.st_rdev) != (stat.S_IFMT(mode), device):
            fail("open", errno.ENODEV, path)
        tree = mounts.clone_tree(source)
        mounts.set_attributes(tree, propagation=c.MS_PRIVATE)
        target = paths.ensure_file(context.root, path)
        mounts.attach(tree, target)
        for descriptor in (source, tree, target):
            os.close(descriptor)


def make_symlinks(context: Context, links: tuple[tuple[bytes, bytes], ...]) -> None:
    """Make symbolic links (path, target), unless something is there already."""
    for path, target in links:
        parent, name = paths.ensure_parent(context.root, path)
        try:
            call("symlinkat", _symlink, target, parent, name, path=path)
        except FileExistsError:
            pass
        finally:
            os.close(parent)


def _symlink(target: bytes, parent: int, name: bytes) -> None:
    os.symlink(target, name, dir_fd=parent)


def make_directories(
    context: Context, directories: tuple[tuple[bytes, int], ...]
) -> None:
    """Make directories (path, mode)."""
    for path, mode in directories:
        os.close(paths.ensure_directory(context.root, path, mode))


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


def root_attributes(context: Context, attributes: int) -> None:
    """Set attributes (as read-only) of the root mount."""
    mounts.set_attributes(context.root, attributes)


def root_propagation(context: Context, propagation: int) -> None:
    """Set how mounts spread to and from the root mount."""
    mounts.set_attributes(context.root, propagation=propagation)
