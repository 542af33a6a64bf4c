"""Out-of-memory kills on the real kernel: exact, in time, and before the exit."""

import asyncio
import os
import signal
import time

import anyio
import anyio.lowlevel
import pytest

from aiocontainer.errors import CgroupError
from aiocontainer.notify.hub import EventHub
from aiocontainer.notify.oom import OomWatch, oom_source, read_oom_kills
from aiocontainer.notify.records import Exit, Oom
from tests.support.capabilities import needs
from tests.support.notify import (
    MIB,
    TestCgroup,
    descriptors,
    ended,
    memory_root,
    said,
    start_python,
)

ROOT = memory_root()
PARENT, VERSION = ROOT if ROOT is not None else (None, 1)
pytestmark = [pytest.mark.anyio, needs(f"cgroup-v{VERSION}-memory")]

HOG = "b = bytearray(64 << 20)"
FORKED_HOG = f"""
import os
if os.fork() == 0:
    {HOG}
os.wait()
os.write(1, b"reaped")
import time
time.sleep(60)
"""


@pytest.fixture
def cgroup():
    cgroup = TestCgroup(PARENT)
    cgroup.limit_memory(VERSION, 16 * MIB)
    yield cgroup
    cgroup.remove()


async def collect(watch, into):
    async for record in watch:
        into.append(record)


@pytest.mark.covers("stream of out-of-memory kills")
async def test_each_kill_is_one_event_and_the_removal_none(cgroup):
    before = descriptors()
    got = []
    async with anyio.create_task_group() as tasks:
        watch = OomWatch(cgroup.directory, VERSION)
        tasks.start_soon(collect, watch, got)
        for _ in range(10):
            assert await ended(start_python(cgroup, HOG)) == -signal.SIGKILL
            watch.check()
        cgroup.remove()  # the stream ends by itself, or the block doesn't
    assert [record.total for record in got] == list(range(1, 11))
    assert {record.kills for record in got} == {1}
    assert {record.cgroup for record in got} == {cgroup.directory}
    await watch.aclose()
    assert descriptors() == before


async def test_kills_are_told_while_the_container_runs_on(cgroup):
    """A child of the container is killed; nothing ends that one could wait for."""
    async with OomWatch(cgroup.directory, VERSION) as watch:
        process = start_python(cgroup, FORKED_HOG)
        try:
            with anyio.fail_after(10):
                record = await anext(watch)
            assert (record.kills, record.total) == (1, 1)
            assert await said(process) == b"reaped"
            assert process.poll() is None
        finally:
            process.kill()
            await ended(process)


async def test_an_oom_comes_before_the_exit_that_it_caused(cgroup):
    hub = EventHub([oom_source(cgroup.directory, VERSION)])
    async with hub.subscribe(Oom, Exit) as stream:
        for number in range(1, 6):
            process = start_python(cgroup, HOG)
            returncode = await ended(process)
            hub.check()
            hub.publish(Exit(process.pid, returncode))
            with anyio.fail_after(5):
                kill, exit_ = await anext(stream), await anext(stream)
            assert isinstance(kill, Oom)
            assert kill.total == number
            assert exit_ == Exit(process.pid, -signal.SIGKILL)
        hub.end()


async def test_a_death_by_sigkill_is_no_oom(cgroup):
    async with OomWatch(cgroup.directory, VERSION) as watch:
        process = start_python(cgroup, "import time\ntime.sleep(60)")
        process.kill()
        assert await ended(process) == -signal.SIGKILL
        watch.check()
        with anyio.move_on_after(0.1) as scope:
            await anext(watch)
        assert scope.cancelled_caught
    assert read_oom_kills(cgroup.directory, VERSION) == 0


async def test_a_kill_is_named_by_the_sub_cgroup_it_happened_in(cgroup):
    if VERSION == 2:
        cgroup.write("cgroup.subtree_control", "+memory")
    earlier = cgroup.child("earlier")
    async with OomWatch(cgroup.directory, VERSION) as watch:
        later = cgroup.child("later")
        for sub in (earlier, later, later):
            assert await ended(start_python(sub, HOG)) == -signal.SIGKILL
            with anyio.fail_after(5):
                record = await anext(watch)
            assert (record.kills, record.sub_cgroup) == (1, sub.path.name)
            assert record.cgroup == sub.directory


async def test_a_sub_cgroup_with_a_limit_of_its_own_is_covered(cgroup):
    if VERSION == 2:
        cgroup.write("cgroup.subtree_control", "+memory")
        cgroup.write("memory.max", "max")
    async with OomWatch(cgroup.directory, VERSION) as watch:
        sub = cgroup.child("limited")
        sub.limit_memory(VERSION, 8 * MIB)
        watch.check()  # v1: only now the watch knows of it
        process = start_python(sub, FORKED_HOG)
        try:
            with anyio.fail_after(10):
                record = await anext(watch)
            assert record.sub_cgroup == "limited"
            assert await said(process) == b"reaped"
        finally:
            process.kill()
            await ended(process)


