"""What a child sends on its init pipe, and how."""

from __future__ import annotations

import _socket
import os
import struct

from ..._sys.libc import call
from .. import init_pipe


def take_go(pipe: int) -> bool:
    """Wait for the program's GO; False if the program has gone.

    It is there long since, unless the spawner was lost before it could make us known:
    then we do that ourselves. The program finds our pid by the pidfd.
    """
    sock = _as_socket(pipe)
    try:
        try:
            taken = sock.recv(1, _socket.MSG_DONTWAIT)
        except BlockingIOError:
            introduce(pipe)
            taken = call("recv", sock.recv, 1)
    finally:
        sock.detach()
    return bool(taken == init_pipe.GO)


def introduce(pipe: int) -> None:
    """Make ourselves known, in case that the spawner couldn't: who isn't known isn't
    reaped."""
    pidfd = call("pidfd_open", os.pidfd_open, os.getpid())
    try:
        send_descriptor(pipe, init_pipe.encode_hello(init_pipe.HELLO, 0), pidfd)
    finally:
        os.close(pidfd)


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
