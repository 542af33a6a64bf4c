"""Steps that show files and directories of the host in the container.

`bind` does it in one step. A bind that takes more (the host's rights, or a view of the
host that is gone by the time of the attachment) is a tree, prepared first.
"""

from __future__ import annotations

import errno
import os
import stat

from ..._sys import constants as c
from ..._sys import mounts, paths
from ..._sys.libc import call, fail
from . import id_mapped
from .wire import tell_mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .child import Context


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
    _set_up(tree, attr_set, attr_clr, rec_set, rec_clr, propagation)
    _attach(context, tree, destination, follow=True)
    os.close(tree)


def prepare_tree(
    context: Context,
    source: bytes,
    recursive: bool,
    follow: bool,
    attr_set: int,
    attr_clr: int,
    rec_set: int,
    rec_clr: int,
    propagation: int,
    mapping: tuple[bytes, bytes] | int | None,
    map_recursive: bool,
    locked: bool,
) -> None:
    """Make what `attach_tree` attaches later, maybe in another mount namespace.

    ``mapping`` translates the owners: the texts for uid_map and gid_map, or the index
    of a user namespace. ``locked`` keeps the attributes that the host's mount has from
    being cleared by a user namespace, as they are in those that it copies.
    """
    if mapping is None and not locked:
        tree = mounts.clone_tree_at(source, recursive=recursive, follow=follow)
    else:
        space = context.descriptors[mapping] if isinstance(mapping, int) else mapping
        tree = id_mapped.clone_tree(
            context.pipe, source, recursive, follow, space, map_recursive, locked
        )
    _set_up(tree, attr_set, attr_clr, rec_set, rec_clr, propagation)
    context.trees.append(tree)


def attach_tree(
    context: Context,
    source: bytes,
    destination: bytes,
    number: int,
    follow: bool,
    copy_link: bool,
) -> None:
    """Attach the tree of this number; or make a link like it, if it is one."""
    tree = context.trees[number]
    if copy_link and stat.S_ISLNK(os.fstat(tree).st_mode):
        _copy_link(context, tree, destination)
    else:
        if context.report >= 0:
            tell_mount(context, tree)
        _attach(context, tree, destination, follow=follow)
    os.close(tree)


def _set_up(
    tree: int,
    attr_set: int,
    attr_clr: int,
    rec_set: int,
    rec_clr: int,
    propagation: int,
) -> None:
    try:
        if attr_set or attr_clr:
            mounts.set_attributes(tree, attr_set, attr_clr)
        if rec_set or rec_clr:
            mounts.set_attributes(tree, rec_set, rec_clr, recursive=True)
    except PermissionError as error:
        if attr_clr or rec_clr:
            error.add_note("what is to be cleared is locked, from outside")
        raise
    if propagation:
        mounts.set_attributes(tree, propagation=propagation, recursive=True)


def _attach(context: Context, tree: int, destination: bytes, *, follow: bool) -> None:
    is_directory = stat.S_ISDIR(os.fstat(tree).st_mode)
    if not follow:
        target = _open_itself(context, destination, is_directory)
    elif is_directory:
        target = paths.ensure_directory(context.root, destination)
    else:
        target = paths.ensure_file(context.root, destination)
    mounts.attach(tree, target)
    os.close(target)


def _open_itself(context: Context, destination: bytes, is_directory: bool) -> int:
    """Open what has the name at the end of a path, a symbolic link too; made if there
    is nothing."""
    parent, name = paths.ensure_parent(context.root, destination)
    try:
        # Not by O_NOFOLLOW of openat2 in the root: the name alone can't lead anywhere.
        return paths.open_child(parent, name, c.O_PATH)
    except FileNotFoundError:
        if is_directory:
            paths.make_directory(parent, name, 0o755)
        else:
            paths.make_file(parent, name)
        return paths.open_child(parent, name, c.O_PATH)
    finally:
        os.close(parent)


def _copy_link(context: Context, tree: int, destination: bytes) -> None:
    target = call("readlinkat", _read_link, tree, path=destination)
    parent, name = paths.ensure_parent(context.root, destination)
    try:
        call("symlinkat", _symlink, target, parent, name, path=destination)
    except FileExistsError:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        is_link = stat.S_ISLNK(found.st_mode)
        if not is_link or os.readlink(name, dir_fd=parent) != target:
            fail("symlinkat", errno.EEXIST, destination)
    finally:
        os.close(parent)


def _read_link(link: int) -> bytes:
    # An empty path is the descriptor's own link (readlinkat(2), Linux 2.6.39).
    return os.readlink(b"", dir_fd=link)


def _symlink(target: bytes, parent: int, name: bytes) -> None:
    os.symlink(target, name, dir_fd=parent)
