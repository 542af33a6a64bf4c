"""The step that waits until some program, maybe not the one that made us, starts us."""

from __future__ import annotations

import _socket
import os

from ..._sys.libc import call
from . import execute, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .child import Context


def await_gate(context: Context, listening: int, program: bytes, search: bytes) -> None:
    """Let the program that made us know that all is done, by the end of the init pipe;
    then wait for one to come to the gate.

    A program that can't be found is told to who makes us, not to who starts us. What is
    a failure from now on goes to the latter: its connection is our init pipe.
    """
    if program:
        execute.find_program(program, search or execute.DEFAULT_PATH)
    wire.take_go(context)
    os.close(context.pipe)
    context.pipe = context.descriptors[listening]
    context.pipe = _first_to_speak(context.pipe)
    context.announced = False


def _first_to_speak(listening: int) -> int:
    """A connection whose other end has said something, and left it to be taken.

    Others only wanted to know whether somebody is here, or were killed meanwhile.
    """
    gate = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, listening)
    try:
        while True:
            connection, _ = call("accept", gate._accept)  # type: ignore[attr-defined]
            if _has_spoken(connection):
                return connection  # type: ignore[no-any-return]
            os.close(connection)
    finally:
        gate.detach()


def _has_spoken(connection: int) -> bool:
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, connection)
    try:
        return bool(sock.recv(1, _socket.MSG_PEEK))
    except OSError:
        return False
    finally:
        sock.detach()
