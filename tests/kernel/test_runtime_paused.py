"""Processes that are started in a container of a `Runtime` while it is paused."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from aiocontainer import Config, Runtime, StatusError
from aiocontainer.runtime import KeptContainer
from tests.support.capabilities import needs

pytestmark = [
    pytest.mark.anyio,
    # One that freezes all inside, and of which what is frozen can be killed.
    needs("root", "mount-namespace", "pid-namespace", "cgroup-v2"),
]


@pytest.fixture
async def paused(rootfs: Path, tmp_path: Path) -> AsyncIterator[KeptContainer]:
    config = Config(rootfs=rootfs)
    runtime = Runtime(tmp_path / "state")
    async with await runtime.create("c", config, ["sleep", "60"]) as container:
        await container.start()
        await container.pause()
        yield container


async def test_a_process_is_refused_or_begins_with_the_resume(
    paused: KeptContainer,
) -> None:
    with pytest.raises(StatusError) as caught:
        await paused.start(["true"])
    assert caught.value.status == "paused"
    has_begun = anyio.Event()

    async def start() -> None:
        process = await paused.start(["sh", "-c", "exit 3"], ignore_paused=True)
        has_begun.set()
        assert await process.wait() == 3

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(start)
        with anyio.move_on_after(0.1):  # nothing tells of what doesn't happen
            await has_begun.wait()
        assert not has_begun.is_set()
        await paused.resume()
    assert has_begun.is_set()


async def test_one_that_is_given_up_while_it_waits_is_gone(
    paused: KeptContainer,
) -> None:
    before = paused.processes()
    with anyio.move_on_after(0.1) as scope:
        await paused.start(["true"], ignore_paused=True)
    assert scope.cancelled_caught
    assert paused.processes() == before
    assert paused.status() == "paused"
    await paused.resume()
    assert (await paused.run(["true"])).returncode == 0


async def test_it_is_no_way_into_what_has_ended(paused: KeptContainer) -> None:
    paused.kill()
    await paused.wait()
    with pytest.raises(StatusError):
        await paused.start(["true"], ignore_paused=True)
