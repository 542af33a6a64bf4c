"""An agent of the host that answers system calls of containers."""

import json
import socket
from pathlib import Path
from typing import Any

import anyio

from aiocontainer.proc.syscalls import SyscallStream


class Agent:
    """A socket that listeners are sent to."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(self.path)
        self._socket.listen()
        self._socket.setblocking(False)

    async def receive(self) -> tuple[dict[str, Any], SyscallStream]:
        """One connection: its message, and the listener that came with it."""
        await anyio.wait_readable(self._socket)
        connection = self._socket.accept()[0]
        with connection:
            data, numbers, _, _ = socket.recv_fds(connection, 65536, 10)
            assert connection.recv(1) == b"", "one message, and then the end"
        assert len(numbers) == 1
        return json.loads(data), SyscallStream(numbers[0])

    def close(self) -> None:
        self._socket.close()
