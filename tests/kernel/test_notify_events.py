"""Pressure, thresholds, refused forks and freezing, on the real kernel."""

import contextlib
import os
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from aiocontainer.errors import CgroupError, UnsupportedFeature
from aiocontainer.notify import (
    CgroupEventsSource,
    EventHub,
    Exit,
    MemoryEventsSource,
    MemoryHigh,
    MemoryPressure,
    MemoryPressureSource,
    MemoryThreshold,
    Paused,
    PidsMax,
    Pressure,
    PressureSource,
    Resumed,
    StallTrigger,
    ThresholdSource,
    pids_source,
    pressure_path,
)
from tests.support.capabilities import needs
from tests.support.notify import (
    MIB,
    TestCgroup,
    descriptors,
    ended,
    memory_root,
    pids_root,
    said,
    start_python,
    unified_root,
)

pytestmark = pytest.mark.anyio

MEMORY = memory_root()
PIDS = pids_root()
PIDS_VERSION = PIDS[1] if PIDS is not None else 1
ON_V1 = needs("cgroup-v1-memory")
ON_V2 = needs("cgroup-v2-memory")
WITH_PIDS = needs(f"cgroup-v{PIDS_VERSION}-pids")
ON_ASYNCIO = pytest.mark.parametrize("anyio_backend", [("asyncio", {})], indirect=True)
"""For tests that take seconds and whose rule doesn't depend on the event loop."""
SPIN = "while True: pass"
SLEEP = "import os, time\nos.write(1, b'ready')\ntime.sleep(60)"


@pytest.fixture
def memory_cgroup():
    cgroup = TestCgroup(MEMORY[0])
    yield cgroup
    cgroup.remove()


@pytest.fixture
def pids_cgroup():
    cgroup = TestCgroup(PIDS[0])
    yield cgroup
    cgroup.remove()


@pytest.fixture
def unified_cgroup():
    cgroup = TestCgroup(unified_root())
    yield cgroup
    cgroup.remove()


async def first(stream, seconds=20):
    with anyio.fail_after(seconds):
        return await anext(stream)


@ON_V1
async def test_crossing_a_threshold_is_told_up_and_down(memory_cgroup):
    source = ThresholdSource(memory_cgroup.directory, 32 * MIB)
    grow_and_shrink = """
import mmap, os, sys
b = mmap.mmap(-1, 64 << 20)
for at in range(0, 64 << 20, 4096):
    b[at] = 1
os.write(1, b"up")
signal = __import__("signal")
signal.sigwait([signal.SIGUSR1])
b.close()
os.write(1, b"down")
signal.sigwait([signal.SIGUSR1])
"""
    blocked = "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [10])\n"
    async with EventHub().subscribe(MemoryThreshold, sources=[source]) as stream:
        process = start_python(memory_cgroup, blocked + grow_and_shrink)
        try:
            assert await said(process) == b"up"
            up = await first(stream)
            assert up.threshold_bytes == 32 * MIB
            assert up.above
            assert up.crossings % 2 == 1
            process.send_signal(10)
            assert await said(process) == b"down"
            down = await first(stream)
            assert not down.above
        finally:
            process.kill()
            await ended(process)


@ON_V1
@pytest.mark.covers("memory pressure on v1")
async def test_reclaim_under_a_limit_is_memory_pressure(memory_cgroup, tmp_path):
    """Page cache beyond the limit has to be reclaimed: low pressure at least."""
    memory_cgroup.limit_memory(1, 24 * MIB)
    read_a_file = f"""
path = {str(tmp_path / "big")!r}
with open(path, "wb") as file:
    for _ in range(96):
        file.write(bytes(1 << 20))
for _ in range(20):
    with open(path, "rb") as file:
        while file.read(1 << 20): pass
"""
    source = MemoryPressureSource(memory_cgroup.directory, "low")
    async with EventHub().subscribe(MemoryPressure, sources=[source]) as stream:
        process = start_python(memory_cgroup, read_a_file)
        try:
            record = await first(stream)
        finally:
            process.kill()
            await ended(process)
    assert record.level == "low"
    assert record.count >= 1
    assert record.cgroup == memory_cgroup.directory


