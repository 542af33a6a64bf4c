"""Lives of all kinds side by side, while the spawner is killed again and again.

Each has the outcome that it has alone, and nothing is left."""

import os
import random
import signal

import anyio
import pytest

from aiocontainer import (
    Config,
    Container,
    ExecError,
    ExitReason,
    SpawnerError,
    StatusError,
    run,
)
from aiocontainer.proc import spawner
from tests.support import leaks
from tests.support.capabilities import needs

pytestmark = [
    pytest.mark.anyio,
    needs("root", "mount-namespace", "pid-namespace"),
    pytest.mark.slow,
]

LIVES = 600 if os.environ.get("AIOCONTAINER_SWEEP") == "full" else 100
AT_ONCE = 30


async def runs(config, chance):
    data = bytes(chance.randrange(100_000))
    result = await run(config, ["sh", "-c", "cat; exit 3"], input=data)
    assert (result.returncode, result.stdout) == (3, data)


async def joins(config, chance):
    async with Container(config) as container, anyio.create_task_group() as tasks:

        async def join(status):
            result = await container.run(["sh", "-c", f"exit {status}"])
            assert result.returncode == status

        for status in range(4):
            tasks.start_soon(join, status)


async def is_cancelled(config, chance):
    with anyio.move_on_after(chance.uniform(0, 0.2)) as scope:
        await run(config, ["sleep", "60"])
    assert scope.cancelled_caught


async def times_out(config, chance):
    forever = ["sh", "-c", "sleep 60 & sleep 60"]
    result = await run(config, forever, timeout=chance.uniform(0, 0.2))
    assert result.reason is ExitReason.TIMED_OUT


async def is_destroyed(config, chance):
    container = Container(config)

    async def sleep():
        try:
            result = await container.run(["sleep", "60"])
        except StatusError:
            return
        assert result.returncode == -signal.SIGKILL

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(sleep)
        await anyio.sleep(chance.uniform(0, 0.1))
        await container.destroy()


async def has_a_terminal(config, chance):
    async with Container(config) as container:
        process = await container.start(["tty"], terminal=True)
        assert b"/dev/pts" in await process.terminal.receive()
        assert await process.wait() == 0


async def fails(config, chance):
    with pytest.raises(ExecError):
        await run(config, ["missing"])


async def is_killed(config, chance):
    async with Container(config) as container:
        await container.run(["true"])
        processes = [await container.start(["sleep", "60"]) for _ in range(3)]
        container.kill()
        assert await container.wait() == -signal.SIGKILL
        for process in processes:
            assert await process.wait() == -signal.SIGKILL


KINDS = (
    *(runs, joins, is_cancelled, times_out),
    *(is_destroyed, has_a_terminal, fails, is_killed),
)


def typed_loss(error):
    """Whether all that is in an error is the loss of the spawner."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(typed_loss, error.exceptions))
    return isinstance(error, SpawnerError)


async def kill_spawners(chance):
    while True:
        await anyio.sleep(chance.uniform(0.05, 0.5))
        present = spawner.peek()
        if present is not None and present.pidfd >= 0:
            signal.pidfd_send_signal(present.pidfd, signal.SIGKILL)


@pytest.mark.parametrize("lossy", [False, True], ids=["", "spawner killed"])
async def test_lives_of_all_kinds_have_each_its_outcome(rootfs, lossy):
    chance = random.Random(3)
    config = Config(rootfs=rootfs, pids=64)
    await run(config, ["true"])
    before = leaks.take()
    slots = anyio.Semaphore(AT_ONCE)
    lost = 0

    async def live(kind):
        nonlocal lost
        async with slots:
            try:
                with anyio.fail_after(30):
                    await kind(config, chance)
            except Exception as error:
                if not (lossy and typed_loss(error)):
                    raise
                lost += 1

    async with anyio.create_task_group() as disturbance:
        if lossy:
            disturbance.start_soon(kill_spawners, chance)
        async with anyio.create_task_group() as tasks:
            for number in range(LIVES):
                tasks.start_soon(live, KINDS[number % len(KINDS)])
        disturbance.cancel_scope.cancel()
    await run(config, ["true"])
    assert leaks.find(before) == []
    assert lost < LIVES / 4
