"""Samples on a fixed schedule, as an async iterator."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, Self, TypeVar

import anyio
import anyio.lowlevel

from ..errors import ConfigError
from .kernfs import Poller, Waiter, current_poller
from .source import GONE

__all__ = ("Sample", "Sampler")

_INTERVAL_MIN_S: Final = 0.001
_LATENESS: Final = 0.02
_SLOT_MAX_S: Final = 0.02

T = TypeVar("T")


def _nothing() -> None:
    return


@dataclass(frozen=True, slots=True)
class Sample(Generic[T]):
    """One reading, and where it stands on the schedule."""

    value: T
    taken_s: float
    """When it was read, in seconds of the event loop's clock (`anyio.current_time`)."""
    lost: int
    """Samples that were due before it but not taken: nobody asked for them in time."""
    last: bool
    """Whether it is the final one, read when the container ended."""


class Sampler(AsyncIterator[Sample[T]], Generic[T]):
    """Reads something every ``interval_s`` seconds, for as long as it is there.

    The first sample is taken at once; all others are due at whole intervals after
    it, so the schedule doesn't drift; each is taken up to a fiftieth of the interval
    late (20 ms at most), so that many share a wake-up. A reader that comes late gets
    one fresh sample at once, is told how many it has lost, and the next one when it is
    due.

    No task runs for it: a sample is read when it is due and asked for. Usable with and
    without ``async with``; closing or dropping it gives back what it holds.

    Args:
        read: reads the kernel's files now, without waiting. When it says that they
            are gone (``ENODEV``, ``ENOENT``) the samples end; any other error comes
            out of the iteration.
        interval_s: at least 1 ms.
        release: gives back what ``read`` holds between samples; called when the reader
            was cancelled, and at the end. ``read`` may be called again after it.

    Raises:
        ConfigError: the interval is too short.
    """

    __slots__ = (
        "__weakref__",
        "_closed",
        "_due_s",
        "_final",
        "_guard",
        "_interval_s",
        "_over",
        "_read",
        "_release",
        "_waiting",
    )

    def __init__(
        self,
        read: Callable[[], T],
        interval_s: float = 1.0,
        *,
        release: Callable[[], None] = _nothing,
    ) -> None:
        if not interval_s >= _INTERVAL_MIN_S:  # also refuses NaN
            raise ConfigError("interval", "must be at least 0.001 s")
        self._read = read
        self._release = release
        self._interval_s = interval_s
        self._due_s: float | None = None
        self._final: Sample[T] | None = None
        self._over = False
        self._closed = False
        self._guard = anyio.ResourceGuard("sampling with")
        self._waiting: tuple[Poller, Waiter] | None = None

    async def __anext__(self) -> Sample[T]:
        """Wait until the next sample is due, and take it.

        Cancelling this loses nothing: a sample that becomes due meanwhile is taken,
        late, by the next call.

        Raises:
            StopAsyncIteration: the container has ended, and its last sample was given.
            anyio.ClosedResourceError: the sampler was closed.
            anyio.BusyResourceError: another task waits for a sample already.
        """
        with self._guard:
            try:
                await self._wait_until_due()
            except BaseException:
                # The reader may be gone for good, and this be kept alive by the
                # traceback of its very cancellation.
                self._release()
                raise
            if self._closed:
                raise anyio.ClosedResourceError
            if self._final is not None:
                final, self._final = self._final, None
                return final
            if self._over:
                raise StopAsyncIteration
            try:
                return self._take(last=False)
            except OSError as error:
                if error.errno not in GONE:
                    raise
                self._over = True
                if self._final is None:
                    raise StopAsyncIteration from None
                final, self._final = self._final, None  # `read` has called `end`
                return final

    async def _wait_until_due(self) -> None:
        due_s = self._due_s
        over = self._over or self._closed
        if due_s is None or over or due_s <= anyio.current_time():
            await anyio.lowlevel.checkpoint()
            return
        # Hundreds that are due at about the same time share one wake-up of the loop.
        slot_s = min(self._interval_s * _LATENESS, _SLOT_MAX_S)
        wake_s = math.ceil(due_s / slot_s) * slot_s
        poller = current_poller()
        waiter = Waiter()
        self._waiting = poller, waiter
        timer = poller.call_at(wake_s, partial(poller.wake, waiter))
        try:
            await poller.wait(waiter)
        finally:
            timer.cancel()
            self._waiting = None

    def _take(self, *, last: bool) -> Sample[T]:
        value = self._read()
        now_s = anyio.current_time()
        due_s = now_s if self._due_s is None else self._due_s
        late = max(int((now_s - due_s) / self._interval_s), 0)
        self._due_s = due_s + (late + 1) * self._interval_s
        return Sample(value, now_s, late, last)

    def end(self) -> None:
        """The container is over: take the last sample now, then end, once it is read.

        To be called before the cgroup is removed. Never waits; a failure to read only
        means that there is no last sample. Does nothing the second time.
        """
        if self._over or self._closed:
            return
        self._over = True
        try:
            self._final = self._take(last=True)
        except OSError:
            self._final = None
        self._release()
        self._wake_up()

    async def aclose(self) -> None:
        """End it. Doesn't wait; a task that waits gets ``ClosedResourceError``."""
        self._closed = True
        self._release()
        self._wake_up()

    def __del__(self) -> None:
        # ``async for ... in container.watch_stats()`` leaves nobody to close it.
        if hasattr(self, "_release"):
            self._release()

    def _wake_up(self) -> None:
        if self._waiting is not None:
            poller, waiter = self._waiting
            poller.wake(waiter)

    def __aiter__(self) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()
