"""Small files of our own, shown over those of the root directory."""

from __future__ import annotations

import errno
import os

from ..._sys import constants as c
from ..._sys import mounts, paths
from ..._sys.libc import call, fail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .child import Context


def show_files(context: Context, files: tuple[tuple[bytes, bytes], ...]) -> None:
    """Mount files (path, content) that are kept in memory, and go with the container.

    They are on one tmpfs. A part of a mount can be shown elsewhere only while that is
    attached itself (before Linux 6.15), so it is put on the host's root, which only
    this mount namespace sees so, and taken off again.
    """
    harmless = c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NODEV | c.MOUNT_ATTR_NOEXEC
    options = ((b"mode", b"755"), (b"size", b"1m"))
    scratch = mounts.new_filesystem(b"tmpfs", options, harmless)
    root = call("open", os.open, b"/", c.O_PATH | c.O_DIRECTORY | c.O_CLOEXEC)
    mounts.attach(scratch, root)
    try:
        for number, (path, content) in enumerate(files):
            file = _write(scratch, b"%d" % number, content)
            tree = mounts.clone_tree(file)
            target = _target(context.root, path)
            mounts.attach(tree, target)
            for descriptor in (file, tree, target):
                os.close(descriptor)
    finally:
        mounts.unmount_detach(b"/proc/self/fd/%d" % scratch)
        os.close(scratch)
        os.close(root)


def _write(directory: int, name: bytes, content: bytes) -> int:
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | c.O_NOFOLLOW | c.O_CLOEXEC
    file: int = call("openat", _open_at, name, flags, directory, path=name)
    call("write", os.write, file, content)
    return file


def _open_at(name: bytes, flags: int, directory: int) -> int:
    return os.open(name, flags, 0o644, dir_fd=directory)


def _target(root: int, path: bytes) -> int:
    """The file to be covered, made if missing: also where a link says, as that of
    resolv.conf does where systemd-resolved was meant to run."""
    for _ in range(8):
        try:
            return paths.ensure_file(root, path)
        except FileExistsError:
            parent, name = paths.ensure_parent(root, path)
            try:
                link = os.readlink(name, dir_fd=parent)
            finally:
                os.close(parent)
            # Joined as text: openat2 keeps whatever comes of it below the root.
            path = os.path.join(os.path.dirname(path), link)
    return fail("openat2", errno.ELOOP, path)
