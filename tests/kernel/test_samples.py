"""Samples tell the truth of their moment, and watches give back what they hold."""

from __future__ import annotations

import copy
import gc
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from aiocontainer import Config, ConfigError, Container
from aiocontainer.cgroups import Cgroup, CgroupStats, Meter, meter
from aiocontainer.config import Resources
from tests.support.capabilities import needs
from tests.support.cgroups import LAYOUT, group_for_test, python, run_inside
from tests.support.notify import descriptors

pytestmark = [
    pytest.mark.anyio,
    needs("root", "mount-namespace", "pid-namespace"),
    pytest.mark.parametrize("anyio_backend", [("asyncio", {})], indirect=True),
]

needs_pids = pytest.mark.skipif(
    "pids" not in LAYOUT.controllers, reason="no controller pids"
)
BURN = python("for _ in range(100000): pass")


@pytest.fixture
def group() -> Iterator[Cgroup]:
    with group_for_test() as made:
        yield made


def again(taken_by: Meter) -> CgroupStats:
    return CgroupStats.of(taken_by.read_again())


def kept(group: Cgroup) -> list[str]:
    """Files of a group that this program holds open."""
    links = (os.readlink(f"/proc/self/fd/{fd.split()[0]}") for fd in descriptors())
    return [link for link in links if group.name in link]


# -- truth -----------------------------------------------------------------------------


async def test_a_sample_that_is_looked_at_late_tells_of_its_moment(
    group: Cgroup,
) -> None:
    run_inside(group, *BURN)
    early = group.stats()
    at_once = copy.copy(group.stats()).cpu
    run_inside(group, *BURN)
    late = group.stats()
    assert early.cpu is not None
    assert late.cpu is not None
    assert at_once is not None
    assert early.cpu.total_ns == at_once.total_ns < late.cpu.total_ns


async def test_a_sample_outlives_its_cgroup() -> None:
    with group_for_test() as group:
        sample = group.stats()
    assert sample.cpu is not None
    assert sample.to_dict()["cpu"]["usage"]["kernel"] >= 0


async def test_a_sample_is_a_record_like_any_other(group: Cgroup) -> None:
    sample = group.stats()
    assert sample == pickle.loads(pickle.dumps(sample)) == copy.deepcopy(sample)
    assert repr(sample).startswith("CgroupStats(version=")
    with pytest.raises(AttributeError):
        sample.nothing  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError):
        sample.cpu = None  # type: ignore[misc]


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_meter_reads_what_a_single_sample_reads(
    group: Cgroup, keeps: bool
) -> None:
    run_inside(group, *BURN)
    one = group.meter(keeps=keeps)
    samples = [again(one) for _ in range(3)]
    one.release()
    single = group.stats()
    for sample in samples:
        assert (sample.version, sample.cpuset) == (single.version, single.cpuset)
        assert (sample.pids, sample.hugetlb) == (single.pids, single.hugetlb)
        assert (sample.memory is None) == (single.memory is None)
        if sample.memory is not None and single.memory is not None:
            assert sample.memory.usage.limit_bytes == single.memory.usage.limit_bytes
            assert sample.memory.raw.keys() == single.memory.raw.keys()
            assert sample.memory.numa.keys() == single.memory.numa.keys()


@needs_pids
async def test_new_limits_are_in_the_next_sample(group: Cgroup) -> None:
    group.apply(Resources(pids_limit=5, devices=()))
    one = group.meter(keeps=True)
    assert [again(one).pids.limit for _ in range(2)] == [5, 5]  # type: ignore[union-attr]
    group.update(Resources(pids_limit=6))
    assert [again(one).pids.limit for _ in range(2)] == [6, 6]  # type: ignore[union-attr]
    Path(group.paths["pids"], "pids.max").write_text("7")  # by somebody else
    limits = [again(one).pids.limit for _ in range(80)]  # type: ignore[union-attr]
    assert limits[-1] == 7
    one.release()


