"""`CGroup`: limits for any processes, and what is left of programs that were killed."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from aiocontainer import Config, Container, ExitReason, Rootfs, run
from aiocontainer.cgroups import CGroup, Cgroup, collect, leftovers
from aiocontainer.config import CgroupSettings, Resources
from aiocontainer.errors import CgroupError, ConfigError, StatusError
from tests.support.cgroups import MIB, PARENT, existing, python, reap, wipe

pytestmark = [pytest.mark.anyio, pytest.mark.needs("root")]

SETTINGS = CgroupSettings(parent=PARENT)
PROJECT = Path(__file__).parent.parent.parent


def group(**options: Any) -> CGroup:
    return CGroup(settings=SETTINGS, **options)


@pytest.fixture(autouse=True)
def _no_parent_stays() -> Any:
    made: list[Cgroup] = []
    enter = CGroup.__aenter__

    async def noted(self: CGroup) -> CGroup:
        found = await enter(self)
        made.append(self.cgroup)
        return found

    CGroup.__aenter__ = noted  # type: ignore[method-assign]
    yield
    CGroup.__aenter__ = enter  # type: ignore[method-assign]
    for one in made:
        assert existing(one) == []
        wipe(one.directories)


@pytest.mark.parametrize("leave", ["return", "raise", "cancel"])
async def test_nothing_outlives_its_block(leave: str) -> None:
    with anyio.CancelScope() as scope:
        try:
            async with group() as made:
                process = await made.open_process(["sleep", "60"])
                if leave == "raise":
                    raise LookupError
                if leave == "cancel":
                    scope.cancel()
                    await anyio.sleep_forever()
        except LookupError:
            pass
    assert await process.wait() == -signal.SIGKILL
    await process.aclose()
    with pytest.raises(StatusError):
        _ = made.cgroup


async def test_a_program_is_inside_from_its_first_moment() -> None:
    async with group() as made:
        process = await made.open_process(["sleep", "60"])
        assert made.pids() == [process.pid]
        made.kill()
        assert await process.wait() == -signal.SIGKILL
        await process.aclose()


async def test_a_running_process_can_be_added() -> None:
    process = await anyio.open_process(["sleep", "60"])
    async with group() as made:
        made.add(process.pid)
        assert made.pids() == [process.pid]
    assert await process.wait() == -signal.SIGKILL
    await process.aclose()


async def test_a_process_that_is_not_there_cannot_be_added() -> None:
    async with group() as made:
        with pytest.raises(CgroupError, match="No such process"):
            made.add(2**22 - 1)


async def test_limits_hold_for_plain_processes() -> None:
    async with group(memory="32MiB", pids=50, cpus=0.9) as made:
        await made.set(Resources(memory={"swap_bytes": 0}))
        code = "b = bytearray(64 << 20)"
        process = await made.open_process(python(code))
        assert await process.wait() == -signal.SIGKILL
        await process.aclose()
        assert made.oom_kills() == 1
        usage = made.usage()
        assert usage.memory_peak_bytes is not None
        assert usage.memory_peak_bytes <= 32 * MIB
        pids = made.stats().pids
        assert pids is not None
        assert pids.limit == 50


async def test_containers_and_processes_in_a_group_share_its_limits(
    rootfs: Path,
) -> None:
    bomb = ["sh", "-c", "x=x; while :; do x=$x$x; done"]
    swap = Resources(memory={"swap_bytes": 0})
    async with group(memory="24MiB", resources=swap) as made:
        process = await made.open_process(["sleep", "60"])
        config = Config(rootfs=rootfs, pids=32)
        async with Container(config, group=made) as container:
            await container.start(["sleep", "60"])
            assert {process.pid, container.pid} == set(made.pids())
            assert container.processes() == [container.pid]
            result = await container.run(bomb)
            assert result.reason is ExitReason.OOM_KILLED
            assert (await run(config, ["echo", "hello"], group=made)).stdout
            pids = (await container.stats()).pids
            assert pids is not None
            assert pids.limit == 32
        assert made.pids() == [process.pid]
        assert made.oom_kills() == 1
        process.kill()
        await process.aclose()


async def test_a_container_ends_with_its_group(rootfs: Path) -> None:
    async with Container(Config(rootfs=rootfs), group=(made := group())) as container:
        with pytest.raises(StatusError):
            await container.start(["true"])
        async with made:
            await container.start(["sleep", "60"])
        assert await container.wait() == -signal.SIGKILL


def test_a_container_has_one_place() -> None:
    for place in ({"parent": "x"}, {"mode": "off"}):
        config = Config(rootfs=Rootfs.host(), cgroup=place)
        with pytest.raises(ConfigError):
            Container(config, group=group())


async def test_groups_nest_and_share_the_outer_limit() -> None:
    async with (
        group(memory="32MiB", resources=Resources(memory={"swap_bytes": 0})) as outer,
        CGroup("inner", parent=outer) as inner,
    ):
        process = await inner.open_process(python("b = bytearray(64 << 20)"))
        assert await process.wait() == -signal.SIGKILL
        await process.aclose()
        assert (inner.oom_kills(), outer.oom_kills()) == (1, 1)


async def test_other_processes_keep_their_devices() -> None:
    async with group(pids=5) as made:
        code = "open('/dev/zero', 'rb').read(1)"
        process = await made.open_process(python(code))
        assert await process.wait() == 0
        await process.aclose()


async def test_a_limit_that_is_wrong_is_refused_before_anything_is_made() -> None:
    with pytest.raises(ConfigError):
        group(memory="much")


async def test_a_limit_that_is_refused_leaves_nothing() -> None:
    wanted = Resources(cpu={"cpus": "4096"})
    refused = group(name="aiocontainer-test-refused", resources=wanted)
    with pytest.raises(CgroupError):
        await refused.__aenter__()
    with pytest.raises(StatusError):
        _ = refused.cgroup
    again = group(name="aiocontainer-test-refused")
    async with again:
        pass


async def test_it_pauses_and_resumes() -> None:
    async with group() as made:
        process = await made.open_process(["sleep", "60"])
        await made.pause()
        assert made.cgroup.frozen
        await made.resume()
        assert not made.cgroup.frozen
        made.kill()
        await process.wait()
        await process.aclose()


ABANDON = """
import anyio, os, signal, sys
from aiocontainer.cgroups import CGroup
async def main():
    async with CGroup(memory="64MiB") as group:
        process = await group.open_process(["sleep", "60"])
        await anyio.sleep(0.2)
        print(process.pid, *group.cgroup.directories, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
anyio.run(main)
"""


async def test_what_a_killed_program_left_is_collected_and_the_living_are_not() -> None:
    living = CGroup()
    async with living:
        name = living.cgroup.name
        finished = await anyio.run_process(
            [sys.executable, "-c", ABANDON], check=False, cwd=PROJECT
        )
        assert finished.returncode == -signal.SIGKILL
        pid, *directories = finished.stdout.decode().split()
        assert all(os.path.isdir(directory) for directory in directories)
        collected = await collect()
        assert os.path.basename(directories[0]) in collected
        assert name not in collected
        assert not any(os.path.isdir(directory) for directory in directories)
        assert living.cgroup.directories
        assert existing(living.cgroup) == list(living.cgroup.directories)
        reap([int(pid)])


def test_a_name_tells_whether_its_owner_lives() -> None:
    assert leftovers.owner_is_alive(leftovers.owned_name()) is True
    assert leftovers.owner_is_alive("group-by-hand") is None
    namespace = os.stat("/proc/self/ns/pid").st_ino
    assert leftovers.owner_is_alive(f"group-{namespace}-1-999999999-00000000") is False
    assert leftovers.owner_is_alive(f"group-{namespace + 1}-1-1-00000000") is None
