"""Steps of a short-lived child that changes the mounts of a running container.

It joins the mount namespace (and the user namespace that owns that) but not the pid
namespace: nobody in the container can see it, and it executes nothing.
"""

from __future__ import annotations

import errno
import os

from ..._sys import constants as c
from ..._sys import mounts, paths
from ..._sys.libc import call, fail
from .wire import take_go

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from .child import Context


def keep_proc(context: Context, report: int) -> None:
    """Open the host's proc: what is at /proc after the join may be anything. Which
    mount is about to be made is written to the pipe of the number ``report``."""
    context.report = context.descriptors[report]
    flags = c.O_PATH | c.O_DIRECTORY | c.O_CLOEXEC
    context.proc = call("open", os.open, b"/proc", flags, path=b"/proc")


def unmount(context: Context, destination: bytes, number: int) -> None:
    """Take away the mount on top at a path, lazily; never the root.

    With ``number`` it has to be that very mount, wherever links lead to. Without, no
    link is followed: the container could have it lead to what hides a kernel file.
    """
    resolve = paths.IN_ROOT if number else paths.IN_ROOT | c.RESOLVE_NO_SYMLINKS
    target = paths.open_in_root(context.root, destination, c.O_PATH, resolve)
    found = mounts.mount_id(target)
    if found == mounts.mount_id(context.root):
        fail("umount2", errno.EINVAL, destination)  # nothing is mounted there
    if number and found != number:
        fail("umount2", errno.ESTALE, destination)
    # By the descriptor, so that nothing is looked up twice. It is followed there by a
    # proc that we trust: umount2(2) takes no descriptors.
    call("fchdir", os.fchdir, context.proc)
    try:
        mounts.unmount_detach(b"self/fd/%d" % target)
    except OSError as error:
        error.filename = destination
        raise
    os.close(target)


def finish(context: Context) -> NoReturn:
    """End, with all done."""
    take_go(context)
    os._exit(0)
