"""Programs in containers that say when they are where a test wants them."""

import anyio

from aiocontainer import PIPE
from tests.support import procfs

READY = "echo ready; read -t 60 line"
"""A shell's words: says that it runs, then waits for its stdin to end."""


async def started(container, script, **options):
    """Start a shell that says "ready" once it is where the test wants it."""
    process = await container.start(
        ["sh", "-c", script], stdin=PIPE, stdout=PIPE, **options
    )
    assert await process.stdout.receive(6) == b"ready\n"
    return process


async def until(is_so):
    """Wait for what nobody tells: ends of processes that aren't our children."""
    with anyio.fail_after(5):
        while not is_so():  # noqa: ASYNC110
            await anyio.sleep(0.002)


async def gone(pid):
    """Wait until a process is no more, not even as a zombie."""
    await until(lambda: procfs.read_stat(pid) is None)
