"""Containers that are created first and started later, and whose filter asks."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from aiocontainer import Config, Continue, Errno, ExecError, Runtime, SetupError
from tests.support.agents import Agent
from tests.support.capabilities import needs
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

ID = f"asks-{os.getpid()}"


@pytest.fixture
def anyio_backend() -> Any:
    """What is tested is the same on every event loop."""
    return "asyncio", {}


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return Runtime(tmp_path / "state")


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with contextlib.closing(Agent(tmp_path / "agent.sock")) as agent:
        yield agent


@pytest.mark.parametrize("early", [False, True], ids=["late filter", "early filter"])
async def test_who_starts_it_gets_the_listener(
    rootfs: Path, runtime: Runtime, early: bool
) -> None:
    config = asking(rootfs, no_new_privs=not early)
    async with await runtime.create(ID, config, ["mkdir", "/tmp/a"]) as container:
        assert container.init is not None
        assert container.init.syscalls is None
        process = await container.start()
        assert process.syscalls is not None
        call = await anext(process.syscalls)
        assert await path_of(call) == "/tmp/a"
        call.allow()
        assert await process.wait() == 0


async def test_another_program_may_start_it_and_answer(
    rootfs: Path, runtime: Runtime
) -> None:
    config = asking(rootfs)
    async with await runtime.create(ID, config, ["mkdir", "/tmp/a"]):
        other = Runtime(runtime.root).load(ID)
        process = await other.start()
        assert process.syscalls is not None
        await process.syscalls.serve(always(Errno(122)))
        await process.wait_for_end()
        await other.aclose()


async def test_an_agent_gets_the_listener_at_the_start(
    rootfs: Path, runtime: Runtime, agent: Agent
) -> None:
    seccomp = listening(*MAKING, listener_path=agent.path)
    config = asking(rootfs, seccomp=seccomp)
    async with await runtime.create(ID, config, ["mkdir", "/tmp/a"]) as container:
        process = await container.start()
        message, stream = await agent.receive()
        assert message["pid"] == process.pid
        assert message["state"]["id"] == ID
        async with stream:
            await stream.serve(always(Continue()))
        assert await process.wait() == 0


async def test_without_its_agent_it_is_not_started(
    rootfs: Path, runtime: Runtime, tmp_path: Path
) -> None:
    seccomp = listening(*MAKING, listener_path=tmp_path / "nobody")
    config = asking(rootfs, seccomp=seccomp)
    async with await runtime.create(ID, config, ["sleep", "60"]) as container:
        with pytest.raises(SetupError, match="hand the listener"):
            await container.start()
        assert container.status() == "stopped"


async def test_one_that_is_never_started_leaves_nothing(
    rootfs: Path, runtime: Runtime
) -> None:
    config = asking(rootfs)
    check = NothingLeft()
    async with await runtime.create(ID, config, ["true"]) as container:
        assert container.status() == "created"
    check(0)


async def test_a_program_that_the_kernel_refuses_is_told_to_who_starts_it(
    own_rootfs: Path, runtime: Runtime
) -> None:
    (own_rootfs / "bad").write_bytes(b"\x7fELF nothing")
    (own_rootfs / "bad").chmod(0o755)
    config = Config(rootfs=own_rootfs, seccomp=listening("sendto", "sendmsg", "mkdir"))
    async with await runtime.create(ID, config, ["/bad"]) as container:
        with pytest.raises(ExecError, match="Exec format"):
            await container.start()


async def test_a_life_of_two_halves_can_be_cancelled_anywhere(
    rootfs: Path, runtime: Runtime
) -> None:
    config = asking(rootfs)

    async def life() -> None:
        async with await runtime.create(ID, config, ["mkdir", "/tmp/a"]) as container:
            process = await container.start()
            assert process.syscalls is not None
            with anyio.fail_after(10):
                (await anext(process.syscalls)).allow()
                await process.wait()

    await life()
    sweep = await cancel_sweep(life, NothingLeft())
    assert sweep.points > 5
