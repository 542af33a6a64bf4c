"""Cancelled at any await, an operation leaves nothing, and the next one works."""

import contextlib
import os
import signal

import anyio
import pytest

from aiocontainer import Config, Container, ExecError, ExitReason, run
from aiocontainer.proc.stdio import PIPE
from tests.support import leaks
from tests.support.capabilities import needs
from tests.support.sweeps import cancel_sweep, task_cancel_sweep

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]

FULL = os.environ.get("AIOCONTAINER_SWEEP") == "full"


@pytest.fixture
def config(rootfs):
    return Config(rootfs=rootfs, pids=64)


@pytest.fixture(params=["scope", "task"])
def sweep(request, anyio_backend):
    """Cancellation as anyio and trio do it, and by ``asyncio.Task.cancel``."""
    if request.param == "scope":
        return cancel_sweep
    if anyio_backend[0] == "trio":
        pytest.skip("trio has no Task.cancel")
    return task_cancel_sweep


class NothingLeft:
    """The check of a sweep: all is as it was when this was made."""

    def __init__(self):
        self.before = leaks.take()

    async def __call__(self, point):
        left = leaks.find(self.before)
        assert left == [], f"cancelled at suspension {point}"


# -- whole lives: made, and gone, within the operation ---------------------------------


async def life(config):
    await run(config, ["true"])


async def life_with_input_and_output(config):
    await run(config, ["cat"], input=bytes(100_000), max_output=10)


async def life_that_times_out(config):
    script = "trap '' TERM; sleep 60 & sleep 60"
    result = await run(config, ["sh", "-c", script], timeout=0.02)
    assert result.reason is ExitReason.TIMED_OUT


async def life_of_an_init_and_two_runs(config):
    async with Container(config) as container:
        await container.run(["true"])
        async with await container.start(["cat"], stdin=PIPE, stdout=PIPE) as process:
            await process.stdin.send(b"x")
            await process.stdout.receive()


async def life_with_a_terminal(config):
    async with Container(config) as container:
        process = await container.start(["echo", "x"], terminal=True)
        await process.terminal.receive()
        await container.wait()


async def life_that_fails(config):
    async with Container(config) as container:
        for program in ("missing", "also-missing"):
            with contextlib.suppress(ExecError):
                await container.start([program])


LIVES = [
    life,
    life_with_input_and_output,
    life_that_times_out,
    life_of_an_init_and_two_runs,
    life_with_a_terminal,
    life_that_fails,
]


@pytest.mark.parametrize("operation", LIVES)
async def test_a_life_may_be_cancelled_at_any_await(config, sweep, operation):
    await operation(config)
    seen = await sweep(lambda: operation(config), NothingLeft(), limit=200)
    assert seen.points >= 3
    # That of a scope comes again at the next checkpoint, asyncio's own is lost.
    assert seen.completed == 0 or sweep is cancel_sweep


@needs("user-namespace")
async def test_a_life_in_a_user_namespace_may_be_cancelled_at_any_await(rootfs):
    mapping = [{"container_id": 0, "host_id": 0, "size": 65536}]
    config = Config(
        rootfs=rootfs,
        namespaces={"user": "new"},
        uid_mappings=mapping,
        gid_mappings=mapping,
        oom_score_adj=500,
    )
    await life(config)
    await cancel_sweep(lambda: life(config), NothingLeft())


DELAYS_S = [0.0002 * 1.35**step for step in range(24 if not FULL else 200)]


async def test_a_life_may_be_cancelled_by_a_deadline(config):
    await life_of_an_init_and_two_runs(config)
    check = NothingLeft()
    cancelled = 0
    for delay_s in DELAYS_S:
        with anyio.move_on_after(min(delay_s, 0.3)) as scope:
            await life_of_an_init_and_two_runs(config)
        cancelled += scope.cancelled_caught
        await check(delay_s)
    assert cancelled >= 3


# -- parts of a life -------------------------------------------------------------------


async def test_a_cancelled_run_leaves_its_container_as_it_was(config, sweep):
    async with Container(config) as container:
        await container.run(["true"])
        nothing_left = NothingLeft()

        async def check(point):
            await nothing_left(point)
            assert container.processes() == [container.pid]

        async def join():
            await container.run(["sh", "-c", "cat; true"], input=b"x" * 100_000)

        seen = await sweep(join, check)
        assert seen.points >= 3
        assert (await container.run(["echo", "x"])).stdout == b"x\n"


async def test_a_cancelled_start_leaves_the_container_without_a_program(config, sweep):
    """The same object may be tried again: it is as before."""

    async def start():
        async with Container(config) as container:
            try:
                await container.start(["sleep", "60"])
            except BaseException:
                assert container.status() == "created"
                raise

    await sweep(start, NothingLeft())


async def test_a_container_whose_first_start_was_cancelled_can_start(config):
    async with Container(config) as container:
        for _ in range(3):
            with anyio.CancelScope() as scope:
                scope.cancel()
                await container.start(["sleep", "60"])
            assert container.status() == "created"
        assert (await container.run(["echo", "x"])).stdout == b"x\n"


async def test_a_cancelled_wait_changes_nothing(config, sweep):
    async with Container(config) as container:
        process = await container.start(["cat"], stdin=PIPE)

        async def wait():
            with anyio.move_on_after(0.01):
                await process.wait()

        async def check(point):
            assert process.returncode is None

        await sweep(wait, check)
        await process.stdin.aclose()
        assert await process.wait() == 0


@pytest.mark.parametrize("joined", [False, True], ids=["first", "joined"])
async def test_the_end_of_a_process_cant_be_cancelled(config, sweep, joined):
    async def ended():
        async with Container(config) as container:
            if joined:
                await container.run(["true"])
            process = await container.start(["sleep", "60"], stdout=PIPE)
            try:
                await process.aclose()
            finally:
                assert process.returncode == -signal.SIGKILL

    await sweep(ended, NothingLeft())


async def test_destroy_cant_be_cancelled(config, sweep):
    async def destroyed():
        container = Container(config)
        try:
            await container.run(["true"])
            await container.start(["sh", "-c", "sleep 60 & sleep 60"], stdout=PIPE)
        finally:
            await container.destroy()

    await sweep(destroyed, NothingLeft())


async def test_many_lives_cancelled_at_once_leave_nothing(config):
    before = leaks.take()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            for _ in range(30):
                tasks.start_soon(run, config, ["sleep", "60"])
            await anyio.sleep(0.05)
            scope.cancel()
    assert leaks.find(before) == []
