"""Listeners that go to an agent of the host, as the OCI runtime-spec has it."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from aiocontainer import PIPE, Config, Container, Continue, SetupError, run
from aiocontainer.proc import handshake
from tests.support.agents import Agent
from tests.support.capabilities import needs
from tests.support.programs import program
from tests.support.sweeps import cancel_sweep
from tests.support.syscalls import (
    MAKING,
    NothingLeft,
    always,
    asking,
    listening,
    path_of,
)

pytestmark = [
    pytest.mark.anyio,
    needs("root", "mount-namespace", "pid-namespace", "seccomp"),
]


@pytest.fixture
def anyio_backend() -> Any:
    """What is tested is the same on every event loop."""
    return "asyncio", {}


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with contextlib.closing(Agent(tmp_path / "agent.sock")) as agent:
        yield agent


def sending(rootfs: Path, path: str, metadata: str | None = None) -> Config:
    seccomp = listening(*MAKING, listener_path=path, listener_metadata=metadata)
    return asking(rootfs, seccomp=seccomp)


@pytest.mark.covers("linux.seccomp.listenerPath", "linux.seccomp.listenerMetadata")
async def test_an_agent_gets_the_listener_and_the_state_of_the_process(
    rootfs: Path, agent: Agent
) -> None:
    config = sending(rootfs, agent.path, "as it is \N{SNOWMAN}")
    async with Container(config, id="first") as container:
        process = await container.start(["mkdir", "/tmp/a"])
        assert process.syscalls is None, "it is the agent's now"
        message, stream = await agent.receive()
        assert message == {
            "ociVersion": "1.3.0",
            "fds": ["seccompFd"],
            "pid": process.pid,
            "metadata": "as it is \N{SNOWMAN}",
            "state": {
                "ociVersion": "1.3.0",
                "id": "first",
                "status": "creating",
                "pid": process.pid,
                "bundle": "/",
            },
        }
        async with stream:
            call = await anext(stream)
            assert await path_of(call) == "/tmp/a"
            call.allow()
            assert await process.wait() == 0


async def test_an_agent_gets_the_listeners_of_later_processes_too(
    rootfs: Path, agent: Agent
) -> None:
    async with Container(Config(rootfs=rootfs), id="later") as container:
        first = await container.start(["sleep", "60"])
        seccomp = listening(*MAKING, listener_path=agent.path)
        later = await container.start(["mkdir", "/a"], seccomp=seccomp, stderr=PIPE)
        message, stream = await agent.receive()
        assert message["pid"] == later.pid
        assert message["metadata"] == ""
        assert (message["state"]["pid"], message["state"]["status"]) == (
            first.pid,
            "running",
        )
        async with stream:
            (await anext(stream)).deny(errno.EDQUOT)
            assert await later.wait() == 1


@pytest.mark.parametrize("kind", ["missing", "file", "nobody listens"])
async def test_an_agent_that_is_not_there_is_an_error(
    rootfs: Path, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "agent"
    if kind == "file":
        path.touch()
    if kind == "nobody listens":
        Agent(path).close()
    step = rf"hand the listener to {path}: \w+"
    with pytest.raises(SetupError, match=step):
        await run(sending(rootfs, str(path)), ["true"])
    async with Container(asking(rootfs)) as container:
        await container.start(["sleep", "60"])
        with pytest.raises(SetupError, match=step):
            await container.start(
                ["true"], seccomp=listening(*MAKING, listener_path=path)
            )


async def test_the_init_of_a_container_has_an_agent_too(
    rootfs: Path, agent: Agent
) -> None:
    async with Container(sending(rootfs, agent.path)) as container:
        await container.run(["true"])
        assert container.init is not None
        for _ in range(2):
            _, stream = await agent.receive()
            stream.close()


# -- starts that are disturbed ---------------------------------------------------------


async def test_a_start_with_a_listener_can_be_cancelled_anywhere(rootfs: Path) -> None:
    config = asking(rootfs)

    async def life() -> None:
        result = await run(config, ["mkdir", "/tmp/a"], on_syscall=always(Continue()))
        assert result.returncode == 0

    await life()
    sweep = await cancel_sweep(life, NothingLeft())
    assert sweep.points > 5


async def test_the_gift_of_a_descriptor_can_be_cancelled_anywhere(rootfs: Path) -> None:
    """A child of the helper gives it, since the kernel waits for who takes it."""
    config = asking(rootfs)
    with open("/dev/null") as file:

        async def life() -> None:
            async with Container(config) as container:
                process = await container.start(["mkdir", "/tmp/a"], stderr=PIPE)
                assert process.syscalls is not None
                call = await anext(process.syscalls)
                try:
                    await call.add_fd(file.fileno())
                    await call.answer_fd(file.fileno())
                finally:
                    call.refuse()
                await process.wait()

        await life()
        sweep = await cancel_sweep(life, NothingLeft())
    assert sweep.points > 10


async def test_a_start_with_an_agent_can_be_cancelled_anywhere(
    rootfs: Path, tmp_path: Path
) -> None:
    async def life() -> None:
        path = tmp_path / "agent.sock"
        path.unlink(missing_ok=True)
        with contextlib.closing(Agent(path)) as agent:
            async with Container(sending(rootfs, agent.path)) as container:
                await container.start(["mkdir", "/tmp/a"])

    await life()
    sweep = await cancel_sweep(life, NothingLeft())
    assert sweep.points > 5


CALLS = ("set_robust_list", "futex", "seccomp", "close_range")


@pytest.mark.parametrize(
    ("name", "code"),
    [*((name, code) for name in CALLS for code in (errno.EIO, 0)), ("execve", 5)],
)
async def test_a_child_that_fails_before_its_listener_is_sent_leaves_nothing(
    rootfs: Path, name: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = asking(rootfs)
    await run(config, ["true"])
    check = NothingLeft()
    errors = []
    for at in range(1, 4):
        monkeypatch.setattr(handshake, "fault", (name, at, code))
        with anyio.fail_after(20):
            try:
                await run(config, ["true"])
            except (SetupError, handshake.HandshakeError) as error:
                errors.append(error)
        check(at)
    assert errors
    for error in errors:
        assert isinstance(error, SetupError if code else handshake.HandshakeError)


async def test_a_sender_that_is_killed_takes_its_child_with_it(rootfs: Path) -> None:
    """The intermediate that was to send the listener: no process may go on without."""
    config = asking(rootfs)

    async def kill_senders(pid: int, _pidfd: int) -> None:
        for other in map(int, filter(str.isdigit, os.listdir("/proc"))):
            with contextlib.suppress(OSError):
                if is_sender_of(other, pid):
                    os.kill(other, 9)

    async with Container(config) as container:
        verifier = container._processes._verifier  # type: ignore[attr-defined]
        verifier.first = lambda _settings, pid, pidfd: kill_senders(pid, pidfd)
        with pytest.raises(handshake.HandshakeError, match="listener"):
            await container.start(["sleep", "60"])


def is_sender_of(other: int, pid: int) -> bool:
    """A child of ours called as the spawner is, which isn't the process itself."""
    with open(f"/proc/{other}/stat") as file:
        name, _, rest = file.read().partition(" (")[2].rpartition(") ")
    is_ours = int(rest.split()[1]) == os.getpid()
    return name == "aiocontainer" and is_ours and other not in (pid, spawner_pid())


def spawner_pid() -> int:
    from aiocontainer.proc import spawner

    server = spawner.peek()
    assert server is not None
    return server.pid


KILLED = """
import os, sys
import anyio
from aiocontainer import Config, Container
from tests.support.syscalls import listening

async def main():
    config = Config(rootfs=sys.argv[1], cgroup={"mode": "off"})
    async with Container(config) as container:
        await container.start(["sleep", "60"], seccomp=listening("mkdir"))
        process = await container.start(["sleep", "60"], seccomp=listening("mkdir"))
        print(process.pid)
        await process.wait()

anyio.run(main)
"""


async def test_a_program_that_is_killed_leaves_no_process_with_a_listener(
    rootfs: Path,
) -> None:
    """Also without cgroups: the spawner hasn't cloned such a process itself."""
    with program(KILLED, str(rootfs)) as child:
        assert int(child.line()) > 0
        child.kill()
        assert child.left_behind() == []
