"""Programs that take too much: each is held by its limit, told apart from the others,
and the event loop goes on meanwhile."""

import time
from contextlib import asynccontextmanager

import anyio
import pytest

from aiocontainer import Config, Container, ExitReason, Resources, run
from tests.support.capabilities import needs

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    needs("root", "mount-namespace", "pid-namespace"),
]


@asynccontextmanager
async def responsive(longest_s: float = 0.5):
    """The loop never stands still for long."""
    worst = 0.0

    async def tick() -> None:
        nonlocal worst
        while True:
            due = time.monotonic() + 0.01
            await anyio.sleep(0.01)
            worst = max(worst, time.monotonic() - due)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        yield
        tasks.cancel_scope.cancel()
    assert worst < longest_s


async def test_a_fork_bomb_is_held_by_the_number_of_processes(rootfs):
    bomb = "f() { f | f & }; f; sleep 60"
    config = Config(rootfs=rootfs, pids=40)
    async with responsive():
        result = await run(config, ["sh", "-c", bomb], timeout=1)
    assert result.reason is ExitReason.TIMED_OUT
    assert result.usage.pids_peak == 40


async def test_a_memory_bomb_is_held_by_the_memory_limit(rootfs):
    bomb = "x=x; while :; do x=$x$x; done"
    config = Config(rootfs=rootfs, memory="24MiB")
    async with responsive():
        result = await run(config, ["sh", "-c", bomb], timeout=30)
    assert result.reason is ExitReason.OOM_KILLED
    assert result.usage.oom_kills == 1
    assert 20 * 2**20 < result.usage.memory_peak_bytes <= 24 * 2**20


async def test_a_cpu_hog_is_held_by_its_quota(rootfs):
    config = Config(rootfs=rootfs, cpus=0.2)
    async with responsive():
        result = await run(config, ["sh", "-c", "while :; do :; done"], timeout=2)
    assert result.reason is ExitReason.TIMED_OUT
    assert result.usage.cpu_s < 0.5 * result.usage.wall_s
    assert result.usage.throttled_periods > 0


async def test_an_endless_printer_is_held_by_its_output_limit(rootfs):
    config = Config(rootfs=rootfs)
    async with responsive():
        result = await run(
            config, ["yes"], max_output="100KiB", overflow="kill", timeout=30
        )
    assert result.reason is ExitReason.OUTPUT_LIMIT
    assert len(result.stdout) == 100 * 1024


@needs("cgroup-v1-blkio")
async def test_an_io_hog_is_held_by_its_throttle(tmp_path, rootfs):
    """Direct writes: on v1 the kernel throttles those, not the writeback of others."""
    device = tmp_path.stat().st_dev
    major, minor = device >> 8, device & 0xFF
    throttle = {"major": major, "minor": minor, "bytes_per_s": 1024 * 1024}
    resources = Resources(block_io={"throttle_write_bps": [throttle]})
    config = Config(
        rootfs=rootfs,
        resources=resources,
        mounts=[{"destination": "/data", "source": tmp_path, "type": "bind"}],
    )
    write = "dd if=/dev/zero of=/data/file bs=64k count=1000 oflag=direct"
    async with responsive():
        result = await run(config, ["sh", "-c", write], timeout=2)
    assert result.reason is ExitReason.TIMED_OUT
    assert (tmp_path / "file").stat().st_size <= 4 * 2**20


async def test_hogs_side_by_side_leave_a_neighbour_its_share(rootfs):
    config = Config(rootfs=rootfs, memory="24MiB", pids=20, cpus=0.5)
    async with Container(config) as container, anyio.create_task_group() as tasks:
        await container.start(["sleep", "60"])
        hog = ["sh", "-c", "while :; do :; done"]
        tasks.start_soon(lambda: container.run(hog, timeout=1))
        tasks.start_soon(
            lambda: container.run(["sh", "-c", "x=x; while :; do x=$x$x; done"])
        )
        result = await run(Config(rootfs=rootfs), ["echo", "hello"], timeout=20)
        assert (result.reason, result.stdout) == (ExitReason.EXITED, b"hello\n")