@ON_V1
@pytest.mark.parametrize("kind", ["pressure", "threshold"])
async def test_removing_the_cgroup_is_neither_pressure_nor_crossing(
    memory_cgroup, kind
):
    before = descriptors()
    directory = memory_cgroup.directory
    source = (
        MemoryPressureSource(directory)
        if kind == "pressure"
        else ThresholdSource(directory, MIB)
    )
    hub = EventHub([source], ends_with_sources=True)
    stream = hub.subscribe(MemoryPressure, MemoryThreshold)
    memory_cgroup.remove()
    with anyio.fail_after(5):
        assert [record async for record in stream] == []
    assert descriptors() == before


@ON_V1
async def test_the_kernels_refusal_of_a_level_is_an_error(memory_cgroup):
    source = MemoryPressureSource(memory_cgroup.directory, "hopeless")
    with pytest.raises(CgroupError, match="can't watch it: Invalid argument"):
        EventHub().subscribe(sources=[source])


@ON_V2
async def test_going_over_memory_high_is_told(memory_cgroup):
    memory_cgroup.write("memory.high", 8 * MIB)
    hub = EventHub([MemoryEventsSource(memory_cgroup.directory)])
    async with hub.subscribe(MemoryHigh) as stream:
        process = start_python(memory_cgroup, "b = bytearray(48 << 20)\n" + SLEEP)
        try:
            record = await first(stream, 60)
        finally:
            process.kill()
            await ended(process)
    assert record.count >= 1
    assert record.cgroup == memory_cgroup.directory


FORK = """
import os, time
refused, children = 0, []
for _ in range(7):
    try:
        child = os.fork()
    except BlockingIOError:
        refused += 1
        continue
    if child == 0:
        time.sleep(60)
    children.append(child)
os.write(1, b"%d" % refused)
os.read(0, 1)
for child in children:
    os.kill(child, 9)
    os.waitpid(child, 0)
"""


@contextlib.asynccontextmanager
async def forking(cgroup):
    """A process that has five forks refused and waits, and then reaps the others."""
    ours, its = os.pipe()[::-1]
    process = start_python(cgroup, FORK, stdin=its)
    os.close(its)
    try:
        yield process
    finally:
        os.close(ours)
        await ended(process)


@WITH_PIDS
@pytest.mark.parametrize("below", [False, True], ids=["own", "below"])
async def test_refused_forks_are_told(pids_cgroup, below):
    pids_cgroup.write("pids.max", 3)
    if below and PIDS_VERSION == 2:
        pids_cgroup.write("cgroup.subtree_control", "+pids")
    forks_in = pids_cgroup.child("below") if below else pids_cgroup
    source = pids_source(pids_cgroup.directory, PIDS_VERSION)
    hub = EventHub([source])
    async with hub.subscribe(PidsMax) as stream, forking(forks_in) as process:
        counted = 0
        while counted < 5:
            record = await first(stream)
            counted += record.count
            assert record.total == counted
            told_of = forks_in if PIDS_VERSION == 1 else pids_cgroup
            assert record.cgroup == told_of.directory
        assert await said(process) == b"5"
        assert counted == 5


@WITH_PIDS
async def test_refused_forks_are_told_before_the_exit(pids_cgroup):
    pids_cgroup.write("pids.max", 3)
    hub = EventHub([pids_source(pids_cgroup.directory, PIDS_VERSION)])
    async with hub.subscribe() as stream:
        async with forking(pids_cgroup) as process:
            assert await said(process) == b"5"
        hub.check()
        hub.publish(Exit(process.pid, process.returncode))
        hub.end()
        records = [record async for record in stream]
    assert isinstance(records[-1], Exit)
    assert sum(record.count for record in records[:-1]) == 5


@needs("cgroup-v2")
async def test_freezing_is_told_when_the_kernel_has_done_it(unified_cgroup):
    source = CgroupEventsSource(unified_cgroup.directory)
    async with EventHub([source]).subscribe(Paused, Resumed) as stream:
        process = start_python(unified_cgroup, SLEEP)
        try:
            await said(process)
            for _ in range(3):
                unified_cgroup.write("cgroup.freeze", 1)
                assert await first(stream) == Paused(unified_cgroup.directory)
                unified_cgroup.write("cgroup.freeze", 0)
                assert await first(stream) == Resumed(unified_cgroup.directory)
        finally:
            process.kill()
            await ended(process)


