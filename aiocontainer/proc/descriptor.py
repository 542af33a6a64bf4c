"""A non-blocking descriptor that tasks wait on: what all streams are made of."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import struct
import termios
import warnings
from typing import Final

import anyio
import anyio.lowlevel

CHUNK_BYTES: Final = 64 * 1024
"""The size of a pipe that nobody changed."""

BUSY_PIPE_BYTES: Final = 256 * 1024
"""Size given to a pipe that has shown itself busy. Measured: a reader and a writer on
two cores move 0.7 to 6 GiB/s through 64 KiB, as luck schedules them, steadily 3 to 7
through 256 KiB, and less again through 1 MiB, which falls out of the cache."""

BUDGET_BYTES: Final = 256 * 1024
"""What a task may move before it lets the others run once (about 0.1 ms)."""

CALL_COST_BYTES: Final = 2 * 1024
"""What each call counts against the budget besides its bytes, so that a task that reads
byte by byte yields too."""


class Descriptor:
    """Owns one non-blocking descriptor that one task may read and one may write.

    The number is given back to the kernel only when no task waits on it. asyncio's
    side of `wait_readable` is keyed by the number and cleaned up by the waiting task
    as it leaves: were the number reused before that, the clean-up would hit the new
    owner's registration, which then never wakes.
    """

    __slots__ = (
        "_closing",
        "_grows_after",
        "_is_at_end",
        "_moved",
        "_number",
        "_reading",
        "_writing",
    )

    def __init__(self, number: int) -> None:
        os.set_blocking(number, False)
        # -1 once closed: the kernel reuses numbers at once.
        self._number = number
        # The number, if closed while a task was inside: that task closes it on leaving.
        self._closing = -1
        self._reading = False
        self._writing = False
        self._moved = 0  # bytes since this task let others run
        self._grows_after = BUSY_PIPE_BYTES
        self._is_at_end = False

    def fileno(self) -> int:
        if self._number < 0:
            raise anyio.ClosedResourceError
        return self._number

    @property
    def chunk_bytes(self) -> int:
        """How much is best read at once: more once the pipe has been made larger."""
        return CHUNK_BYTES if self._grows_after > 0 else BUSY_PIPE_BYTES

    @property
    def is_busy(self) -> bool:
        """Some task is inside `read`, `read_into` or `write`."""
        return self._reading or self._writing

    def check_free(self) -> None:
        """Raise if this is closed, or if a task is reading."""
        if self._number < 0:
            raise anyio.ClosedResourceError
        if self._reading:
            raise anyio.BusyResourceError("reading from")

    def hand_over(self) -> int:
        """Give the descriptor away, blocking."""
        self.check_free()
        if self._writing:
            raise anyio.BusyResourceError("writing to")
        os.set_blocking(self._number, True)
        number, self._number = self._number, -1
        return number

    def take_back(self, number: int) -> None:
        """Undo `hand_over`."""
        os.set_blocking(number, False)
        self._number = number

    def close(self) -> None:
        """Close at once, or as soon as the tasks that wait here have left."""
        number, self._number = self._number, -1
        if number < 0:
            return
        if self._reading or self._writing:
            self._closing = number
            with contextlib.suppress(RuntimeError):  # the loop may have ended already
                anyio.notify_closing(number)
        else:
            os.close(number)

    def __del__(self) -> None:
        # getattr: __init__ may have failed on a bad number
        if getattr(self, "_number", -1) >= 0:
            if not self._is_at_end:  # read to its end, nobody misses it
                warnings.warn(
                    f"stream on descriptor {self._number} was never closed",
                    ResourceWarning,
                    stacklevel=2,
                )
            self.close()

    async def read(self, max_bytes: int) -> bytes:
        """At least one byte, or ``b""`` at the end of the stream."""
        number = self._start_reading()
        try:
            await self._take_turn()
            while self._number >= 0:
                try:
                    data = os.read(number, max_bytes)
                except BlockingIOError:
                    await self._wait_readable(number)
                except OSError as error:
                    return _end_or_raise(error)
                else:
                    self._account(number, len(data))
                    return data
            raise anyio.ClosedResourceError
        finally:
            self._reading = False
            if self._closing >= 0:
                self._leave()

    async def read_into(self, buffer: bytearray | memoryview) -> int:
        """How many bytes were put at the start of ``buffer``; 0 at the end."""
        number = self._start_reading()
        try:
            await self._take_turn()
            while self._number >= 0:
                try:
                    count = os.readv(number, (buffer,))
                except BlockingIOError:
                    await self._wait_readable(number)
                except OSError as error:
                    return len(_end_or_raise(error))
                else:
                    self._account(number, count)
                    return count
            raise anyio.ClosedResourceError
        finally:
            self._reading = False
            if self._closing >= 0:
                self._leave()

    def read_nowait(self, max_bytes: int) -> bytes:
        """What is there now, ``b""`` at the end of the stream.

        Raises:
            anyio.WouldBlock: nothing is there, and the other end is open.
        """
        self.check_free()
        try:
            return os.read(self._number, max_bytes)
        except BlockingIOError:
            raise anyio.WouldBlock from None
        except OSError as error:
            return _end_or_raise(error)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write all of ``data``."""
        if self._writing:
            raise anyio.BusyResourceError("writing to")
        number = self.fileno()
        self._writing = True
        try:
            await self._take_turn()
            with memoryview(data) as whole, whole.cast("B") as view:
                await self._write_all(number, view)
        finally:
            self._writing = False
            if self._closing >= 0:
                self._leave()

    async def _write_all(self, number: int, view: memoryview) -> None:
        done = 0
        while done < len(view):
            if self._number < 0:
                raise anyio.ClosedResourceError
            try:
                # The slice bounds how long one call may copy, and so the loop's lag.
                count = os.write(number, view[done : done + BUDGET_BYTES])
            except BlockingIOError as error:
                if _hung_up(number):
                    raise anyio.BrokenResourceError from error
                self._moved = 0
                await anyio.wait_writable(number)
            except OSError as error:
                if error.errno in (errno.EPIPE, errno.ECONNRESET, errno.EIO):
                    raise anyio.BrokenResourceError from error
                raise
            else:
                done += count
                self._account(number, count)
                if done < len(view):
                    await self._take_turn()

    def pending_bytes(self) -> int:
        """Bytes that can be read now without waiting."""
        empty = struct.pack("i", 0)
        answer = fcntl.ioctl(self.fileno(), termios.FIONREAD, empty)
        count: int = struct.unpack("i", answer)[0]
        return count

    def _start_reading(self) -> int:
        self.check_free()
        self._reading = True
        return self._number

    async def _take_turn(self) -> None:
        if self._moved >= BUDGET_BYTES:
            self._moved = 0
            await anyio.lowlevel.checkpoint()
        else:
            await anyio.lowlevel.checkpoint_if_cancelled()

    async def _wait_readable(self, number: int) -> None:
        self._moved = 0
        await anyio.wait_readable(number)

    def _account(self, number: int, count: int) -> None:
        self._is_at_end = count == 0
        self._moved += count + CALL_COST_BYTES
        if self._grows_after > 0:
            # Not at once: most streams carry little, and a user's pipes share a quota
            # (fs.pipe-user-pages-soft) that counts their other programs' pipes too.
            self._grows_after -= count
            if self._grows_after <= 0:
                grow_pipe(number, BUSY_PIPE_BYTES)

    def _leave(self) -> None:
        if not (self._reading or self._writing):
            number, self._closing = self._closing, -1
            os.close(number)


def grow_pipe(number: int, size_bytes: int) -> None:
    """Make a pipe hold more, if it is a pipe and the user's quota permits."""
    try:
        if fcntl.fcntl(number, fcntl.F_GETPIPE_SZ) < size_bytes:
            fcntl.fcntl(number, fcntl.F_SETPIPE_SZ, size_bytes)
    except OSError:
        pass  # EBADF: not a pipe; EPERM, ENOMEM: it works as it is


def _hung_up(number: int) -> bool:
    """Nobody holds the other side.

    A pty master then goes on taking bytes until its buffer is full, and from then on
    answers EAGAIN while it polls as writable (for the hang-up): waiting would spin.
    """
    watch = select.poll()
    watch.register(number, select.POLLOUT)
    return any(events & select.POLLHUP for _, events in watch.poll(0))


def _end_or_raise(error: OSError) -> bytes:
    # A pty master answers EIO once no process holds the other side any more.
    if error.errno in (errno.EIO, errno.ECONNRESET):
        return b""
    raise error
