"""Programs that take too much: each is held by its limit, told apart from the others,
and the event loop goes on meanwhile."""

import os
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from aiocontainer import Config, Container, ExitReason, Resources, run
from aiocontainer.cgroups import detect
from tests.support.capabilities import needs

pytestmark = [
    pytest.mark.anyio,
    needs("root", "mount-namespace", "pid-namespace"),
]

EMULATED = os.environ.get("AIOCONTAINER_GUEST") == "1"
STANDSTILL_S = 3.0 if EMULATED else 0.5
"""In emulation one processor has the hog, too."""


@asynccontextmanager
async def responsive(longest_s: float = STANDSTILL_S):
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
        result = await run(config, ["sh", "-c", bomb], timeout=20 if EMULATED else 1)
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


@pytest.mark.slow
async def test_an_endless_printer_is_held_by_its_output_limit(rootfs):
    config = Config(rootfs=rootfs)
    async with responsive():
        result = await run(
            config, ["yes"], max_output="100KiB", overflow="kill", timeout=30
        )
    assert result.reason is ExitReason.OUTPUT_LIMIT
    assert len(result.stdout) == 100 * 1024


@pytest.fixture
def on_disk(tmp_path):
    """A directory on a block device, which is what can be throttled."""
    for parent in (tmp_path, "/var/tmp"):
        if os.major(os.stat(parent).st_dev) != 0:
            with tempfile.TemporaryDirectory(dir=parent) as made:
                yield Path(made)
            return
    pytest.skip("no directory for temporary files is on a disk")


@pytest.mark.skipif(
    not {"io", "blkio"} & set(detect().controllers), reason="no controller of its kind"
)
async def test_an_io_hog_is_held_by_its_throttle(on_disk, rootfs):
    """Direct writes: on v1 the kernel throttles those, not the writeback of others."""
    device = on_disk.stat().st_dev
    throttle = {
        "major": os.major(device),
        "minor": os.minor(device),
        "bytes_per_s": 1024 * 1024,
    }
    resources = Resources(block_io={"throttle_write_bps": [throttle]})
    config = Config(
        rootfs=rootfs,
        resources=resources,
        mounts=[{"destination": "/data", "source": on_disk, "type": "bind"}],
    )
    write = "dd if=/dev/zero of=/data/file bs=64k count=1000 oflag=direct"
    async with responsive():
        result = await run(config, ["sh", "-c", write], timeout=2)
    assert result.reason is ExitReason.TIMED_OUT
    assert 0 < (on_disk / "file").stat().st_size <= 4 * 2**20
    assert result.usage.io_write_bytes <= 4 * 2**20


@pytest.mark.slow
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
