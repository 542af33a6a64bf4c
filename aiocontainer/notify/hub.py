"""Streams of events, and the hub that feeds them.

A hub belongs to one container (or one watched cgroup). It opens a source when the
first stream wants its records and closes it after the last, so a container that
nobody watches costs nothing. What only the container knows, as an `Exit`, it
publishes itself.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import AsyncIterator, Hashable, Iterable
from dataclasses import replace
from typing import Any, Final, Generic, Self, TypeVar, cast, get_args, overload

import anyio
import anyio.lowlevel

from ..errors import CgroupError
from .kernfs import Waiter, current_poller
from .records import Event, Exit, Lost, Oom
from .source import Source

__all__ = ("ALL_KINDS", "CAPACITY", "EventHub", "EventStream")

ALL_KINDS: Final[frozenset[type[Event]]] = frozenset(get_args(Event))
CAPACITY: Final = 256
"""Records that may wait in a stream, unless it is told otherwise."""

E = TypeVar("E", bound=Event)
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

        Cancelling this loses no record, and the stream may be read on.

        Raises:
            StopAsyncIteration: the container or cgroup is gone.
            CgroupError: the kernel's file can't be read any more.
            anyio.ClosedResourceError: the stream was closed.
            anyio.BusyResourceError: another task reads it already.
        """
        with self._guard:
            await anyio.lowlevel.checkpoint()
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
                await self._wait()

    async def _wait(self) -> None:
        self._waiter = Waiter()
        try:
            await self._poller.wait(self._waiter)
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
            self._hub.detach(self, self.sources)
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


class _Use:
    """An open source and how many streams use it."""

    __slots__ = ("count", "source")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.count = 0


class EventHub:
    """Feeds any number of streams of one container from shared sources.

    Synchronous, and for one event loop. Holds no stream alive, and no descriptor
    while nobody subscribes.

    Args:
        sources: what to watch for streams that want their kinds.
        ends_with_sources: whether all streams end when a source does (its cgroup is
            removed), and not only when `end` is called.
    """

    def __init__(
        self, sources: Iterable[Source] = (), *, ends_with_sources: bool = False
    ) -> None:
        self._standing = list(sources)
        self._ends_with_sources = ends_with_sources
        self._uses: dict[Hashable, _Use] = {}
        self._streams: weakref.WeakSet[EventStream[Any]] = weakref.WeakSet()
        self._over = False

    @overload
    def subscribe(
        self, *, sources: Iterable[Source] = ..., capacity: int = ...
    ) -> EventStream[Event]: ...
    @overload
    def subscribe(
        self, kind: type[E], /, *, sources: Iterable[Source] = ..., capacity: int = ...
    ) -> EventStream[E]: ...
    @overload
    def subscribe(
        self,
        *kinds: type[Event],
        sources: Iterable[Source] = ...,
        capacity: int = ...,
    ) -> EventStream[Event]: ...
    def subscribe(
        self,
        *kinds: type[Any],
        sources: Iterable[Source] = (),
        capacity: int = CAPACITY,
    ) -> EventStream[Any]:
        """A stream of what happens from now on. Watching begins before this returns.

        Args:
            kinds: the kinds of record wanted; none means all.
            sources: watched for this stream besides the hub's own; one that another
                stream has opened already is shared.
            capacity: how many records may wait to be read.

        Raises:
            CgroupError: a source can't be watched.
            UnsupportedFeature: this kernel or user can't.
            RuntimeError: no event loop is running.
        """
        wanted = frozenset(kinds) or ALL_KINDS
        chosen = [source for source in self._standing if source.kinds & wanted]
        return EventStream(self, wanted, [*chosen, *sources], capacity)

    def publish(self, record: Event, source: Source | None = None) -> None:
        """Give a record to the streams that want its kind.

        Before an `Exit`, call `check`: so an `Oom` comes before the `Exit` it caused.

        Args:
            source: whose it is; only streams that use it get it. ``None``: all.
        """
        for stream in list(self._streams):
            if source is None or source in stream.sources:
                stream.put(record)

    def check(self) -> None:
        """Read the kernel's figures of all open sources now, and publish what is new.

        To be called when a process has ended, before its `Exit` is published, and
        before a cgroup below is removed. Free of cost while nobody subscribes; never
        waits, never raises.
        """
        for use in list(self._uses.values()):
            use.source.check()

    def end(self) -> None:
        """The container is over: a last `check`, then the streams end, once read.

        To be called before the cgroup is removed. Does nothing the second time.
        """
        if self._over:
            return
        self._over = True
        self.check()
        uses, self._uses = self._uses, {}
        for use in uses.values():
            use.source.close()
        for stream in list(self._streams):
            stream.end()

    def ended(self, source: Source) -> None:
        """A source has found that its cgroup is gone. For sources."""
        if self._ends_with_sources:
            self.end()

    def failed(self, source: Source, error: CgroupError) -> None:
        """A source can't be read any more. For sources."""
        for stream in list(self._streams):
            if source in stream.sources:
                stream.end(error)

    def attach(
        self, stream: EventStream[Any], sources: Iterable[Source]
    ) -> tuple[Source, ...]:
        """Open what a new stream needs; the sources it shares. For streams."""
        if self._over:
            stream.end()
            return ()
        taken: list[Source] = []
        try:
            for source in sources:
                taken.append(self._take(source))  # noqa: PERF401 (it is undone below)
        except BaseException:
            self._give_back(taken)
            raise
        self._streams.add(stream)
        return tuple(taken)

    def detach(self, stream: EventStream[Any], sources: tuple[Source, ...]) -> None:
        """Close what nobody else uses. For streams."""
        self._streams.discard(stream)
        self._give_back(sources)

    def _take(self, source: Source) -> Source:
        use = self._uses.get(source.key)
        if use is None:
            use = _Use(source)
            source.open(self)
            self._uses[source.key] = use
        use.count += 1
        return use.source

    def _give_back(self, sources: Iterable[Source]) -> None:
        for source in sources:
            use = self._uses.get(source.key)
            if use is None or use.source is not source:
                continue  # the hub is over and has closed it
            use.count -= 1
            if use.count == 0:
                del self._uses[source.key]
                source.close()
