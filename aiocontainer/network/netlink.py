"""A netlink socket on the event loop (netlink(7)).

pyroute2 writes and reads the messages; sending and waiting is done here, since its own
sockets bring an event loop of asyncio with them, and fork for another namespace. The
kernel has acted when sendmsg(2) returns, and has its answer ready: one that it gives
later is waited for.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, Self, TypeAlias

import anyio
import anyio.lowlevel

from .._sys.libc import call

NETLINK_ROUTE: Final = 0
NETLINK_NETFILTER: Final = 12

NLM_F_REQUEST: Final = 0x1
NLM_F_ACK: Final = 0x4
NLM_F_ECHO: Final = 0x8
NLM_F_DUMP: Final = 0x300
NLM_F_EXCL: Final = 0x200
NLM_F_CREATE: Final = 0x400

_NLMSG_ERROR: Final = 2
_NLMSG_DONE: Final = 3
_ANY: Final = -1
"""Whatever comes is the end of the answer."""
_NLMSGERR_ATTR_MSG: Final = 1
_CAPPED: Final = 0x100
_ACK_TLVS: Final = 0x200
_HEADER: Final = struct.Struct("=IHHII")  # struct nlmsghdr
_SOL_NETLINK: Final = 270
_NETLINK_CAP_ACK: Final = 10
_NETLINK_EXT_ACK: Final = 11
_NETLINK_GET_STRICT_CHK: Final = 12
_RECEIVE_BYTES: Final = 1 << 17


Message: TypeAlias = Any
"""A ``nlmsg`` of pyroute2, which has no types."""


class Request(NamedTuple):
    """One message to be sent."""

    message: Message
    kind: int
    """``RTM_NEWLINK`` and so on."""
    flags: int = NLM_F_ACK

    def encode(self, sequence: int) -> bytes:
        """As the kernel takes it."""
        header = self.message["header"]
        header["type"] = self.kind
        header["flags"] = self.flags | NLM_F_REQUEST
        header["sequence_number"] = sequence
        self.message.reset()
        self.message.encode()
        return bytes(self.message.data)


class Netlink:
    """One socket, in the network namespace that it was made in; for one task at a time.

    Raises:
        OSError: from each method: what the kernel answered, with its words.
    """

    def __init__(self, sock: socket.socket) -> None:
        """Take over a socket of ``AF_NETLINK`` that is set up, or what leads to one."""
        self._socket = sock
        self._sequence = itertools.count(1)
        sock.setblocking(False)

    @classmethod
    def of(cls, sock: socket.socket) -> Self:
        """Take over a new socket of ``AF_NETLINK``."""
        try:
            call("bind", sock.bind, (0, 0))
            options = (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK)
            for option in options:
                call("setsockopt", sock.setsockopt, _SOL_NETLINK, option, 1)
        except BaseException:
            sock.close()
            raise
        return cls(sock)

    @classmethod
    def open(cls, protocol: int = NETLINK_ROUTE) -> Self:
        """One in the caller's own network namespace."""
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        family = socket.AF_NETLINK
        return cls.of(call("socket", socket.socket, family, kind, protocol))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def fileno(self) -> int:
        """Its descriptor."""
        return self._socket.fileno()

    async def ask(
        self, message: Message, kind: int, flags: int = NLM_F_ACK
    ) -> list[bytes]:
        """Send one message; the messages of the answer, an acknowledgement left out.

        With ``NLM_F_DUMP`` all of them. Cancelled, it was not sent, or will be done.
        """
        return await self.ask_all([Request(message, kind, flags)])

    async def ask_all(self, requests: Sequence[Request]) -> list[bytes]:
        """Send several messages in one datagram; what the kernel answers to them all.

        The first refusal is raised, when all has been heard.
        """
        await anyio.lowlevel.checkpoint()
        pending: dict[int, int] = {}
        data = b""
        for request in requests:
            sequence = next(self._sequence)
            data += request.encode(sequence)
            if request.flags & NLM_F_DUMP == NLM_F_DUMP:
                pending[sequence] = _NLMSG_DONE
            elif request.flags & NLM_F_ACK:
                pending[sequence] = _NLMSG_ERROR
            elif len(requests) == 1:
                pending[sequence] = _ANY
        call("sendmsg", self._socket.sendmsg, [data])
        return await self._answers(pending)

    async def _answers(self, pending: dict[int, int]) -> list[bytes]:
        found: list[bytes] = []
        while pending:
            for sequence, kind, message in split(await self._receive()):
                if kind == _NLMSG_ERROR and (error := _refusal(message)) is not None:
                    self._drain()
                    raise error
                last = pending.get(sequence)
                if kind > _NLMSG_DONE and last is not None:
                    found.append(message)
                if last in (kind, _ANY):
                    del pending[sequence]
        return found

    async def _receive(self) -> bytes:
        while True:
            try:
                data: bytes = call("recv", self._socket.recv, _RECEIVE_BYTES)
            except BlockingIOError:
                await anyio.wait_readable(self._socket)
            else:
                if not data:
                    raise ConnectionResetError(errno.ECONNRESET, "the relay has ended")
                return data

    def _drain(self) -> None:
        """Forget what else was answered to a request that was refused."""
        with contextlib.suppress(OSError):
            while self._socket.recv(_RECEIVE_BYTES):
                pass


def split(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(sequence number, kind, whole message) of each message in a datagram."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, sequence, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            return
        yield sequence, kind, data[at : at + length]
        at += length + 3 & ~3


def _refusal(message: bytes) -> OSError | None:
    """What ``struct nlmsgerr`` says; ``None`` is an acknowledgement."""
    length, _, flags, _, _ = _HEADER.unpack_from(message)
    (code,) = struct.unpack_from("=i", message, _HEADER.size)
    if code == 0:
        return None
    error = OSError(-code, os.strerror(-code))
    at = _HEADER.size + 4
    (original,) = struct.unpack_from("=I", message, at)
    at += _HEADER.size if flags & _CAPPED else original + 3 & ~3
    while flags & _ACK_TLVS and at + 4 <= length:
        size, kind = struct.unpack_from("=HH", message, at)
        if kind == _NLMSGERR_ATTR_MSG:
            text = message[at + 4 : at + size].rstrip(b"\0").decode("utf-8", "replace")
            error.strerror = f"{error.strerror}: {text}"
        at += max(size, 4) + 3 & ~3
    return error
