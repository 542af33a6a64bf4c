"""S12: a signal reaches the process it was meant for, and never a later one."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from aiocontainer import Config, Container, HandshakeError, Process, SetupError, run
from aiocontainer._sys import pidfd
from tests.support.capabilities import needs

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]

LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
TIMES = 100 if os.environ.get("AIOCONTAINER_SWEEP") == "full" else 10


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


def stranger_with(pid: int) -> subprocess.Popen[bytes] | None:
    """A process that has got this pid; None where another was faster."""
    for _ in range(50):
        LAST_PID.write_text(str(pid - 1))
        process = subprocess.Popen(["sleep", "100"])
        if process.pid == pid:
            return process
        process.kill()
        process.wait()
    return None


async def test_a_process_that_has_ended_is_never_mistaken_for_another(
    rootfs: Path,
) -> None:
    """The pid is taken again, by force, by a process that is not ours."""
    if not os.access(LAST_PID, os.W_OK):
        pytest.skip("pids can't be chosen here")
    reused = 0
    for _ in range(TIMES):
        async with Container(Config(rootfs=rootfs)) as container:
            await container.start(["sleep", "100"])
            process = await container.start(["true"])
            await process.wait()
            stranger = stranger_with(process.pid)
            if stranger is None:
                continue
            try:
                for act in (Process.kill, Process.terminate, _stop):
                    act(process)
                await process.aclose()
                assert process.pid not in container.processes()
                await container.destroy()
                assert stranger.poll() is None, "a stranger was hit"
                reused += 1
            finally:
                stranger.kill()
                stranger.wait()
    assert reused, "no pid could be taken again; the test proves nothing"


def _stop(process: Process) -> None:
    process.send_signal(signal.SIGSTOP)


async def test_the_first_process_too(rootfs: Path) -> None:
    if not os.access(LAST_PID, os.W_OK):
        pytest.skip("pids can't be chosen here")
    async with Container(Config(rootfs=rootfs)) as container:
        first = await container.start(["true"])
        await first.wait()
        stranger = stranger_with(first.pid)
        if stranger is None:
            pytest.skip("the pid was taken by somebody else")
        try:
            container.kill()
            first.kill()
            await container.destroy()
            container.kill()
            assert stranger.poll() is None
        finally:
            stranger.kill()
            stranger.wait()


def test_a_stale_pidfd_reaches_nobody() -> None:
    """The kernel's promise that this rests on; a pid would reach the stranger."""
    process = subprocess.Popen(["true"])
    held = os.pidfd_open(process.pid)
    process.wait()
    stranger = stranger_with(process.pid) if os.access(LAST_PID, os.W_OK) else None
    try:
        assert not pidfd.send_signal(held, signal.SIGKILL)
        if stranger is not None:
            assert stranger.poll() is None
            os.kill(process.pid, signal.SIGKILL)
            assert stranger.wait(5) == -signal.SIGKILL
    finally:
        os.close(held)
        if stranger is not None:
            stranger.kill()
            stranger.wait()


@pytest.fixture
def outside() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "100"])
    yield process
    process.kill()
    process.wait()


async def test_a_signal_from_inside_does_not_reach_the_outside(
    rootfs: Path, outside: subprocess.Popen[bytes]
) -> None:
    """kill(-1) as the container's root; and pids of the host mean others inside."""
    script = f"kill -9 {outside.pid} 2>/dev/null; kill -9 -1; true"
    await run(Config(rootfs=rootfs), ["sh", "-c", script])
    assert outside.poll() is None


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
async def test_who_joins_can_be_stopped_by_the_container_but_not_hold_us_up(
    rootfs: Path, number: signal.Signals
) -> None:
    """Neither can be blocked. The time limit of a run counts from the request on."""
    script = f"while true; do kill -{number.value} -1; done"
    async with Container(Config(rootfs=rootfs)) as container:
        await container.start(["sh", "-c", script])
        for _ in range(3):
            began = anyio.current_time()
            with contextlib.suppress(HandshakeError, SetupError):
                await container.run(["true"], timeout=0.3)
            assert anyio.current_time() - began < 2
