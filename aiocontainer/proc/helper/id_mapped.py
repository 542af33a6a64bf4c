"""Copies of mounts with translated owners, or with locked attributes.

Both take a user namespace that isn't ours, so another process lives for a moment in it.
"""

from __future__ import annotations

import _signal
import _socket
import errno
import os
import struct

from ..._sys import constants as c
from ..._sys import libc, mounts, namespaces
from ..._sys.libc import call, fail
from .. import init_pipe
from .wire import introduce, send_descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    Space = tuple[bytes, bytes] | int | None
    """The texts for uid_map and gid_map, a namespace's descriptor, or any."""

_TREE, _FAILED, _KNOWN = b"t", b"f", b"k"


def clone_tree(
    pipe: int,
    source: bytes,
    recursive: bool,
    follow: bool,
    space: Space,
    map_recursive: bool,
    locked: bool,
) -> int:
    """A detached copy of the mount at ``source``, seen through a user namespace.

    With ``space`` its owners are translated by that mapping. With ``locked`` the copy
    is made in a mount namespace that a user namespace owns: attributes that were set
    before can't be cleared again in any such (mount_namespaces(7)).

    The process that lives in it is the program's child, told on the init ``pipe``: it
    is reaped even if we are killed.
    """
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    kinds = 0 if isinstance(space, int) else c.CLONE_NEWUSER
    if locked and kinds:
        kinds |= c.CLONE_NEWNS
    # Not of pid 1, which may have no siblings, and whose end is that of its children.
    is_first = os.getpid() == 1
    pid, pidfd = namespaces.clone(kinds if is_first else kinds | c.CLONE_PARENT)
    if pid == 0:
        ours.close()
        copy = (source, recursive, follow) if locked else None
        _live_inside(theirs, -1 if is_first else pipe, space, copy)
    theirs.close()
    is_known = is_first
    try:
        if not is_first:
            hello = init_pipe.encode_hello(init_pipe.INTERMEDIATE, pid)
            send_descriptor(pipe, hello, pidfd)
            is_known = True
            call("send", ours.send, _KNOWN)
        if locked:
            tree = _receive(ours, source)
        else:
            tree = mounts.clone_tree_at(source, recursive=recursive, follow=follow)
        if space is not None:
            _map_ids(tree, space, pidfd, map_recursive)
        return tree
    finally:
        ours.close()
        if is_known:
            _end(pidfd)
        if is_first:
            os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        os.close(pidfd)


def _end(pidfd: int) -> None:
    try:
        _signal.pidfd_send_signal(pidfd, _signal.SIGKILL)
    except ProcessLookupError:
        pass  # the program has reaped it


def _map_ids(tree: int, space: Space, pidfd: int, recursive: bool) -> None:
    if isinstance(space, int):
        mounts.set_id_mapping(tree, space, recursive=recursive)
        return
    assert space is not None
    directory = b"/proc/%d/" % _pid_in_proc(pidfd)
    _write(directory + b"gid_map", space[1])
    _write(directory + b"uid_map", space[0])
    owner = namespaces.open_namespace(directory + b"ns/user")
    mounts.set_id_mapping(tree, owner, recursive=recursive)
    os.close(owner)


def _pid_in_proc(pidfd: int) -> int:
    """The pid behind a pidfd as /proc has it, which shows the host's pid namespace."""
    with open(b"/proc/self/fdinfo/%d" % pidfd, "rb", buffering=0) as file:
        fields = (file.readall() or b"").split()
    return int(fields[fields.index(b"Pid:") + 1])


def _write(path: bytes, text: bytes) -> None:
    file = call("open", os.open, path, os.O_WRONLY | os.O_CLOEXEC)
    call("write", os.write, file, text, path=path)
    os.close(file)


def _receive(pipe: _socket.socket, source: bytes) -> int:
    space = _socket.CMSG_SPACE(4)
    message, ancillary, _, _ = call(
        "recvmsg", pipe.recvmsg, 16, space, _socket.MSG_CMSG_CLOEXEC
    )
    if message == _TREE and ancillary:
        tree: int = struct.unpack("i", ancillary[0][2][:4])[0]
        return tree
    code = int(message[1:]) if message[:1] == _FAILED else errno.ECHILD
    return fail("open_tree", code, source)


def _live_inside(
    side: _socket.socket,
    pipe: int,
    space: Space,
    copy: tuple[bytes, bool, bool] | None,
) -> NoReturn:
    """Be the user namespace until the other side has what it wants. If that has gone
    before it could make us known (on ``pipe``; -1: nobody has to), we do it."""
    try:
        libc.fault = None
        if pipe >= 0 and side.recv(1) != _KNOWN:
            introduce(pipe, init_pipe.INTERMEDIATE)
            os._exit(0)
        if copy is not None:
            if isinstance(space, int):
                namespaces.setns(space, c.CLONE_NEWUSER)
                namespaces.unshare(c.CLONE_NEWNS)
            source, recursive, follow = copy
            tree = mounts.clone_tree_at(source, recursive=recursive, follow=follow)
            send_descriptor(side.fileno(), _TREE, tree)
            os.close(tree)
        side.recv(1)
    except OSError as error:
        side.send(_FAILED + b"%d" % (error.errno or 0))
        side.recv(1)
    finally:
        os._exit(0)
