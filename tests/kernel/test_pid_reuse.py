"""A pid that has passed to a stranger is never signalled."""

import contextlib
import os
import signal
from pathlib import Path

import pytest

from aiocontainer import Config, Container
from aiocontainer.proc.stdio import PIPE
from tests.support.capabilities import needs

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]

LAST_PID = Path("/proc/sys/kernel/ns_last_pid")


@contextlib.contextmanager
def stranger(pid):
    """A process of this pid, in a session of its own, which nobody else knows."""
    null = os.open(os.devnull, os.O_RDWR)
    started = 0
    try:
        for _ in range(50):
            LAST_PID.write_text(str(pid - 1))
            started = os.posix_spawn(
                "/bin/sleep",
                ["sleep", "60"],
                {},
                file_actions=[(os.POSIX_SPAWN_DUP2, null, n) for n in range(3)],
                setsid=True,
            )
            if started == pid:
                break
            end(started)
            started = 0
        else:
            pytest.skip("other programs take the pid")
        yield started
        assert os.waitpid(started, os.WNOHANG) == (0, 0), "the stranger was killed"
    finally:
        os.close(null)
        if started:
            end(started)


def end(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@pytest.fixture(params=["auto", "off"], ids=["cgroups", "without cgroups"])
def config(request, rootfs):
    return Config(rootfs=rootfs, cgroup={"mode": request.param})


async def strike(process, container):
    """All ways there are to hit a process."""
    process.send_signal(signal.SIGKILL)
    process.terminate()
    process.kill()
    await process.aclose()
    if process is container.init:
        container.signal(signal.SIGTERM)
        container.terminate()
        container.kill()


@pytest.mark.parametrize("joined", [False, True], ids=["first", "joined"])
async def test_a_process_that_was_reaped_is_not_signalled(config, joined):
    async with Container(config) as container:
        if joined:
            await container.run(["true"])
        process = await container.start(["true"])
        await process.wait()
        with stranger(process.pid):
            await strike(process, container)
            if not joined:
                await container.destroy()


@pytest.mark.parametrize("joined", [False, True], ids=["first", "joined"])
async def test_a_process_that_others_reaped_is_not_signalled(config, joined):
    async with Container(config) as container:
        if joined:
            await container.run(["true"])
        process = await container.start(["cat"], stdin=PIPE)
        pid = process.pid
        await process.stdin.aclose()
        os.waitpid(pid, 0)  # noqa: ASYNC222
        with stranger(pid):
            await strike(process, container)
            assert process.ended
