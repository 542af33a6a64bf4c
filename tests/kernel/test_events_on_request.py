"""Pressure, stalls and thresholds on a container's one stream of events."""

import anyio
import pytest

from aiocontainer import (
    Config,
    ConfigError,
    Container,
    MemoryPressure,
    MemoryThreshold,
    Pressure,
    StallTrigger,
    UnsupportedFeature,
)
from aiocontainer.cgroups import detect
from tests.support.capabilities import needs

pytestmark = [
    pytest.mark.anyio,
    needs("root", "mount-namespace", "pid-namespace"),
    pytest.mark.parametrize("anyio_backend", [("asyncio", {})], indirect=True),
]

V1 = detect().mode in ("v1", "hybrid")
on_v1 = pytest.mark.skipif(not V1, reason="cgroup v1 has it")
on_v2 = pytest.mark.skipif(V1, reason="cgroup v1 has it otherwise")

TAKE_16_MIB = ["sh", "-c", "head -c 16m /dev/zero | tail -c 16m | wc -c"]
SPIN = ["sh", "-c", "for i in 1 2 3 4 5 6; do (while :; do :; done) & done; wait"]


@pytest.fixture
def config(rootfs):
    return Config(rootfs=rootfs, memory="24MiB", pids=32)


async def next_of(stream, kind):
    with anyio.fail_after(30):
        async for event in stream:
            if isinstance(event, kind):
                return event
    raise AssertionError("the stream ended without one")


@on_v1
async def test_a_threshold_is_told_on_the_stream_of_all_events(config):
    async with Container(config) as container:
        await container.start(["sleep", "60"])
        async with container.events(thresholds=["8MiB", 10 * 2**20]) as events:
            await container.run(TAKE_16_MIB)
            told = {(await next_of(events, MemoryThreshold)).threshold_bytes}
            while len(told) < 2:
                told.add((await next_of(events, MemoryThreshold)).threshold_bytes)
    assert told == {8 * 2**20, 10 * 2**20}


@on_v1
async def test_trouble_with_reclaim_is_told_on_the_stream_of_all_events(
    rootfs, tmp_path
):
    mount = {"destination": "/data", "source": tmp_path, "type": "bind"}
    config = Config(rootfs=rootfs, memory="8MiB", mounts=[mount])
    async with Container(config) as container:
        await container.start(["sleep", "60"])
        async with container.events(pressure="low") as events:
            await container.run(
                ["dd", "if=/dev/zero", "of=/data/file", "bs=1M", "count=64"]
            )
            event = await next_of(events, MemoryPressure)
    assert event.level == "low"
    assert event.count >= 1


@on_v2
@needs("pressure")
async def test_without_levels_of_pressure_stalls_stand_for_them(config):
    async with Container(config) as container:
        await container.start(["sleep", "60"])
        stream = container.events(pressure="low")
        alone = container.pressure_events("low")
        shared = set(stream.sources) & set(alone.sources)
        assert [source.path for source in shared if Pressure in source.kinds] == [
            f"{container._processes.cgroup.unified}/memory.pressure"
        ]
        with pytest.raises(UnsupportedFeature):
            container.events(thresholds=["1MiB"])


@needs("cgroup-v2", "pressure")
async def test_stalls_are_told_on_the_stream_of_all_events(config):
    trigger = StallTrigger("cpu", stall_us=50_000)
    async with Container(config) as container, anyio.create_task_group() as tasks:
        await container.start(["sleep", "60"])
        async with container.events(stalls=[trigger]) as events:
            tasks.start_soon(container.run, SPIN)
            event = await next_of(events, Pressure)
        tasks.cancel_scope.cancel()
    assert (event.resource, event.kind, event.stall_us) == ("cpu", "some", 50_000)


@needs("cgroup-v2", "pressure")
async def test_the_same_trigger_is_one_subscription_for_all_who_want_it(config):
    trigger = StallTrigger("cpu", stall_us=50_000)
    async with Container(config) as container:
        await container.start(["sleep", "60"])
        streams = [container.events(stalls=[trigger]) for _ in range(3)]
        streams.append(container.stall_events("cpu", stall_us=50_000))
        sources = {s for stream in streams for s in stream.sources}
        assert sum(Pressure in source.kinds for source in sources) == 1


async def test_what_was_not_asked_for_is_not_told(config):
    async with Container(config) as container:
        await container.start(["sleep", "60"])
        kinds = {k for source in container.events().sources for k in source.kinds}
        assert not kinds & {MemoryPressure, MemoryThreshold, Pressure}


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param({"pressure": "hopeless"}, id="level"),
        pytest.param({"thresholds": ["much"]}, id="threshold"),
    ],
)
async def test_a_wrong_request_is_refused(config, wanted):
    async with Container(config) as container:
        await container.start(["sleep", "60"])
        with pytest.raises(ConfigError):
            container.events(**wanted)


async def test_without_a_cgroup_there_is_no_pressure(rootfs):
    config = Config(rootfs=rootfs, cgroup={"mode": "off"})
    async with Container(config) as container:
        await container.start(["sleep", "60"])
        with pytest.raises(UnsupportedFeature):
            container.events(pressure="low")
