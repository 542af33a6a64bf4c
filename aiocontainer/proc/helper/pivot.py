"""The container's root becomes the root, and the host's goes away."""

from __future__ import annotations

import os

from ..._sys import constants as c
from ..._sys import mounts, paths
from ..._sys.libc import call
from .covers import empty_directory

_ESCAPES = ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\"))

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .child import Context

    Mounts = dict[int, tuple[int, bytes, bytes]]
    """{mount id: (parent's id, file system type, mount point)}"""


def pivot(context: Context) -> None:
    """Make the root the root, and let go of the host's."""
    old = call("open", os.open, b"/", c.O_PATH | c.O_DIRECTORY | c.O_CLOEXEC)
    call("fchdir", os.fchdir, context.root)
    mounts.pivot_root(b".", b".")
    # Both are mounted at "/" now, the old one on top as seen from here.
    call("fchdir", os.fchdir, old)
    mounts.unmount_detach(b".")
    call("chdir", os.chdir, b"/")
    os.close(old)


def pivot_to(context: Context, directory: bytes) -> None:
    """The same, with the old root in a directory of the new one for an instant."""
    old = call("open", os.open, b"/", c.O_PATH | c.O_DIRECTORY | c.O_CLOEXEC)
    parent = paths.ensure_directory(context.root, directory)
    name = b".pivot_root-%d" % os.getpid()
    call("mkdirat", _make_directory, parent, name, path=directory)
    place = paths.open_child(parent, name, c.O_PATH | c.O_DIRECTORY)
    call("fchdir", os.fchdir, context.root)
    mounts.pivot_root(b".", b"/proc/self/fd/%d" % place)
    call("fchdir", os.fchdir, old)
    mounts.unmount_detach(b".")
    call("chdir", os.chdir, b"/")
    call("unlinkat", _remove_directory, parent, name, path=directory)
    for descriptor in (old, parent, place):
        os.close(descriptor)


def _make_directory(parent: int, name: bytes) -> None:
    os.mkdir(name, 0o700, dir_fd=parent)


def _remove_directory(parent: int, name: bytes) -> None:
    os.rmdir(name, dir_fd=parent)


def move_root(context: Context) -> None:
    """Make the root the root without pivot_root(2), which an initramfs refuses.

    The host's mounts stay reachable to who can leave a chroot, so every proc and sysfs
    of the host, whose masks would not hold, is taken away first.
    """
    table = _read_mounts()
    own = _mount_id(context.root)
    foreign = [
        mount_point
        for number, (_, kind, mount_point) in table.items()
        if kind in (b"proc", b"sysfs") and not _is_below(table, number, own)
    ]
    for mount_point in sorted(foreign, key=len, reverse=True):
        _hide(mount_point)
    place = call("open", os.open, b"/", c.O_PATH | c.O_DIRECTORY | c.O_CLOEXEC)
    call("fchdir", os.fchdir, context.root)
    if table[own][2] != b"/":  # a tmpfs was attached there to begin with
        mounts.attach(context.root, place)
    call("chroot", os.chroot, b".")
    call("chdir", os.chdir, b"/")
    os.close(place)


def _hide(mount_point: bytes) -> None:
    try:
        mounts.unmount_detach(mount_point)
    except OSError:  # mounts that came with a user namespace are locked together
        place = paths.open_in_root(c.AT_FDCWD, mount_point)
        mounts.attach(empty_directory(), place)


def _mount_id(descriptor: int) -> int:
    fields = read_file(b"/proc/self/fdinfo/%d" % descriptor).split()
    return int(fields[fields.index(b"mnt_id:") + 1])


def _read_mounts() -> Mounts:
    """{mount id: (parent's id, file system type, mount point)} of this namespace."""
    table = {}
    for line in read_file(b"/proc/self/mountinfo").splitlines():
        fields = line.split(b" ")
        kind = fields[fields.index(b"-") + 1]
        table[int(fields[0])] = int(fields[1]), kind, unescape(fields[4])
    return table


def _is_below(table: Mounts, mount: int, top: int) -> bool:
    """Whether ``mount`` is ``top`` or in its tree: paths may be there twice."""
    while mount != top:
        parent = table[mount][0] if mount in table else mount
        if parent == mount:
            return False
        mount = parent
    return True


def unescape(path: bytes) -> bytes:
    """A path of /proc/self/mountinfo, where some bytes are written in octal."""
    for escaped, byte in _ESCAPES:
        path = path.replace(escaped, byte)
    return path


def read_file(path: bytes) -> bytes:
    """All that a small file of the kernel says."""
    with open(path, "rb", buffering=0) as file:
        return file.readall() or b""
