"""Lines of a byte stream, of any length."""

from __future__ import annotations

from typing import Final, Literal, Self, TypeAlias

import anyio
import anyio.lowlevel

from .descriptor import CHUNK_BYTES, Descriptor

__all__ = ("Lines",)

OnLong: TypeAlias = Literal["raise", "truncate"]
"""What to do with a line longer than the limit."""

LINES_PER_TURN: Final = 512
"""Lines given from memory before other tasks may run."""


class Ahead:
    """What was read for the sake of lines and not given out yet.

    It belongs to the stream, so that whoever reads next, by lines or not, goes on at
    the right byte.
    """

    __slots__ = ("chunk", "position", "start")

    def __init__(self) -> None:
        # The start of a line whose end isn't here yet. It is searched only once, as a
        # chunk, so a line of any length takes time in proportion to its length.
        self.start = bytearray()
        self.chunk = b""
        self.position = 0  # of what is left of the chunk

    @property
    def held_bytes(self) -> int:
        return len(self.start) + len(self.chunk) - self.position

    def take(self, max_bytes: int) -> bytes:
        """The next bytes, at most ``max_bytes``; empty if nothing is held."""
        if self.start:
            data = bytes(self.start[:max_bytes])
            del self.start[:max_bytes]
            return data
        data = self.chunk[self.position : self.position + max_bytes]
        self.position += len(data)
        return data

    def take_line(self) -> bytes | None:
        """The next line with its newline, if its end is here."""
        end = self.chunk.find(b"\n", self.position) + 1
        if end == 0:
            return None
        line = self.chunk[self.position : end]
        self.position = end
        if self.start:
            line = b"".join((self.start, line))
            self.start.clear()
        return line

    def set_aside(self) -> None:
        """Keep the rest of the chunk as the start of a line that goes on."""
        self.start += memoryview(self.chunk)[self.position :]
        self.chunk, self.position = b"", 0

    def take_start(self) -> bytes:
        """The start of the line that goes on."""
        start = bytes(self.start)
        self.start.clear()
        return start

    def clear(self) -> None:
        """Drop everything."""
        self.start.clear()
        self.chunk, self.position = b"", 0


class Lines:
    """The lines of a stream, by ``async for``. Made by `ReceiveStream.lines`."""

    __slots__ = (
        "_ahead",
        "_descriptor",
        "_given",
        "_limit_bytes",
        "_on_long",
        "_skipping",
    )

    def __init__(
        self,
        descriptor: Descriptor,
        ahead: Ahead,
        limit_bytes: int | None,
        on_long: OnLong,
    ) -> None:
        if limit_bytes is not None and limit_bytes <= 0:
            raise ValueError("limit_bytes must be positive")
        if on_long not in ("raise", "truncate"):
            raise ValueError(f"on_long must be 'raise' or 'truncate', not {on_long!r}")
        self._descriptor = descriptor
        self._ahead = ahead
        self._limit_bytes = limit_bytes
        self._on_long = on_long
        self._skipping = False  # in the rest of a line that was too long
        self._given = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next line.

        Cancelling loses no data; the other errors are those of ``receive``.

        Raises:
            anyio.DelimiterNotFound: the line is longer than the limit.
        """
        self._given += 1
        if self._given >= LINES_PER_TURN:
            self._given = 0
            await anyio.lowlevel.checkpoint()
        ahead = self._ahead
        while True:
            self._descriptor.check_free()
            line = ahead.take_line()
            if line is None:
                ahead.set_aside()
                line = self._take_part()
            if line is None:
                data = await self._descriptor.read(CHUNK_BYTES)
                ahead.chunk = data
                if not data:
                    line = self._take_last()
            if line is not None and not self._skip(line):
                return self._checked(line)

    async def aclose(self) -> None:
        """Leave the stream open, and to it what was read ahead."""
        await anyio.lowlevel.checkpoint()

    def _take_part(self) -> bytes | None:
        """The start of a line already too long, so that memory stays bounded."""
        if self._skipping:
            self._ahead.start.clear()
        elif self._limit_bytes is not None and (
            len(self._ahead.start) > self._limit_bytes
        ):
            return self._ahead.take_start()
        return None

    def _take_last(self) -> bytes:
        if not self._ahead.start:
            raise StopAsyncIteration
        return self._ahead.take_start()

    def _skip(self, line: bytes) -> bool:
        if not self._skipping:
            return False
        self._skipping = not line.endswith(b"\n")
        return True

    def _checked(self, line: bytes) -> bytes:
        limit = self._limit_bytes
        if limit is None or len(line) - line.endswith(b"\n") <= limit:
            return line
        self._skipping = not line.endswith(b"\n")
        if self._on_long == "raise":
            raise anyio.DelimiterNotFound(limit)
        return line[:limit]