@needs("cgroup-v2")
async def test_a_stream_that_follows_a_v2_cgroup_ends_when_it_is_removed(
    unified_cgroup,
):
    before = descriptors()
    source = CgroupEventsSource(unified_cgroup.directory)
    stream = EventHub([source], ends_with_sources=True).subscribe()
    neighbour = TestCgroup(unified_cgroup.path.parent)

    async def remove():
        neighbour.remove()
        unified_cgroup.remove()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(remove)
        with anyio.fail_after(5):
            assert [record async for record in stream] == []
    assert descriptors() == before


def spinners(cgroup, count=6):
    return [start_python(cgroup, SPIN) for _ in range(count)]


@needs("cgroup-v2", "pressure")
@pytest.mark.covers("pressure stalls")
async def test_stalls_fire_a_trigger_again_and_again(unified_cgroup):
    path = pressure_path(unified_cgroup.directory, "cpu")
    source = PressureSource(path, StallTrigger("cpu", stall_us=50_000))
    before = descriptors()
    processes = []
    async with EventHub().subscribe(Pressure, sources=[source]) as stream:
        processes = spinners(unified_cgroup)
        try:
            records = [await first(stream) for _ in range(2)]
        finally:
            for process in processes:
                process.kill()
            for process in processes:
                await ended(process)
    for record in records:
        assert (record.resource, record.kind, record.path) == ("cpu", "some", path)
        assert record.stalled_us >= record.stall_us == 50_000
    assert records[1].total_us - records[0].total_us == records[1].stalled_us
    assert descriptors() == before


@needs("cgroup-v2", "pressure")
@ON_ASYNCIO
async def test_the_whole_machine_has_pressure_too(unified_cgroup):
    source = PressureSource(pressure_path(None, "cpu"), StallTrigger("cpu", stall_us=1))
    async with EventHub().subscribe(Pressure, sources=[source]) as stream:
        processes = spinners(unified_cgroup, 4)
        try:
            record = await first(stream)
        finally:
            for process in processes:
                process.kill()
            for process in processes:
                await ended(process)
    assert record.path == "/proc/pressure/cpu"
    assert record.stalled_us >= 1


@needs("cgroup-v2", "pressure")
@ON_ASYNCIO
async def test_a_calm_cgroup_is_not_blamed_for_anothers_stalls(unified_cgroup):
    """Which trigger fired can't be asked; the totals tell them apart."""
    calm, busy = unified_cgroup.child("calm"), unified_cgroup.child("busy")
    sources = [
        PressureSource(
            pressure_path(sub.directory, "cpu"), StallTrigger("cpu", stall_us=50_000)
        )
        for sub in (calm, busy)
    ]
    processes = [start_python(calm, SLEEP)]
    await said(processes[0])  # starting stalls too
    async with EventHub().subscribe(Pressure, sources=sources) as stream:
        processes += spinners(busy, 4)
        try:
            records = [await first(stream) for _ in range(2)]
        finally:
            for process in processes:
                process.kill()
            for process in processes:
                await ended(process)
    assert {record.path for record in records} == {sources[1].path}


@needs("cgroup-v2", "pressure")
async def test_a_trigger_beyond_the_users_rights_names_the_cure(unified_cgroup):
    """Only CAP_SYS_RESOURCE may have a window that is no multiple of 2 s."""
    path = pressure_path(unified_cgroup.directory, "memory")
    trigger = StallTrigger("memory", stall_us=1000, window_us=500_000)
    source = PressureSource(path, trigger)
    if has_sys_resource():
        EventHub().subscribe(sources=[source]).close()
        return
    with pytest.raises(UnsupportedFeature) as caught:
        EventHub().subscribe(sources=[source])
    assert "multiple of 2 s" in caught.value.hint


def has_sys_resource():
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("CapEff"))
    return bool(int(line.split()[1], 16) >> 24 & 1)
