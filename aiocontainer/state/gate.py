"""The gate: where a container's first process waits for its start, by any program.

It is a socket in the container's folder, and the process holds the listening end by
descriptor, so it needs no path once the container's root is its root. Behind a fifo,
nobody could be told that the program can't be executed; behind a socket the starting
program gets an init pipe of its own, as if it had made the process. Connecting to one
whose process has gone is refused at once, where a fifo would be waited at for ever.

The listening end is closed by the exec. So whether there is somebody behind the gate is
the kernel's word, and no file's.
"""

from __future__ import annotations

import _socket
import os

from .folder import GATE, Folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_BACKLOG: Final = 128
"""How many may ask at once whether somebody is there; a paused one answers later."""


def build(folder: Folder) -> int:
    """Make the gate; the descriptor that the first process is to wait behind.

    Raises:
        OSError: it is there already, or can't be made.
    """
    listening = _new_socket(blocking=True)
    try:
        listening.bind(_path(folder))
        listening.listen(_BACKLOG)
        return listening.detach()
    finally:
        listening.close()


def knock(folder: Folder) -> int | None:
    """A connection to the process behind the gate; ``None`` if there is nobody.

    Closed without a word it changes nothing: the process goes on waiting.

    Raises:
        BlockingIOError: others are at the gate.
        OSError: it can't be reached.
    """
    connection = _new_socket(blocking=False)
    try:
        connection.connect(_path(folder))
        return connection.detach()
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    finally:
        connection.close()


def is_shut(folder: Folder) -> bool:
    """Whether somebody waits behind the gate."""
    try:
        connection = knock(folder)
    except BlockingIOError:
        return True
    if connection is None:
        return False
    os.close(connection)
    return True


def remove(folder: Folder) -> None:
    """Remove it. What was told through it is not affected."""
    try:
        os.unlink(GATE, dir_fd=folder.descriptor)
    except FileNotFoundError:
        pass


def _new_socket(*, blocking: bool) -> _socket.socket:
    kind = _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC
    made = _socket.socket(_socket.AF_UNIX, kind)
    made.setblocking(blocking)
    return made


def _path(folder: Folder) -> str:
    # A socket's path has at most 107 bytes, which the root may need by itself.
    return f"/proc/self/fd/{folder.descriptor}/{GATE}"
