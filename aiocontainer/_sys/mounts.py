"""Mounts by descriptor: made detached, set up, then attached where a descriptor points.

No path is looked up twice: what was checked is what is mounted on (fsopen(2),
open_tree(2), move_mount(2), mount_setattr(2)).
"""

from __future__ import annotations

import os
import struct
from ctypes import c_char_p, c_int, c_size_t, c_uint, create_string_buffer

from . import constants as c
from .libc import call, function, syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


# struct mount_attr of mount_setattr(2): attr_set, attr_clr, propagation, userns_fd.
_attr = struct.Struct("QQQQ").pack
_ATTR_BYTES = 32
# struct statx: its size, and where stx_mnt_id is in it.
_STATX_BYTES = 256
_STX_MNT_ID = 144

_fsopen = syscall(c.SYS_FSOPEN, c_char_p, c_uint)
_fsconfig = syscall(c.SYS_FSCONFIG, c_int, c_uint, c_char_p, c_char_p, c_int)
_fsmount = syscall(c.SYS_FSMOUNT, c_int, c_uint, c_uint)
_move_mount = syscall(c.SYS_MOVE_MOUNT, c_int, c_char_p, c_int, c_char_p, c_uint)
_open_tree = syscall(c.SYS_OPEN_TREE, c_int, c_char_p, c_uint)
_mount_setattr = syscall(
    c.SYS_MOUNT_SETATTR, c_int, c_char_p, c_uint, c_char_p, c_size_t
)
_fspick = syscall(c.SYS_FSPICK, c_int, c_char_p, c_uint)
_statx = syscall(c.number("statx"), c_int, c_char_p, c_int, c_uint, c_char_p)
_mount_id = struct.Struct("Q").unpack_from
_pivot_root = syscall(c.number("pivot_root"), c_char_p, c_char_p)
_umount2 = function("umount2", c_char_p, c_int)


def new_filesystem(
    kind: bytes,
    options: Iterable[tuple[bytes, bytes | None]],
    attributes: int = 0,
) -> int:
    """Make a file system of ``kind`` and a detached mount of it; its descriptor.

    ``options`` are (key, value), a flag where the value is None; ``attributes`` are
    ``MOUNT_ATTR_*``. The kernel's own words about a refusal become a note.
    """
    context = call("fsopen", _fsopen, kind, c.FSOPEN_CLOEXEC, path=kind)
    try:
        for key, value in options:
            how = c.FSCONFIG_SET_FLAG if value is None else c.FSCONFIG_SET_STRING
            call("fsconfig", _fsconfig, context, how, key, value, 0, path=kind)
        call(
            "fsconfig",
            _fsconfig,
            context,
            c.FSCONFIG_CMD_CREATE,
            None,
            None,
            0,
            path=kind,
        )
        made: int = call(
            "fsmount", _fsmount, context, c.FSMOUNT_CLOEXEC, attributes, path=kind
        )
    except OSError as error:
        for line in _kernel_messages(context):
            error.add_note(line)
        raise
    finally:
        os.close(context)
    return made


def _kernel_messages(context: int) -> list[str]:
    """What the file system said about a refusal, at most 16 lines (fsopen(2))."""
    lines = []
    for _ in range(16):
        try:
            lines.append(os.read(context, 1024).decode("utf-8", "replace").strip())
        except OSError:
            break
    return lines


def clone_tree(source: int, *, recursive: bool = False) -> int:
    """A detached copy of the mount that ``source`` (any descriptor) is on."""
    flags = c.OPEN_TREE_CLONE | c.OPEN_TREE_CLOEXEC | c.AT_EMPTY_PATH
    if recursive:
        flags |= c.AT_RECURSIVE
    tree: int = call("open_tree", _open_tree, source, b"", flags)
    return tree


