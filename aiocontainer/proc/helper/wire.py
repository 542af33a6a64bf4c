"""What a child sends on its init pipe, and how."""

from __future__ import annotations

import _socket
import os
import struct

from ..._sys.libc import call
from ..._sys.mounts import mount_id
from .. import init_pipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .child import Context


def take_go(context: Context) -> None:
    """Wait for the program's GO, and its answer if we said that we are ready; where the
    program has gone this process ends.

    GO is there long since, unless the spawner was lost before it could make us known:
    then we do that ourselves. The program finds our pid by the pidfd.
    """
    if context.announced:
        await_answer(context)
    elif _take(context) != init_pipe.GO:
        os._exit(1)


def await_answer(context: Context) -> None:
    """Wait for the program's answer to a stop; where it has gone this process ends.

    The GO before it has to go first. Another follows each answer but the last, so that
    something is unread as long as steps are left: that tells our end from an exec.
    """
    while (taken := _take(context)) != init_pipe.CONTINUE:
        if taken != init_pipe.GO:
            os._exit(1)


def _take(context: Context) -> bytes:
    """One message of the program's; nothing if it has gone."""
    sock = _as_socket(context.pipe)
    try:
        try:
            return sock.recv(1, _socket.MSG_DONTWAIT)
        except BlockingIOError:
            if not context.known:
                introduce(context.pipe)
            return call("recv", sock.recv, 1)  # type: ignore[no-any-return]
    finally:
        context.known = True
        sock.detach()


def say(context: Context, message: bytes) -> None:
    """Send one message."""
    sock = _as_socket(context.pipe)
    try:
        call("send", sock.send, message, _socket.MSG_NOSIGNAL)
    finally:
        sock.detach()


def introduce(pipe: int, kind: bytes = init_pipe.HELLO) -> None:
    """Make ourselves known, in case that the spawner couldn't: who isn't known isn't
    reaped."""
    pidfd = call("pidfd_open", os.pidfd_open, os.getpid())
    try:
        send_descriptor(pipe, init_pipe.encode_hello(kind, 0), pidfd)
    finally:
        os.close(pidfd)


def tell_mount(context: Context, mount: int) -> None:
    """Say which mount is about to be attached, so that it can be undone."""
    call("write", os.write, context.report, b"%d\n" % mount_id(mount))


def send_descriptor(pipe: int, message: bytes, descriptor: int) -> None:
    """Send one message with one descriptor."""
    sock = _as_socket(pipe)
    rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", descriptor))
    try:
        call("sendmsg", sock.sendmsg, (message,), (rights,), _socket.MSG_NOSIGNAL)
    finally:
        sock.detach()


def report(pipe: int, index: int, error: BaseException) -> None:
    """Say which step failed and how, as long as somebody listens."""
    sock = _as_socket(pipe)
    try:
        sock.send(_describe(index, error), _socket.MSG_NOSIGNAL | _socket.MSG_DONTWAIT)
    except OSError:
        pass
    finally:
        sock.detach()


def _as_socket(pipe: int) -> _socket.socket:
    # Told what it is, Python needs no system calls to find out.
    return _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, pipe)


def _describe(index: int, error: BaseException) -> bytes:
    if not isinstance(error, OSError):
        reason = f"{type(error).__name__}: {error}"
        return init_pipe.encode_failed(index, 0, b"", reason)
    path = error.filename
    if isinstance(path, str):
        path = os.fsencode(path)
    elif not isinstance(path, bytes):
        path = b""
    reason = "; ".join((error.strerror or str(error), *getattr(error, "__notes__", ())))
    return init_pipe.encode_failed(index, error.errno or 0, path, reason)
