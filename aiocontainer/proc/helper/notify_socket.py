"""The socket that a program says by how it is (sd_notify(3)), and who it is itself."""

from __future__ import annotations

import _socket
import os

from ..._sys.libc import call
from .. import init_pipe
from . import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .child import Context


def open_notify_socket(context: Context, path: bytes) -> None:
    """Make it in the container's files, for all who live there, and give it away."""
    kind = _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
    sock = call("socket", _socket.socket, _socket.AF_UNIX, kind)
    try:
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)
        call("bind", sock.bind, path, path=path)
        wire.send_descriptor(context.pipe, init_pipe.NOTIFY, sock.fileno())
    finally:
        sock.close()


def set_listen_pid(context: Context) -> None:
    """sd_listen_fds(3) wants the number that the program has for itself."""
    context.environment = {b"LISTEN_PID": b"%d" % os.getpid()}
