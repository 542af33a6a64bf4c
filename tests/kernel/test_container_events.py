"""What a container tells while it runs: events, samples, limits, pausing."""

import anyio
import pytest

from aiocontainer import (
    PIPE,
    Config,
    Container,
    ExitReason,
    Resources,
    StatusError,
    UnsupportedFeature,
)
from aiocontainer.notify import Event, Exit, Oom, Paused, Resumed
from tests.support.capabilities import needs

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]

BOMB = ["sh", "-c", "x=x; while :; do x=$x$x; done"]


@pytest.fixture
def config(rootfs):
    return Config(rootfs=rootfs, memory="24MiB", pids=32)


async def collect(stream) -> list[Event]:
    with anyio.fail_after(30):
        return [event async for event in stream]


# -- events ----------------------------------------------------------------------------


async def test_a_kill_for_memory_is_told_before_the_exit_that_it_caused(config):
    async with Container(config) as container:
        init = await container.start(["sleep", "60"])
        events = container.events()
        result = await container.run(BOMB)
        container.kill()
        await init.wait()
        told = await collect(events)
    oom, ended, last = (e for e in told if isinstance(e, Oom | Exit))
    assert isinstance(oom, Oom)
    assert oom.kills == 1
    assert oom.sub_cgroup.startswith("run-")
    assert (ended.returncode, ended.oom_kills, ended.init) == (-9, 1, False)
    assert ended.usage == result.usage
    assert last.init
    assert result.reason is ExitReason.OOM_KILLED
    assert init.reason is ExitReason.SIGNALED


async def test_an_exit_is_told_though_nobody_waits_for_the_process(config):
    async with Container(config) as container:
        await container.start(["sleep", "60"])
        async with container.events() as events:
            process = await container.start(["sh", "-c", "exit 3"])
            with anyio.fail_after(30):
                event = await anext(events)
        assert event == Exit(process.pid, 3, 0, init=False, usage=process.usage)


async def test_events_end_with_the_container_that_nobody_waits_for(config):
    async with Container(config) as container:
        first = await container.start(["sh", "-c", "read x"], stdin=PIPE)
        events = container.events()
        await first.stdin.aclose()
        told = await collect(events)
        assert [(type(e), e.init) for e in told] == [(Exit, True)]


async def test_many_exits_at_once_are_all_told(config):
    async with Container(config) as container:
        await container.start(["sleep", "60"])
        events = container.events()
        async with anyio.create_task_group() as tasks:
            for status in range(20):
                tasks.start_soon(container.run, ["sh", "-c", f"exit {status}"])
        container.kill()
        told = await collect(events)
    exits = [e for e in told if isinstance(e, Exit)]
    assert sorted(e.returncode for e in exits if not e.init) == list(range(20))


async def test_a_cancelled_reader_of_events_loses_nothing(config):
    async with Container(config) as container:
        await container.start(["sleep", "60"])
        async with container.oom_events() as ooms:
            with anyio.move_on_after(0):
                await anext(ooms)
            await container.run(BOMB)
            with anyio.fail_after(30):
                oom = await anext(ooms)
        assert oom.kills == 1


@needs("cgroup-v2")
async def test_pausing_is_told(config):
    async with Container(config) as container:
        await container.start(["sleep", "60"])
        async with container.events() as events:
            with anyio.fail_after(30):
                await container.pause()
                assert container.status() == "paused"
                assert isinstance(await anext(events), Paused)
                await container.resume()
                assert container.status() == "running"
                assert isinstance(await anext(events), Resumed)


async def test_a_container_without_a_process_has_no_events_yet(config):
    async with Container(config) as container:
        with pytest.raises(StatusError):
            container.events()
        with pytest.raises(StatusError):
            container.oom_events()


# -- samples ---------------------------------------------------------------------------


async def test_samples_end_with_a_last_one_that_has_the_whole_truth(config):
    async with Container(config) as container:
        first = await container.start(["sh", "-c", "read x"], stdin=PIPE)
        samples = container.watch_stats(interval=0.02)
        taken = [await anext(samples) for _ in range(3)]
        await first.stdin.aclose()
        taken += await collect(samples)
        usage = first.usage
    assert [sample.last for sample in taken[-2:]] == [False, True]
    times = [sample.taken_s for sample in taken]
    assert times == sorted(times)
    assert taken[-1].value.memory.usage.peak_bytes == usage.memory_peak_bytes


@pytest.mark.covers("statistics of interfaces")
async def test_an_end_that_a_sample_is_taken_for_is_collected_and_told_once(config):
    async with Container(config) as container:
        first = await container.start(["sh", "-c", "read x; exit 3"], stdin=PIPE)
        samples, events = container.watch_stats(interval=0.02), container.events()
        await anext(samples)
        await first.stdin.aclose()
        assert await first.wait() == 3
        told = await collect(events)
        assert [(type(e), e.returncode) for e in told] == [(Exit, 3)]
        assert (await collect(samples))[-1].last


async def test_a_sample_has_the_interfaces_of_the_container(config):
    async with Container(config) as container:
        await container.start(["sleep", "60"])
        await container.run(["nc", "127.0.0.1", "9"])  # refused, by way of loopback
        (loopback,) = (await container.stats()).interfaces
        assert loopback.name == "lo"
        assert loopback.tx_packets == loopback.rx_packets > 0


async def test_a_sample_reads_as_runc_prints_it(config):
    async with Container(config) as container:
        await container.start(["sleep", "60"])
        data = (await container.stats()).to_dict()
    assert data["memory"]["usage"]["limit"] == 24 * 2**20
    assert data["pids"] == {"current": 1, "limit": 32}
    assert data["cpu"]["usage"]["total"] > 0
    assert [one["Name"] for one in data["network_interfaces"]] == ["lo"]


async def test_what_keeps_it_apart_is_told(config):
    async with Container(config) as container:
        with pytest.raises(StatusError):
            _ = container.isolation
        await container.start(["sleep", "60"])
        told = container.isolation
    assert {"mount", "pid", "network"} <= told.namespaces
    assert "user" not in told.namespaces
    assert told.cgroup in ("v1", "v2")
    assert {"memory", "pids"} <= told.controllers
    assert told.seccomp
    assert told.no_new_privs
    assert "CAP_SYS_ADMIN" not in told.capabilities


# -- limits ----------------------------------------------------------------------------


async def test_limits_change_while_the_container_runs(config):
    async with Container(config) as container:
        await container.start(["sleep", "60"])
        await container.set(Resources(pids_limit=7))
        data = (await container.stats()).to_dict()
        assert data["pids"]["limit"] == 7
        assert data["memory"]["usage"]["limit"] == 24 * 2**20


async def test_without_a_cgroup_what_needs_one_is_refused(rootfs):
    config = Config(rootfs=rootfs, cgroup={"mode": "off"})
    async with Container(config) as container:
        await container.start(["sleep", "60"])
        for call in (container.pause(), container.stats()):
            with pytest.raises(UnsupportedFeature):
                await call
        assert container.isolation.cgroup == "off"
        assert not container.isolation.device_rules
        events = container.events()
        process = await container.start(["true"])
        with anyio.fail_after(30):
            event = await anext(events)
        assert (type(event), event.pid) == (Exit, process.pid)
        await events.aclose()
