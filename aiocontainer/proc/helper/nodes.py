"""Steps that make device nodes, FIFOs, links and directories."""

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
        except PermissionError:
            if stat.S_ISFIFO(mode):
                raise
            # Without CAP_MKNOD; or the program itself is in a container.
            bind_nodes(context, directory, ((name, mode, device, uid, gid, path),))
            continue
        if uid or gid:
            call("fchownat", _chown_child, parent, name, uid, gid, path=path)
    os.close(parent)


def _chown_child(directory: int, name: bytes, uid: int, gid: int) -> None:
    os.chown(name, uid, gid, dir_fd=directory, follow_symlinks=False)


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
    nodes: tuple[tuple[bytes, int, int, int, int, bytes], ...],
) -> None:
    """The same in a user namespace, where mknod(2) is refused: show the host's own."""
    for name, mode, device, uid, gid, source_path in nodes:
        if stat.S_ISFIFO(mode):
            make_nodes(context, directory, ((name, mode, device, uid, gid),))
            continue
        path = directory + b"/" + name
        flags = c.O_PATH | c.O_NOFOLLOW | c.O_CLOEXEC
        source = call("open", os.open, source_path, flags, path=source_path)
        found = os.fstat(source)
        # Under that name the host may have another device.
        if (stat.S_IFMT(found.st_mode), found.st_rdev) != (stat.S_IFMT(mode), device):
            fail("open", errno.ENODEV, source_path)
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
