"""What a program says of itself by ``sd_notify``: an async iterator, and a proxy."""

from __future__ import annotations

import array
import contextlib
import os
import select
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Self

import anyio

from .._sys import pidfd as sys_pidfd

__all__ = ("Notification", "NotificationStream")

_LARGEST: Final = 4096  # NOTIFY_BUFFER_MAX of systemd
_CREDENTIALS: Final = struct.Struct("iII")  # struct ucred: pid, uid, gid
_MAX_DESCRIPTORS: Final = 253  # SCM_MAX_FD of include/net/scm.h
_ANCILLARY: Final = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(
    4 * _MAX_DESCRIPTORS
)


@dataclass(frozen=True, slots=True)
class Notification:
    """One message of a process to its ``NOTIFY_SOCKET`` (sd_notify(3)).

    Whoever can reach the socket inside the container may have sent it.
    """

    pid: int
    """Who sent it, by the kernel's word, as the caller sees it; 0 if it can't be
    seen."""
    uid: int
    """Its user, as the caller sees it."""
    gid: int
    """Its group."""
    fields: Mapping[str, str]
    """``{"READY": "1", "STATUS": "serving"}``; of two with one name the last."""

    @property
    def ready(self) -> bool:
        """``READY=1``: it has started, or has reloaded."""
        return self.fields.get("READY") == "1"

    @property
    def stopping(self) -> bool:
        """``STOPPING=1``: it is about to end."""
        return self.fields.get("STOPPING") == "1"

    @property
    def status(self) -> str | None:
        """``STATUS``: what it does, in words for people."""
        return self.fields.get("STATUS")


class NotificationStream(AsyncIterator[Notification]):
    """Messages of one process and its descendants; made by ``start(sd_notify=...)``.

    An async iterator that ends with the process. Nothing is read ahead: some hundred
    messages wait in the socket, then their senders do. Descriptors that come along are
    closed, which is what answers ``BARRIER=1``; there is no ``FDSTORE``.
    """

    def __init__(self, number: int, pidfd: int) -> None:
        """Take over the descriptor of the socket; ``pidfd`` stays the caller's."""
        self._socket = socket.socket(fileno=number)
        self._socket.setblocking(False)
        self._pidfd = os.dup(pidfd)
        self._epoll = select.epoll()
        self._epoll.register(self._socket, select.EPOLLIN)
        self._epoll.register(self._pidfd, select.EPOLLIN)
        self._reading = False
        self._to: str | None = None
        self._pids: Callable[[], Iterable[int]] = tuple

    def forward_to(self, path: str | None, pids: Callable[[], Iterable[int]]) -> None:
        """Have each message also sent to this socket as it is read, ``MAINPID`` being
        translated. ``pids`` gives the processes that it may mean."""
        self._to = path
        self._pids = pids

    async def __anext__(self) -> Notification:
        """The next message. Cancelling this loses none.

        Raises:
            StopAsyncIteration: the process has ended, and all it said was read.
            anyio.ClosedResourceError: this was closed.
            anyio.BusyResourceError: another task reads it already.
        """
        if self._reading:
            raise anyio.BusyResourceError("reading from")
        self._reading = True
        try:
            await anyio.lowlevel.checkpoint_if_cancelled()
            while True:
                if self._epoll.closed:
                    raise anyio.ClosedResourceError
                received = self._receive()
                if received is not None:
                    return received
                if sys_pidfd.has_ended(self._pidfd):
                    raise StopAsyncIteration
                await anyio.wait_readable(self._epoll)
        finally:
            self._reading = False

    def __aiter__(self) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()

    async def aclose(self) -> None:
        """Stop listening: what is sent from now on is refused."""
        self.close()

    def close(self) -> None:
        """As `aclose`."""
        if self._epoll.closed:
            return
        if self._reading:
            anyio.notify_closing(self._epoll)
        self._epoll.close()
        self._socket.close()
        os.close(self._pidfd)

    async def wait_ready(self) -> bool:
        """Read on until the process says that it is ready; False if it ends before.

        Cancelled, or with a timeout, what was read so far is lost.
        """
        async for notification in self:
            if notification.ready:
                return True
        return False

    def _receive(self) -> Notification | None:
        """The next message that is there, and is one."""
        while True:
            try:
                message, ancillary, flags, _ = self._socket.recvmsg(
                    _LARGEST + 1, _ANCILLARY, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return None
            descriptors, credentials = _taken_apart(ancillary)
            try:
                is_whole = not flags & socket.MSG_TRUNC and len(message) <= _LARGEST
                fields = _fields(message) if is_whole else {}
                if not fields:
                    continue
                if self._to:
                    self._forward(message, fields, credentials[0], descriptors)
            finally:
                for number in descriptors:
                    os.close(number)
            return Notification(*credentials, fields)

    def _forward(
        self,
        message: bytes,
        fields: Mapping[str, str],
        sender: int,
        descriptors: list[int],
    ) -> None:
        if "MAINPID" in fields:
            message = self._translated(message, fields["MAINPID"], sender)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
        address = "\0" + self._to[1:] if self._to[:1] == "@" else self._to  # type: ignore[index]
        # As sd_notify(3) itself: who can't be told isn't.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock,
        ):
            sock.setblocking(False)
            sock.sendmsg([message], [rights] if descriptors else [], 0, address)

    def _translated(self, message: bytes, inside: str, sender: int) -> bytes:
        """The message with the pid as the caller sees it, or without."""
        outside = _pid_outside(inside, (sender, *self._pids()))
        lines = [
            line for line in message.split(b"\n") if not line.startswith(b"MAINPID=")
        ]
        if outside is not None:
            lines.append(b"MAINPID=%d" % outside)
        return b"\n".join(lines)


def _taken_apart(
    ancillary: list[tuple[int, int, bytes]],
) -> tuple[list[int], tuple[int, int, int]]:
    descriptors = array.array("i")
    credentials = (0, 0, 0)
    for level, kind, data in ancillary:
        if level != socket.SOL_SOCKET:
            continue
        if kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) // 4 * 4])
        elif kind == socket.SCM_CREDENTIALS:
            credentials = _CREDENTIALS.unpack(data[: _CREDENTIALS.size])
    return descriptors.tolist(), credentials


def _fields(message: bytes) -> dict[str, str]:
    """Lines of the form ``NAME=value``; nothing if it isn't UTF-8."""
    try:
        lines = message.decode().split("\n")
    except UnicodeDecodeError:
        return {}
    pairs = (line.partition("=") for line in lines)
    return {name: value for name, equals, value in pairs if name and equals}


def _pid_outside(inside: str, candidates: Iterable[int]) -> int | None:
    """Who of these has that number in the innermost of its pid namespaces."""
    for pid in dict.fromkeys(candidates):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith("NSpid:") and line.split()[-1] == inside:
                    return pid
    return None
