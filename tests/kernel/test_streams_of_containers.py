"""Floods of output, and consumers that never read: memory stays flat, nobody waits."""

import os
import signal
import time

import anyio
import pytest

from aiocontainer import Config, Container, ExitReason
from aiocontainer.proc.stdio import PIPE
from tests.support.capabilities import needs

pytestmark = [
    pytest.mark.anyio,
    needs("root", "mount-namespace", "pid-namespace"),
    pytest.mark.slow,
]

MIB = 1 << 20
FLOOD_BYTES = 1024 * MIB


@pytest.fixture
def config(rootfs):
    return Config(rootfs=rootfs)


def resident_bytes():
    """Resident memory of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def flood(count):
    return ["dd", "if=/dev/zero", "bs=1M", f"count={count // MIB}"]


async def test_a_flood_passes_through_in_flat_memory(config):
    async with Container(config) as container:
        warm = await container.start(flood(8 * MIB), stdout=PIPE)
        async for _ in warm.stdout:
            pass
    async with Container(config) as container:
        process = await container.start(flood(FLOOD_BYTES), stdout=PIPE)
        before, most, received = resident_bytes(), 0, 0
        began = time.monotonic()
        async for chunk in process.stdout:
            received += len(chunk)
            most = max(most, resident_bytes())
        speed = received / (time.monotonic() - began)
        assert await process.wait() == 0
    assert received == FLOOD_BYTES
    assert most - before < 4 * MIB
    assert speed > 50 * MIB  # a flow, not drops


async def test_a_flood_beyond_the_limit_is_thrown_away_in_flat_memory(config):
    async with Container(config) as container:
        await container.run(flood(8 * MIB), max_output="1MiB")
        before = resident_bytes()
        result = await container.run(flood(FLOOD_BYTES), max_output="1MiB")
        assert resident_bytes() - before < 6 * MIB
    assert (result.returncode, len(result.stdout)) == (0, MIB)
    assert result.truncated


async def test_the_event_loop_goes_on_during_a_flood(config):
    gaps = []

    async def tick(scope):
        last = time.monotonic()
        while not scope.cancel_called:
            await anyio.sleep(0.001)
            now = time.monotonic()
            gaps.append(now - last)
            last = now

    async with Container(config) as container, anyio.create_task_group() as tasks:
        tasks.start_soon(tick, tasks.cancel_scope)
        await container.run(flood(FLOOD_BYTES // 4), max_output=10)
        tasks.cancel_scope.cancel()
    gaps.sort()
    assert gaps[len(gaps) * 95 // 100] < 0.1


@pytest.mark.parametrize("joined", [False, True], ids=["first", "joined"])
async def test_output_that_nobody_reads_blocks_only_its_writer(config, joined):
    async with Container(config) as container:
        if joined:
            await container.run(["true"])
        process = await container.start(["yes"], stdout=PIPE, stderr=PIPE)
        before = resident_bytes()
        with anyio.fail_after(5):
            while process.stdout.pending_bytes_at_most() < 60_000:  # noqa: ASYNC110
                await anyio.sleep(0.002)
        if joined:
            assert (await container.run(["echo", "x"])).stdout == b"x\n"
        with anyio.fail_after(2):
            process.kill()
            assert await process.wait() == -signal.SIGKILL
        assert resident_bytes() - before < MIB


async def test_destroy_doesnt_wait_for_unread_output(config):
    async with Container(config) as container:
        await container.run(["true"])
        processes = [await container.start(["yes"], stdout=PIPE) for _ in range(5)]
        began = time.monotonic()
    assert time.monotonic() - began < 2
    assert all(process.returncode == -signal.SIGKILL for process in processes)


async def test_a_task_that_waits_for_output_hears_of_the_end(config):
    async with Container(config) as container:
        process = await container.start(["sleep", "60"], stdout=PIPE)
        async with anyio.create_task_group() as tasks:

            async def read():
                with pytest.raises((anyio.EndOfStream, anyio.ClosedResourceError)):
                    await process.stdout.receive()

            tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            process.kill()


async def test_input_that_nobody_reads_blocks_only_its_sender(config):
    async with Container(config) as container:
        process = await container.start(["sleep", "60"], stdin=PIPE)
        async with anyio.create_task_group() as tasks:

            async def send():
                with pytest.raises(
                    (anyio.BrokenResourceError, anyio.ClosedResourceError)
                ):
                    await process.stdin.send(bytes(4 * MIB))

            tasks.start_soon(send)
            await anyio.wait_all_tasks_blocked()
            process.kill()
            assert await process.wait() == -signal.SIGKILL


async def test_a_program_that_reads_slowly_gets_all(config):
    script = "while read -r line; do n=$((n+1)); done; echo $n"
    async with Container(config) as container:
        result = await container.run(["sh", "-c", script], input=b"line\n" * 20_000)
    assert result.stdout == b"20000\n"
    assert result.reason is ExitReason.EXITED
