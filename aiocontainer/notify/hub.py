"""The hub: feeds streams of events from shared kernel subscriptions.

A hub belongs to one container (or one watched cgroup). It opens a source when the
first stream wants its records and closes it after the last, so a container that
nobody watches costs nothing. What only the container knows, as an `Exit`, it
publishes itself.
"""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Iterable
from typing import Any, TypeVar, overload

from ..errors import CgroupError
from .records import Event
from .source import Source
from .stream import ALL_KINDS, CAPACITY, EventStream

__all__ = ("EventHub",)

E = TypeVar("E", bound=Event)


class _Use:
    """An open source, how many streams use it, and how many of these are idle."""

    __slots__ = ("count", "idle", "source")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.count = 0
        self.idle = 0

    def settle(self) -> None:
        """Watch if somebody is there to be told."""
        if self.idle < self.count:
            self.source.unpark()
        else:
            self.source.park()


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

    def detach(self, stream: EventStream[Any], *, idle: bool) -> None:
        """Close what nobody else uses. For streams."""
        self._streams.discard(stream)
        if idle:
            self.set_idle(stream, idle=False, settle=False)
        self._give_back(stream.sources)

    def set_idle(
        self, stream: EventStream[Any], *, idle: bool, settle: bool = True
    ) -> None:
        """Whether nobody reads a stream for now. For streams."""
        for use in self._uses_of(stream.sources):
            use.idle += 1 if idle else -1
            if settle:
                use.settle()

    def _uses_of(self, sources: Iterable[Source]) -> list[_Use]:
        uses = [self._uses.get(source.key) for source in sources]
        # Once the hub is over it has closed them all.
        return [use for use in uses if use is not None]

    def _take(self, source: Source) -> Source:
        use = self._uses.get(source.key)
        if use is None:
            use = _Use(source)
            source.open(self)
            self._uses[source.key] = use
        use.count += 1
        use.settle()
        return use.source

    def _give_back(self, sources: Iterable[Source]) -> None:
        for use in self._uses_of(sources):
            use.count -= 1
            if use.count == 0:
                del self._uses[use.source.key]
                use.source.close()
            else:
                use.settle()
