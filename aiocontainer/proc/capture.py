"""Bounded collection of what a program prints, and feeding of what it reads."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal, TypeAlias, TypeVar

import anyio

from .streams import ReceiveStream, SendStream

__all__ = (
    "Channel",
    "Overflow",
    "Sink",
    "communicate",
    "drain",
    "drain_available",
    "feed",
)

T = TypeVar("T")

Overflow: TypeAlias = Literal["truncate", "kill", "raise"]
"""What is done when a program prints more than allowed."""

GRACE_S: Final = 0.1
"""How long outputs that other processes hold open are waited for after the end."""


class Channel:
    """One stream's share of a `Sink`: the bytes kept of it."""

    __slots__ = ("_kept", "_sink", "received_bytes")

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        # BytesIO gives its content away without a copy; a bytearray would be held
        # twice at the end.
        self._kept = io.BytesIO()
        self.received_bytes = 0
        """All that came, kept or not."""

    def feed(self, data: bytes) -> None:
        """Keep ``data``, or as much of it as the sink still admits."""
        self.received_bytes += len(data)
        admitted = self._sink._admit(len(data))
        if admitted:
            self._kept.write(data if admitted == len(data) else data[:admitted])

    @property
    def truncated(self) -> bool:
        """Some of what came was not kept."""
        return self.received_bytes > self._kept.tell()

    def getvalue(self) -> bytes:
        """What was kept: the first bytes of the stream, in order."""
        return self._kept.getvalue()


class Sink:
    """Keeps the first ``max_bytes`` of a program's output, stdout and stderr together.

    Whatever comes after that is received and thrown away, so that the program never
    blocks on a full pipe.

    Args:
        max_bytes: how much is kept; ``None`` keeps everything.
        on_exceeded: called once, as soon as more has come than is kept: the place to
            kill the program (overflow policies ``"kill"`` and ``"raise"``). Must not
            raise or wait.
    """

    __slots__ = ("_left_bytes", "_on_exceeded", "exceeded", "stderr", "stdout")

    def __init__(
        self, max_bytes: int | None, on_exceeded: Callable[[], None] | None = None
    ) -> None:
        if max_bytes is not None and max_bytes < 0:
            raise ValueError("max_bytes must not be negative")
        self._left_bytes = max_bytes
        self._on_exceeded = on_exceeded
        self.exceeded = False
        """More has come than was kept."""
        self.stdout = Channel(self)
        self.stderr = Channel(self)

    def _admit(self, count: int) -> int:
        left = self._left_bytes
        if left is None or count <= left:
            if left is not None:
                self._left_bytes = left - count
            return count
        self._left_bytes = 0
        if not self.exceeded:
            self.exceeded = True
            if self._on_exceeded is not None:
                self._on_exceeded()
        return left


async def drain(stream: ReceiveStream, channel: Channel) -> None:
    """Receive into ``channel`` until the end of ``stream``, or until it is closed.

    What was received before a cancellation is in the channel, the rest in the stream.
    """
    try:
        while True:
            channel.feed(await stream.receive(stream.chunk_bytes))
    except (anyio.EndOfStream, anyio.ClosedResourceError):
        return


def drain_available(stream: ReceiveStream, channel: Channel) -> None:
    """Receive what is in ``stream`` now, without waiting.

    To be called when the program has ended: all it wrote is then in the pipe, however
    long other processes hold the pipe open. No more is read than was there at the
    call, so a process that goes on writing can't keep this busy.
    """
    with contextlib.suppress(
        anyio.WouldBlock, anyio.EndOfStream, anyio.ClosedResourceError
    ):
        left = stream.pending_bytes_at_most()
        while left > 0:
            data = stream.receive_nowait(min(left, stream.chunk_bytes))
            channel.feed(data)
            left -= len(data)


async def feed(stream: SendStream, data: bytes | bytearray | memoryview) -> None:
    """Send all of ``data`` and close ``stream``.

    A program may end, or close its input, without having read it: no error, as in
    ``subprocess.communicate``. Cancelling closes the stream too.
    """
    try:
        await stream.send(data)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass
    finally:
        await stream.aclose()


async def communicate(
    wait: Callable[[], Awaitable[T]],
    outputs: Sequence[tuple[ReceiveStream, Channel]],
    *,
    stdin: SendStream | None = None,
    data: bytes | bytearray | memoryview = b"",
    grace_s: float = GRACE_S,
) -> T:
    """Feed ``stdin``, drain ``outputs``, and wait for the program, all at once.

    Returns when ``wait`` does and the outputs have ended. If some process still holds
    one open then (a daemon that the program left), that is waited for ``grace_s``
    seconds at most; all that the program itself wrote is in the channels in any case.
    The outputs are left open.

    Cancelling stops feeding and draining and leaves the program alone: what it printed
    since is still in the pipes, for `drain_available`. The first error of ``wait`` or
    of a stream is raised as it is, once the program has ended.
    """
    drained = anyio.Event()
    open_outputs = len(outputs)
    failures: list[Exception] = []  # kept out of the task group, which would wrap them

    async def drain_one(stream: ReceiveStream, channel: Channel) -> None:
        nonlocal open_outputs
        try:
            await drain(stream, channel)
        except Exception as error:
            failures.append(error)
        open_outputs -= 1
        if open_outputs == 0:
            drained.set()

    async def feed_input(stream: SendStream) -> None:
        try:
            await feed(stream, data)
        except Exception as error:
            failures.append(error)

    async with anyio.create_task_group() as tasks:
        if stdin is not None:
            tasks.start_soon(feed_input, stdin)
        for stream, channel in outputs:
            tasks.start_soon(drain_one, stream, channel)
        try:
            result = await wait()
        except Exception as error:
            failures.append(error)
        if outputs:
            with anyio.move_on_after(grace_s):
                await drained.wait()
        tasks.cancel_scope.cancel()
    if failures:
        raise failures[0]
    for stream, channel in outputs:
        drain_available(stream, channel)
    return result
