"""What is told of a run, and what is done to it: time, memory, output, input."""

import os
import signal

import anyio
import pytest

from aiocontainer import (
    Config,
    Container,
    ExitReason,
    ProcessFailed,
    run,
)
from tests.support.capabilities import needs
from tests.support.shells import READY, started, until

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]


@pytest.fixture
def config(rootfs):
    return Config(rootfs=rootfs)


# -- the truth about a run -------------------------------------------------------------


async def test_status_137_without_a_kill_for_memory_is_no_kill_for_memory(rootfs):
    async with Container(Config(rootfs=rootfs, memory="32MiB")) as container:
        result = await container.run(["sh", "-c", "exit 137"])
        assert (result.returncode, result.reason) == (137, ExitReason.EXITED)
        result = await container.run(["sh", "-c", "kill -9 $$"])
        assert (result.returncode, result.reason) == (-9, ExitReason.SIGNALED)


@needs("cgroup-v1-memory")
@pytest.mark.parametrize("init", [True, False], ids=["joined", "first"])
async def test_a_kill_for_memory_of_a_child_of_the_run_is_told(rootfs, init):
    async with Container(Config(rootfs=rootfs, memory="16MiB")) as container:
        result = await container.run(["sh", "-c", "tail /dev/zero; exit 4"], init=init)
    assert (result.returncode, result.reason) == (4, ExitReason.OOM_KILLED)
    assert result.usage.oom_kills == 1


@needs("cgroup-v1-memory")
async def test_a_neighbours_kill_for_memory_is_not_told_of_this_run(rootfs):
    async with Container(Config(rootfs=rootfs, memory="16MiB")) as container:
        await container.run(["sh", "-c", "tail /dev/zero; exit 4"])
        result = await container.run(["sh", "-c", "exit 4"])
    assert (result.returncode, result.reason) == (4, ExitReason.EXITED)


@needs("cgroup-v1-memory")
async def test_a_run_that_survives_a_kill_for_memory_has_exited(rootfs):
    config = Config(rootfs=rootfs, memory="16MiB")
    result = await run(config, ["sh", "-c", "tail /dev/zero; exit 0"])
    assert (result.returncode, result.reason) == (0, ExitReason.EXITED)
    assert result.usage.oom_kills == 1


async def test_a_timeout_kills_that_tree_and_nothing_else(config):
    async with Container(config) as container:
        neighbour = await started(container, "sleep 60 & " + READY)
        before = set(container.processes())
        script = "(setsid sleep 61 &); sleep 62 & trap '' TERM; echo hi; wait; wait"
        result = await container.run(["sh", "-c", script], timeout=0.3)
        assert result.reason is ExitReason.TIMED_OUT
        assert (result.returncode, result.stdout) == (-signal.SIGKILL, b"hi\n")
        await until(lambda: set(container.processes()) == before)
        await neighbour.stdin.aclose()
        assert await neighbour.wait() == 1


async def test_a_cancelled_run_kills_that_tree_and_nothing_else(config):
    async with Container(config) as container:
        neighbour = await started(container, READY)
        before = set(container.processes())
        reader, writer = os.pipe()
        with anyio.fail_after(10), anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                script = "sleep 61 & echo ready; wait"
                tasks.start_soon(
                    lambda: container.run(["sh", "-c", script], stdout=writer)
                )
                await anyio.wait_readable(reader)
                scope.cancel()
        os.close(reader)
        os.close(writer)
        await until(lambda: set(container.processes()) == before)
        assert neighbour.returncode is None


async def test_the_times_and_the_memory_of_a_run_are_its_own(rootfs):
    busy = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done"
    async with Container(Config(rootfs=rootfs, memory="64MiB")) as container:
        first = await container.run(["sh", "-c", busy], check=True)
        second = await container.run(["true"], check=True)
    assert 0.01 < first.usage.cpu_s < 30
    assert second.usage.cpu_s < first.usage.cpu_s
    assert 0 < first.usage.wall_s < 60
    assert first.usage.memory_peak_bytes > 100_000


# -- run -------------------------------------------------------------------------------


async def test_input_is_what_the_program_reads(config):
    data = os.urandom(300_000)  # more than a pipe holds
    async with Container(config) as container:
        result = await container.run(["cat"], input=data)
        assert result.stdout == data
        assert (await container.run(["cat"], input=b"")).stdout == b""
        ignored = await container.run(["true"], input=data)
    assert (ignored.returncode, ignored.reason) == (0, ExitReason.EXITED)


async def test_check_raises_what_isnt_success(config):
    async with Container(config) as container:
        assert (await container.run(["true"], check=True)).returncode == 0
        with pytest.raises(ProcessFailed) as caught:
            await container.run(["sh", "-c", "echo out; exit 3"], check=True)
        assert caught.value.result.returncode == 3
        assert caught.value.result.stdout == b"out\n"
        with pytest.raises(ProcessFailed, match="time limit"):
            await container.run(["sleep", "60"], check=True, timeout=0.3)


@pytest.mark.parametrize(
    ("overflow", "reason"),
    [
        ("truncate", ExitReason.EXITED),
        ("kill", ExitReason.OUTPUT_LIMIT),
        ("raise", ExitReason.OUTPUT_LIMIT),
    ],
)
async def test_too_much_output_is_cut_off(config, overflow, reason):
    script = "head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2"
    if overflow != "truncate":
        script += "; sleep 60"
    async with Container(config) as container:
        try:
            result = await container.run(
                ["sh", "-c", script], max_output="64KiB", overflow=overflow
            )
            assert overflow != "raise"
        except ProcessFailed as error:
            assert overflow == "raise"
            result = error.result
    assert result.reason is reason
    assert result.truncated
    assert len(result.stdout) + len(result.stderr) == 64 * 1024


async def test_output_within_the_limit_is_not_truncated(config):
    async with Container(config) as container:
        result = await container.run(
            ["sh", "-c", "printf 12345; printf 678 >&2"], max_output=8, overflow="kill"
        )
    assert (result.stdout, result.stderr) == (b"12345", b"678")
    assert (result.truncated, result.reason) == (False, ExitReason.EXITED)
