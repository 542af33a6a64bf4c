"""The hub and its streams, fed by sources that do as they are told."""

import gc

import anyio
import anyio.lowlevel
import pytest

from aiocontainer.errors import CgroupError
from aiocontainer.notify.hub import EventHub
from aiocontainer.notify.records import Exit, Lost, Oom, PidsMax
from aiocontainer.notify.source import Source
from tests.support.notify import descriptors

pytestmark = pytest.mark.anyio


class ToldSource(Source):
    """Publishes what the test put in ``pending`` when it is checked."""

    kinds = frozenset({Oom, PidsMax})

    def __init__(self, name="told"):
        super().__init__(name)
        self.pending = []
        self.opened = 0
        self.watching = False
        self.error = None

    @property
    def key(self):
        return (ToldSource, self.path)

    def _open(self):
        if self.error is not None:
            raise self.error
        self.opened += 1

    def _check(self):
        if self.error is not None:
            raise self.error
        pending, self.pending = self.pending, []
        for record in pending:
            self._publish(record)

    def _watch(self):
        self.watching = True

    def _unwatch(self):
        self.watching = False


def oom(kills=1, cgroup="c", total=1):
    return Oom(kills=kills, group_kills=0, total=total, cgroup=cgroup)


def hits(total):
    return PidsMax(count=1, total=total, cgroup="c")


async def take(stream, count):
    with anyio.fail_after(5):
        return [await anext(stream) for _ in range(count)]


async def rest(stream):
    with anyio.fail_after(5):
        return [record async for record in stream]


async def until_waiting():
    """Let every other task run until it waits."""
    for _ in range(10):
        await anyio.lowlevel.checkpoint()


async def test_records_come_in_the_order_they_became_known():
    hub = EventHub()
    async with hub.subscribe() as stream:
        records = [oom(), Exit(7, -9), hits(1), Exit(8, 0)]
        for record in records:
            hub.publish(record)
        assert await take(stream, 4) == records


async def test_a_stream_gets_only_the_kinds_it_asked_for():
    hub = EventHub()
    async with hub.subscribe(Exit) as exits, hub.subscribe(Exit, Oom) as both:
        for record in (oom(), hits(1), Exit(7, 0)):
            hub.publish(record)
        assert await take(exits, 1) == [Exit(7, 0)]
        assert await take(both, 2) == [oom(), Exit(7, 0)]


async def test_a_source_is_open_only_while_somebody_wants_its_records():
    source = ToldSource()
    hub = EventHub([source])
    assert not source.is_open
    async with hub.subscribe(Exit):
        assert not source.is_open
    first = hub.subscribe(Oom)
    async with hub.subscribe():
        assert (source.is_open, source.opened) == (True, 1)
        await first.aclose()
        assert source.is_open
    assert not source.is_open


async def test_equal_sources_of_two_streams_are_watched_once():
    one, two = ToldSource("same"), ToldSource("same")
    hub = EventHub()
    async with (
        hub.subscribe(Oom, sources=[one]) as first,
        hub.subscribe(Oom, sources=[two]) as second,
    ):
        assert (one.is_open, two.is_open) == (True, False)
        one.pending = [oom()]
        hub.check()
        assert await take(first, 1) == await take(second, 1) == [oom()]
    assert not one.is_open


async def test_what_one_streams_own_source_says_is_not_told_to_others():
    mine, yours = ToldSource("mine"), ToldSource("yours")
    hub = EventHub()
    async with (
        hub.subscribe(Oom, sources=[mine]) as my_stream,
        hub.subscribe(Oom, sources=[yours]) as your_stream,
    ):
        mine.pending = [oom(cgroup="mine")]
        yours.pending = [oom(cgroup="yours")]
        hub.check()
        hub.end()
        assert await rest(my_stream) == [oom(cgroup="mine")]
        assert await rest(your_stream) == [oom(cgroup="yours")]


