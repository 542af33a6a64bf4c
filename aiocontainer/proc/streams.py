"""A program's output and input as byte streams over pipes (or sockets, or a pty).

No task runs behind a stream, and it holds nothing but what `ReceiveStream.lines` has
read ahead: a program whose output isn't read blocks once its pipe is full, and that is
all the flow control there is. All waiting is anyio's `wait_readable` and
`wait_writable`, so the streams work on asyncio, uvloop and trio.
"""

from __future__ import annotations

import anyio
import anyio.lowlevel
from anyio.abc import ByteReceiveStream, ByteSendStream

from .descriptor import CHUNK_BYTES, Descriptor
from .lines import Ahead, Lines, OnLong

__all__ = ("Lines", "ReceiveStream", "SendStream")


class ReceiveStream(ByteReceiveStream):
    """What a program writes, as bytes in the order written.

    Iterating gives chunks as they come, until the last process that holds the other
    end has closed it.
    """

    def __init__(self, number: int) -> None:
        """Take over descriptor ``number``, which is made non-blocking."""
        self._descriptor = Descriptor(number)
        self._ahead: Ahead | None = None

    async def receive(self, max_bytes: int = CHUNK_BYTES) -> bytes:
        """Wait for data and return at most ``max_bytes`` of it, at least one.

        Cancelling loses no data.

        Raises:
            anyio.EndOfStream: the last holder of the other end has closed it.
            anyio.ClosedResourceError: this stream is or was just closed.
            anyio.BusyResourceError: another task is receiving.
        """
        if max_bytes <= 0:
            raise ValueError("max_bytes must be positive")
        data = await self._take_held(max_bytes)
        if not data:
            data = await self._descriptor.read(max_bytes)
        if not data:
            raise anyio.EndOfStream
        return data

    async def receive_into(self, buffer: bytearray | memoryview) -> int:
        """Wait for data, put it at the start of ``buffer``, return how many bytes.

        For one buffer used again and again. Cancellation and errors as in `receive`.
        """
        if len(buffer) == 0:
            raise ValueError("buffer must not be empty")
        held = await self._take_held(len(buffer))
        if held:
            buffer[: len(held)] = held
            return len(held)
        count = await self._descriptor.read_into(buffer)
        if count == 0:
            raise anyio.EndOfStream
        return count

    def receive_nowait(self, max_bytes: int = CHUNK_BYTES) -> bytes:
        """Return what is there now, at most ``max_bytes``.

        Raises:
            anyio.WouldBlock: nothing is there.
            anyio.EndOfStream, anyio.ClosedResourceError, anyio.BusyResourceError:
                as `receive`.
        """
        self._descriptor.check_free()
        data = b"" if self._ahead is None else self._ahead.take(max_bytes)
        if not data:
            data = self._descriptor.read_nowait(max_bytes)
        if not data:
            raise anyio.EndOfStream
        return data

    @property
    def chunk_bytes(self) -> int:
        """How much is best received at once: it grows when the stream proves busy."""
        return self._descriptor.chunk_bytes

    def pending_bytes_at_most(self) -> int:
        """No more than this can be received now without waiting."""
        held = 0 if self._ahead is None else self._ahead.held_bytes
        return held + self._descriptor.pending_bytes()

    def lines(
        self, limit_bytes: int | None = None, *, on_long: OnLong = "raise"
    ) -> Lines:
        """Iterate over lines, each with its newline; the last one may have none.

        Without a limit a line may be as long as memory permits. Leaving the loop early
        loses nothing: another ``lines()``, or `receive`, goes on behind the last line.

        Args:
            limit_bytes: longest line, its newline not counted.
            on_long: what to do with a longer one. ``"raise"`` raises
                `anyio.DelimiterNotFound`; iteration may go on with the line after it.
                ``"truncate"`` gives its first ``limit_bytes``, without a newline.
        """
        if self._ahead is None:
            self._ahead = Ahead()
        return Lines(self._descriptor, self._ahead, limit_bytes, on_long)

    async def __anext__(self) -> bytes:
        try:
            return await self.receive(self._descriptor.chunk_bytes)
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    def fileno(self) -> int:
        """The descriptor, which stays this stream's."""
        return self._descriptor.fileno()

    def close(self) -> None:
        """Close without waiting. A task that waits here gets ``ClosedResourceError``.

        If there is one, the descriptor itself is closed as soon as that task has left.
        """
        if self._ahead is not None:
            self._ahead.clear()
        self._descriptor.close()

    async def aclose(self) -> None:
        """Close, as `close` does. Closes even when cancelled."""
        self.close()
        await anyio.lowlevel.checkpoint()

    @property
    def has_read_ahead(self) -> bool:
        """`lines` has read bytes that were not given out yet."""
        return self._ahead is not None and self._ahead.held_bytes > 0

    @property
    def is_busy(self) -> bool:
        """Some task is inside a call of this stream."""
        return self._descriptor.is_busy

    def hand_over(self) -> int:
        """Give the descriptor away, blocking; this stream is closed.

        Raises:
            anyio.ClosedResourceError: it was closed before.
            anyio.BusyResourceError: a task waits in it.
        """
        return self._descriptor.hand_over()

    def take_back(self, number: int) -> None:
        """Undo `hand_over`."""
        self._descriptor.take_back(number)

    async def _take_held(self, max_bytes: int) -> bytes:
        ahead = self._ahead
        if ahead is None or not ahead.held_bytes:
            return b""
        await anyio.lowlevel.checkpoint()  # before taking: cancelling must lose nothing
        self._descriptor.check_free()
        return ahead.take(max_bytes)


class SendStream(ByteSendStream):
    """What a program reads.

    Python ignores SIGPIPE. A caller that has set it back to its default is ended by it
    when the program closes its input: the disposition is the process's, not ours.
    """

    def __init__(self, number: int) -> None:
        """Take over descriptor ``number``, which is made non-blocking."""
        self._descriptor = Descriptor(number)

    async def send(self, item: bytes | bytearray | memoryview) -> None:
        """Write all of ``item``, waiting whenever the program is slower.

        Cancelling leaves an unknown part of it written.

        Raises:
            anyio.BrokenResourceError: nobody can read it any more.
            anyio.ClosedResourceError: this stream is or was just closed.
            anyio.BusyResourceError: another task is sending.
        """
        await self._descriptor.write(item)

    def fileno(self) -> int:
        """The descriptor, which stays this stream's."""
        return self._descriptor.fileno()

    def close(self) -> None:
        """Close without waiting: the program sees the end of its input.

        A task that waits here gets ``ClosedResourceError``, and the descriptor itself
        is closed as soon as that task has left.
        """
        self._descriptor.close()

    async def aclose(self) -> None:
        """Close, as `close` does. Closes even when cancelled."""
        self.close()
        await anyio.lowlevel.checkpoint()

    @property
    def is_busy(self) -> bool:
        """Some task is inside a call of this stream."""
        return self._descriptor.is_busy

    def hand_over(self) -> int:
        """Give the descriptor away, blocking; this stream is closed.

        Raises:
            anyio.ClosedResourceError: it was closed before.
            anyio.BusyResourceError: a task waits in it.
        """
        return self._descriptor.hand_over()

    def take_back(self, number: int) -> None:
        """Undo `hand_over`."""
        self._descriptor.take_back(number)