async def test_kills_before_the_watch_are_told_if_asked_for(cgroup):
    assert await ended(start_python(cgroup, HOG)) == -signal.SIGKILL
    async with OomWatch(cgroup.directory, VERSION, from_start=True) as watch:
        with anyio.fail_after(5):
            assert (await anext(watch)).total == 1
    async with OomWatch(cgroup.directory, VERSION) as watch:
        with anyio.move_on_after(0.05) as scope:
            await anext(watch)
        assert scope.cancelled_caught


async def test_the_watch_ends_with_the_cgroup(cgroup):
    before = descriptors()
    watch = OomWatch(cgroup.directory, VERSION)
    process = start_python(cgroup, "import time\ntime.sleep(60)")
    got = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect, watch, got)
        await anyio.sleep(0.02)
        process.kill()
        await ended(process)
        cgroup.remove()
    assert got == []
    assert descriptors() == before


async def test_a_removed_and_remade_cgroup_is_another_one(cgroup):
    watch = OomWatch(cgroup.directory, VERSION)
    cgroup.remove()
    again = TestCgroup(cgroup.path.parent, cgroup.path.name)
    with anyio.fail_after(5):
        assert [record async for record in watch] == []
    again.remove()


async def test_a_cgroup_that_is_not_there_cannot_be_watched(cgroup):
    before = descriptors()
    with pytest.raises(CgroupError, match="can't watch it: No such file"):
        OomWatch(f"{cgroup.directory}/missing", VERSION)
    assert descriptors() == before


async def test_a_cancelled_consumer_leaves_no_watch_behind(cgroup):
    before = descriptors()

    async def consume():
        async for _ in OomWatch(cgroup.directory, VERSION):
            pass

    for _ in range(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(consume)
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            assert len(descriptors() - before) == 1 + VERSION
            tasks.cancel_scope.cancel()
    assert descriptors() == before


async def test_hundreds_of_watches_share_one_loop(cgroup):
    before = descriptors()
    if VERSION == 2:
        cgroup.write("cgroup.subtree_control", "+memory")
    subs = [cgroup.child(f"c{number}") for number in range(300)]
    got = []
    all_told = anyio.Event()

    async def consume(sub, watch):
        async for record in watch:
            got.append((sub.path.name, record.kills))
            if len(got) == 3:
                all_told.set()

    watches = [OomWatch(sub.directory, VERSION) for sub in subs]
    # v1: an eventfd each; v2: memory.events each; the epoll; v2: one inotify
    assert len(descriptors() - before) == 300 + VERSION
    async with anyio.create_task_group() as tasks:
        for sub, watch in zip(subs, watches, strict=True):
            tasks.start_soon(consume, sub, watch)
        for number in (0, 150, 299):
            await ended(start_python(subs[number], HOG))
        with anyio.fail_after(10):
            await all_told.wait()
        for sub in subs:  # each removal ends its own consumer
            sub.remove()
    got.sort()
    assert got == [("c0", 1), ("c150", 1), ("c299", 1)]
    for watch in watches:
        await watch.aclose()
    assert descriptors() == before


async def test_the_event_comes_soon_after_the_kill(cgroup):
    """Against the death of the victim, seen through its pidfd on the same loop."""
    delays_ms = []
    async with OomWatch(cgroup.directory, VERSION) as watch:
        for _ in range(20):
            process = start_python(cgroup, HOG)
            died_s = told_s = 0.0

            async def wait(process=process):
                nonlocal died_s
                await ended(process)
                died_s = time.perf_counter()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                with anyio.fail_after(10):
                    await anext(watch)
                told_s = time.perf_counter()
            delays_ms.append((told_s - died_s) * 1000)
    delays_ms.sort()
    middle, worst = delays_ms[len(delays_ms) // 2], delays_ms[-1]
    print(
        f"OOM event after the victim's death: median {middle:.2f} worst {worst:.2f} ms"
    )
    assert middle < 50


@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], indirect=True)
async def test_wait_for_may_be_used_to_look_for_a_while(cgroup):
    async with OomWatch(cgroup.directory, VERSION) as watch:
        for _ in range(3):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(anext(watch), 0.01)
        await ended(start_python(cgroup, HOG))
        record = await asyncio.wait_for(anext(watch), 10)
        assert record.kills == 1


@needs("cgroup-v2-memory")
async def test_a_group_kill_is_one_event_with_all_its_victims(cgroup):
    cgroup.write("memory.oom.group", 1)
    family = f"""
import os, time
children = []
for _ in range(4):
    child = os.fork()
    if child == 0:
        time.sleep(60)
    children.append(child)
os.write(1, " ".join(map(str, children)).encode())
{HOG}
"""
    async with OomWatch(cgroup.directory, VERSION) as watch:
        process = start_python(cgroup, family)
        children = [int(pid) for pid in (await said(process)).split()]
        with anyio.fail_after(20):
            record = await anext(watch)
            assert await ended(process) == -signal.SIGKILL
        # The kernel counts the first victim again when it comes to the whole group.
        assert record.kills in (5, 6)
        assert (record.group_kills, record.total) == (1, record.kills)
    for child in children:  # they are ours by now, and were killed
        os.waitpid(child, 0)  # noqa: ASYNC222