async def test_a_source_that_cannot_be_opened_leaves_no_other_open():
    good, bad = ToldSource("good"), ToldSource("bad")
    bad.error = PermissionError(13, "Permission denied")
    hub = EventHub([good, bad])
    with pytest.raises(CgroupError, match="bad: can't watch it: Permission denied"):
        hub.subscribe()
    assert not good.is_open
    assert not bad.is_open


async def test_check_before_an_exit_puts_the_oom_before_it():
    source = ToldSource()
    hub = EventHub([source])
    async with hub.subscribe() as stream:
        source.pending = [oom()]
        hub.check()
        hub.publish(Exit(7, -9))
        assert await take(stream, 2) == [oom(), Exit(7, -9)]


async def test_the_end_reads_the_sources_once_more_and_keeps_what_is_unread():
    source = ToldSource()
    hub = EventHub([source])
    stream = hub.subscribe()
    hub.publish(Exit(7, 0))
    source.pending = [oom()]
    hub.end()
    assert not source.is_open
    assert await rest(stream) == [Exit(7, 0), oom()]
    assert await rest(stream) == []


async def test_a_stream_of_an_ended_hub_is_at_its_end():
    source = ToldSource()
    hub = EventHub([source])
    hub.end()
    assert await rest(hub.subscribe()) == []
    assert source.opened == 0


async def test_a_removed_cgroup_ends_the_streams_of_a_hub_that_follows_it():
    source = ToldSource()
    hub = EventHub([source], ends_with_sources=True)
    stream = hub.subscribe()
    source.error = OSError(19, "No such device")
    hub.check()
    assert await rest(stream) == []


async def test_a_removed_cgroup_does_not_end_the_streams_of_a_container():
    source = ToldSource()
    hub = EventHub([source])
    stream = hub.subscribe()
    source.error = OSError(19, "No such device")
    hub.check()
    hub.publish(Exit(7, 0))
    hub.end()
    assert await rest(stream) == [Exit(7, 0)]


async def test_an_unreadable_file_is_an_error_of_its_readers_only():
    source = ToldSource()
    hub = EventHub([source])
    async with hub.subscribe(Oom) as stream, hub.subscribe(Exit) as exits:
        source.error = OSError(5, "Input/output error")
        hub.check()
        with pytest.raises(CgroupError, match="can't read it: Input/output error"):
            await take(stream, 1)
        assert await rest(stream) == []
        hub.publish(Exit(7, 0))
        assert await take(exits, 1) == [Exit(7, 0)]


async def test_a_full_stream_drops_the_oldest_and_says_how_many():
    hub = EventHub()
    async with hub.subscribe(capacity=3) as stream:
        for number in range(10):
            hub.publish(hits(number))
        assert stream.lost == 7
        expected = [Lost(7), hits(7), hits(8), hits(9)]
        assert await take(stream, 4) == expected
        hub.publish(hits(10))
        assert await take(stream, 1) == [hits(10)]


async def test_a_full_stream_never_drops_an_exit():
    hub = EventHub()
    async with hub.subscribe(capacity=2) as stream:
        exits = [Exit(pid, 0) for pid in range(5)]
        for record in exits:
            hub.publish(hits(1))
            hub.publish(record)
        assert await take(stream, 6) == [Lost(5), *exits]


async def test_a_full_stream_never_loses_a_kill():
    hub = EventHub()
    async with hub.subscribe(Oom, Exit, capacity=2) as stream:
        hub.publish(oom(cgroup="a", total=1))
        hub.publish(Exit(7, -9))
        hub.publish(oom(kills=2, cgroup="a", total=3))
        hub.publish(oom(cgroup="b"))
        hub.end()
        assert await rest(stream) == [
            oom(kills=3, cgroup="a", total=3),
            Exit(7, -9),
            oom(cgroup="b"),
        ]
        assert stream.lost == 0