def clone_tree_at(path: bytes, *, recursive: bool = False, follow: bool = True) -> int:
    """A detached copy of the mount at ``path``, seen from this process's own root.

    Not to ``follow`` takes a symbolic link at the end of the path for itself.
    """
    flags = c.OPEN_TREE_CLONE | c.OPEN_TREE_CLOEXEC
    if recursive:
        flags |= c.AT_RECURSIVE
    if not follow:
        flags |= c.AT_SYMLINK_NOFOLLOW
    tree: int = call("open_tree", _open_tree, c.AT_FDCWD, path, flags, path=path)
    return tree


def attach(mount: int, target: int) -> None:
    """Attach a detached mount on top of what the descriptor ``target`` refers to."""
    flags = c.MOVE_MOUNT_F_EMPTY_PATH | c.MOVE_MOUNT_T_EMPTY_PATH
    call("move_mount", _move_mount, mount, b"", target, b"", flags)


def set_attributes(
    mount: int,
    attr_set: int = 0,
    attr_clr: int = 0,
    propagation: int = 0,
    *,
    recursive: bool = False,
) -> None:
    """Change the attributes of the mount ``mount`` is the root of."""
    attr = _attr(attr_set, attr_clr, propagation, 0)
    flags = c.AT_EMPTY_PATH | (c.AT_RECURSIVE if recursive else 0)
    call("mount_setattr", _mount_setattr, mount, b"", flags, attr, _ATTR_BYTES)


def set_id_mapping(mount: int, user_namespace: int, *, recursive: bool = False) -> None:
    """Have the owners in a detached mount translated by a user namespace's mapping."""
    attr = _attr(c.MOUNT_ATTR_IDMAP, 0, 0, user_namespace)
    flags = c.AT_EMPTY_PATH | (c.AT_RECURSIVE if recursive else 0)
    call("mount_setattr", _mount_setattr, mount, b"", flags, attr, _ATTR_BYTES)


def reconfigure(mount: int, options: Iterable[tuple[bytes, bytes | None]]) -> None:
    """Change options of the file system that ``mount`` shows, wherever else it is
    mounted too (fspick(2))."""
    flags = c.FSPICK_EMPTY_PATH | c.FSPICK_CLOEXEC
    context = call("fspick", _fspick, mount, b"", flags)
    try:
        for key, value in options:
            how = c.FSCONFIG_SET_FLAG if value is None else c.FSCONFIG_SET_STRING
            call("fsconfig", _fsconfig, context, how, key, value, 0)
        how = c.FSCONFIG_CMD_RECONFIGURE
        call("fsconfig", _fsconfig, context, how, None, None, 0)
    except OSError as error:
        for line in _kernel_messages(context):
            error.add_note(line)
        raise
    finally:
        os.close(context)


def mount_id(descriptor: int) -> int:
    """Number of the mount that a file is on; never given out twice from Linux 6.8 on
    (``STATX_MNT_ID_UNIQUE``)."""
    found = create_string_buffer(_STATX_BYTES)
    for mask in (c.STATX_MNT_ID_UNIQUE, c.STATX_MNT_ID):
        flags = c.AT_EMPTY_PATH
        call("statx", _statx, descriptor, b"", flags, mask, found)
        if _mount_id(found, 0)[0] & mask:
            break
    number: int = _mount_id(found, _STX_MNT_ID)[0]
    return number


def set_root_propagation(propagation: int) -> None:
    """Change the propagation of every mount this process sees."""
    attr = _attr(0, 0, propagation, 0)
    call(
        "mount_setattr",
        _mount_setattr,
        c.AT_FDCWD,
        b"/",
        c.AT_RECURSIVE,
        attr,
        _ATTR_BYTES,
        path="/",
    )


def pivot_root(new_root: bytes, put_old: bytes) -> None:
    """pivot_root(2)."""
    call("pivot_root", _pivot_root, new_root, put_old, path=new_root)


def unmount_detach(path: bytes) -> None:
    """Take the topmost mount at ``path`` away, lazily."""
    call("umount2", _umount2, path, c.MNT_DETACH, path=path)
