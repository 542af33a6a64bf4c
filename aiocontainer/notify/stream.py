"""A stream of events: bounded, and never short of an OOM kill or an exit."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar, cast, get_args

import anyio
import anyio.lowlevel

from ..errors import CgroupError
from .kernfs import Waiter, current_poller
from .records import Event, Exit, Lost, Oom
from .source import Source

if TYPE_CHECKING:
    from .hub import EventHub

__all__ = ("ALL_KINDS", "CAPACITY", "EventStream")

ALL_KINDS: Final[frozenset[type[Event]]] = frozenset(get_args(Event))
CAPACITY: Final = 256
"""Records that may wait in a stream, unless it is told otherwise."""

E_co = TypeVar("E_co", bound=Event, covariant=True)


class EventStream(AsyncIterator[E_co], Generic[E_co]):
    """An async iterator over records of some kinds, in the order they became known.

    Made by `EventHub.subscribe`. Usable with and without ``async with``; closing or
    dropping it gives its kernel subscriptions back. One task reads it at a time.

    At most ``capacity`` records wait to be read. Beyond that the oldest are dropped
    and counted in `lost` (and by a `Lost` record, if that kind was asked for), but
    never an `Oom` or an `Exit`: an `Oom` is then added to the one that waits for the
    same cgroup, and of `Exit` there are no more than the program started processes.
    """

    __slots__ = (
        "__weakref__",
        "_capacity",
        "_closed",
        "_ended",
        "_error",
        "_guard",
        "_hub",
        "_idle",
        "_kinds",
        "_poller",
        "_queue",
        "_untold",
        "_waiter",
        "lost",
        "sources",
    )

    def __init__(
        self,
        hub: EventHub,
        kinds: frozenset[type[Event]],
        sources: Iterable[Source],
        capacity: int = CAPACITY,
    ) -> None:
        self.lost = 0
        """Records dropped so far."""
        self._closed = True  # until it is attached
        self._ended = False
        self._idle = False
        self._error: CgroupError | None = None
        self._queue: deque[Event] = deque()
        self._untold = 0
        self._capacity = max(capacity, 1)
        self._kinds = kinds
        self._waiter: Waiter | None = None
        self._guard = anyio.ResourceGuard("reading from")
        self._poller = current_poller()
        self._hub = hub
        self.sources: tuple[Source, ...] = ()
        """What is watched for it, perhaps for others too."""
        self.sources = hub.attach(self, sources)
        self._closed = False

    async def __anext__(self) -> E_co:
        """The next record; waits for it.

        Cancelling this gives the kernel subscriptions back until the stream is read
        again; what the kernel counted meanwhile is reported then.

        Raises:
            StopAsyncIteration: the container or cgroup is gone.
            CgroupError: the kernel's file can't be read any more.
            anyio.ClosedResourceError: the stream was closed.
            anyio.BusyResourceError: another task reads it already.
        """
        with self._guard:
            await self._or_idle(anyio.lowlevel.checkpoint())
            while True:
                if self._closed:
                    raise anyio.ClosedResourceError
                if self._queue:
                    return cast("E_co", self._take())
                if self._error is not None:
                    error, self._error = self._error, None
                    self._ended = True
                    raise error
                if self._ended:
                    raise StopAsyncIteration
                if self._idle:
                    self._idle = False
                    self._hub.set_idle(self, idle=False)
                    continue
                self._waiter = Waiter()
                await self._or_idle(self._poller.wait(self._waiter))

    async def _or_idle(self, waiting: Awaitable[None]) -> None:
        try:
            await waiting
        except BaseException:
            # The reader may be gone for good, and this stream be kept alive by the
            # traceback of its very cancellation.
            if not (self._idle or self._closed):
                self._idle = True
                self._hub.set_idle(self, idle=True)
            raise
        finally:
            self._waiter = None

    def _take(self) -> Event:
        if self._untold and Lost in self._kinds:
            lost, self._untold = self._untold, 0
            return Lost(lost)
        return self._queue.popleft()

    def __aiter__(self) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()

    def check(self) -> None:
        """Read the kernel's figures now; what is new can be had without waiting."""
        for source in self.sources:
            source.check()

    async def aclose(self) -> None:
        """Give the kernel subscriptions back. Doesn't wait; once is enough.

        A task that waits in the stream gets ``ClosedResourceError``.
        """
        self.close()

    def close(self) -> None:
        """`aclose` for where nothing can be awaited."""
        if not self._closed:
            self._closed = True
            self._hub.detach(self, idle=self._idle)
            self._wake()

    def __del__(self) -> None:
        # ``async for ... in container.oom_events()`` leaves nobody to close it.
        self.close()

    def put(self, record: Event) -> None:
        """Queue a record if its kind is wanted. For the hub."""
        if type(record) not in self._kinds or self._ended:
            return
        if len(self._queue) >= self._capacity:
            self._put_in_full_queue(record)
        else:
            self._queue.append(record)
        self._wake()

    def _put_in_full_queue(self, record: Event) -> None:
        for index, old in enumerate(self._queue):
            if not isinstance(old, Oom | Exit):
                del self._queue[index]
                self._drop()
                self._queue.append(record)
                return
        if isinstance(record, Oom):
            self._add_to_waiting(record)
        elif isinstance(record, Exit):
            self._queue.append(record)
        else:
            self._drop()

    def _add_to_waiting(self, record: Oom) -> None:
        for index, old in enumerate(self._queue):
            if isinstance(old, Oom) and old.cgroup == record.cgroup:
                self._queue[index] = replace(
                    record,
                    kills=old.kills + record.kills,
                    group_kills=old.group_kills + record.group_kills,
                )
                return
        self._queue.append(record)

    def _drop(self) -> None:
        self.lost += 1
        self._untold += 1

    def end(self, error: CgroupError | None = None) -> None:
        """What is queued may still be read, then ``error`` or the end. For the hub."""
        if error is not None and self._error is None:
            self._error = error
        else:
            self._ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None:
            self._poller.wake(self._waiter)