@needs("cgroup-v2", "pressure")
async def test_pressure_that_is_switched_off_is_left_out(group: Cgroup) -> None:
    assert group.unified is not None
    switch = Path(group.unified, "cgroup.pressure")
    if not switch.exists():
        pytest.skip("this kernel can't switch it off")
    one = group.meter(keeps=True)
    assert again(one).cpu.pressure is not None  # type: ignore[union-attr]
    switch.write_text("0")
    assert again(one).cpu.pressure is None  # type: ignore[union-attr]
    assert group.stats().cpu.pressure is None  # type: ignore[union-attr]
    switch.write_text("1")
    one.release()
    assert again(one).cpu.pressure is not None  # type: ignore[union-attr]
    assert group.stats().cpu.pressure is not None  # type: ignore[union-attr]
    one.release()


# -- what is held ----------------------------------------------------------------------


async def test_a_meter_holds_its_files_until_it_is_released(group: Cgroup) -> None:
    one = group.meter(keeps=True)
    assert kept(group) == []
    again(one)
    assert len(kept(group)) > 5
    one.release()
    assert kept(group) == []
    again(one)
    assert kept(group)
    del one
    gc.collect()
    assert kept(group) == []


async def test_nothing_is_held_once_half_of_all_descriptors_are_in_use(
    group: Cgroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meter.resource, "getrlimit", lambda _: (8, 8))
    one = group.meter(keeps=True)
    assert again(one).cpu == again(one).cpu
    assert kept(group) == []


@pytest.mark.parametrize("way", ["close", "cancel", "drop", "end"])
@pytest.mark.covers("periodic samples")
async def test_a_watch_gives_back_what_it_holds(rootfs: Path, way: str) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        first = await container.start(["sleep", "60"])
        before = descriptors()
        samples = container.watch_stats(interval=0.01)
        await anext(samples)
        await anext(samples)
        held = descriptors() - before
        assert any("net/dev" in file for file in held)
        if way == "close":
            await samples.aclose()
        elif way == "cancel":
            with anyio.move_on_after(0):
                await anext(samples)
        elif way == "drop":
            del samples
            await anyio.lowlevel.checkpoint()  # this step of the loop may refer to it
            gc.collect()
        else:
            first.kill()
            await first.wait()
            assert [sample.last async for sample in samples][-1]
        assert sorted(descriptors() - before) == []


async def test_a_cancelled_watch_goes_on_where_it_was(rootfs: Path) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        await container.start(["sleep", "60"])
        async with container.watch_stats(interval=0.02) as samples:
            await anext(samples)
            with anyio.move_on_after(0.001):
                await anext(samples)
            sample = await anext(samples)
            assert sample.value.pids is None or sample.value.pids.current == 1


# -- what is asked for -----------------------------------------------------------------


async def test_only_what_is_wanted_is_read(rootfs: Path) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        await container.start(["sleep", "60"])
        before = descriptors()
        async with container.watch_stats(0.01, only=("cpu",)) as samples:
            await anext(samples)
            value = (await anext(samples)).value
            held = descriptors() - before
            assert value.cpu is not None
            assert (value.memory, value.pids, value.interfaces) == (None, None, ())
            assert {os.path.basename(file).split(".")[0] for file in held} <= {
                "cpu",
                "cpuacct",
                "[eventpoll]",
            }
        with pytest.raises(ConfigError, match="only"):
            container.watch_stats(only=("everything",))  # type: ignore[arg-type]


async def test_many_watches_share_the_wake_ups_of_the_loop(rootfs: Path) -> None:
    async with Container(Config(rootfs=rootfs)) as container:
        await container.start(["sleep", "60"])
        watches = [container.watch_stats(0.5, only=("cpu",)) for _ in range(8)]
        for watch in watches:
            await anext(watch)
        taken: list[float] = []

        async def take(number: int) -> None:
            taken.append((await anext(watches[number])).taken_s)

        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(take, number)
        assert max(taken) - min(taken) < 0.1
        for watch in watches:
            await watch.aclose()