async def test_every_waiting_reader_gets_each_record():
    hub = EventHub()
    got = []

    async def read(stream):
        got.extend(await rest(stream))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(read, hub.subscribe())
        await until_waiting()
        hub.publish(Exit(7, 0))
        await until_waiting()
        hub.publish(Exit(8, 0))
        hub.end()
    assert got == [Exit(7, 0), Exit(8, 0)] * 20


async def test_a_cancelled_reader_loses_nothing_and_holds_nobody_up():
    hub = EventHub()
    first, second = hub.subscribe(), hub.subscribe()
    got = []

    async def read():
        got.append(await anext(second))

    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            tasks.start_soon(read)
            tasks.start_soon(until_waiting_then, scope.cancel)
            await anext(first)  # leads, and is cancelled
        assert scope.cancelled_caught
        await until_waiting()
        hub.publish(Exit(7, 0))
    assert got == [Exit(7, 0)]
    assert await take(first, 1) == [Exit(7, 0)]
    await first.aclose()
    await second.aclose()


async def until_waiting_then(action):
    await until_waiting()
    action()


async def test_dropping_a_stream_gives_its_subscriptions_back():
    source = ToldSource()
    hub = EventHub([source])
    before = descriptors()

    async def read():
        async for _ in hub.subscribe():
            pass

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await until_waiting()
        assert source.is_open
        tasks.cancel_scope.cancel()
    gc.collect()
    assert not source.is_open
    assert descriptors() == before


async def test_a_reader_of_a_stream_that_is_closed_meanwhile_is_told():
    hub = EventHub()
    stream = hub.subscribe()

    async def read():
        with pytest.raises(anyio.ClosedResourceError):
            await anext(stream)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await until_waiting()
        await stream.aclose()
    with pytest.raises(anyio.ClosedResourceError):
        await anext(stream)


async def test_two_tasks_cannot_read_one_stream():
    hub = EventHub()
    async with hub.subscribe() as stream, anyio.create_task_group() as tasks:
        tasks.start_soon(anext, stream)
        await until_waiting()
        with pytest.raises(anyio.BusyResourceError):
            await anext(stream)
        hub.publish(Exit(7, 0))


async def test_reading_gives_other_tasks_their_turn():
    hub = EventHub()
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with hub.subscribe() as stream, anyio.create_task_group() as tasks:
        tasks.start_soon(count)
        for number in range(100):
            hub.publish(Exit(number, 0))
        await take(stream, 100)
        assert turns >= 50
        tasks.cancel_scope.cancel()


async def test_a_cancelled_reader_gives_the_kernel_back_until_it_reads_again():
    source = ToldSource()
    hub = EventHub([source])
    before = descriptors()
    stream = hub.subscribe()  # held, as by the traceback of a cancelled task
    with anyio.move_on_after(0.001):
        await anext(stream)
    assert source.is_open
    assert not source.watching
    assert descriptors() == before
    source.pending = [oom()]
    assert await take(stream, 1) == [oom()]
    assert source.watching
    await stream.aclose()


async def test_a_parked_source_is_still_checked_before_an_exit():
    source = ToldSource()
    hub = EventHub([source])
    stream = hub.subscribe()
    with anyio.move_on_after(0.001):
        await anext(stream)
    source.pending = [oom()]
    hub.check()
    hub.publish(Exit(7, -9))
    hub.end()
    assert await rest(stream) == [oom(), Exit(7, -9)]


async def test_a_shared_source_is_watched_as_long_as_one_reader_is_left():
    source = ToldSource()
    hub = EventHub([source])
    cancelled, other = hub.subscribe(), hub.subscribe()
    with anyio.move_on_after(0.001):
        await anext(cancelled)
    assert source.watching
    with anyio.move_on_after(0.001):
        await anext(other)
    assert not source.watching
    third = hub.subscribe()
    assert source.watching
    await third.aclose()
    assert not source.watching
    await other.aclose()
    assert source.is_open
    await cancelled.aclose()
    assert not source.is_open
