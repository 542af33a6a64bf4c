"""Opening the gate that a container's first process waits behind."""

from __future__ import annotations

import os
import socket
from typing import Final

import anyio

from ..errors import HandshakeError
from . import init_pipe
from .last_words import failure_at_gate

_ENDED: Final = "the process behind the gate has ended"


async def open_gate(connection: int, program: str) -> int | None:
    """Have the process on the other side of a connection execute its program.

    Returns once the program runs: its exec closes the connection. It can't be waited
    for in vain, since the end of the process closes that, too. Cancelled, the program
    is started or not.

    Args:
        connection: to the gate; taken over.
        program: its name, for the error.

    Returns:
        The listener of its filter, the caller's to close, if it has one.

    Raises:
        ExecError: it can't be executed.
        SetupError: another step failed.
        HandshakeError: the process ended.
    """
    with socket.socket(fileno=connection) as pipe:
        pipe.setblocking(False)
        listener: int | None = None
        has_ended = False
        try:
            pipe.send(init_pipe.GO)
            while True:
                await anyio.wait_readable(pipe)
                try:
                    message, numbers, _, _ = socket.recv_fds(
                        pipe, init_pipe.MAX_MESSAGE, 1, socket.MSG_CMSG_CLOEXEC
                    )
                except ConnectionResetError:
                    has_ended = True  # and took no GO; its last words come after this
                    continue
                if numbers:
                    listener = numbers[0]
                if message[:1] == init_pipe.FAILED:
                    raise failure_at_gate(message, program)
                if not message and has_ended:
                    raise HandshakeError(_ENDED)
                if not message:
                    return listener
        except BaseException as error:
            if listener is not None:
                os.close(listener)
            if isinstance(error, BrokenPipeError):
                raise HandshakeError(_ENDED) from error
            raise
