"""With no descriptors left every operation fails with a typed error, wherever it is.

All is well as soon as there are some."""

import os

import pytest

from tests.support.capabilities import needs
from tests.support.programs import program

pytestmark = [needs("root", "mount-namespace", "pid-namespace"), pytest.mark.slow]

STEP = 1 if os.environ.get("AIOCONTAINER_SWEEP") == "full" else 4

SOURCE = """
import anyio, os, resource, sys
import aiocontainer.container
from aiocontainer import Config, Container, ContainerError, run
from aiocontainer.proc import spawner
from aiocontainer.proc.stdio import PIPE

rootfs, backend, started, step = sys.argv[1:]
config = Config(rootfs=rootfs, pids=64)

async def life():
    await run(config, ["cat"], input=b"x")

async def two_runs():
    async with Container(config) as container:
        await container.run(["true"])
        await container.run(["true"])

async def terminal():
    async with Container(config) as container:
        process = await container.start(["true"], terminal=True)
        await process.wait()

async def side_by_side():
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(life)

def count():
    return len(os.listdir("/proc/self/fd"))

def children():
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        found = set(map(int, file.read().split()))
    current = spawner.peek()
    return found - {current.pid if current else 0}

def only_typed(error):
    if isinstance(error, BaseExceptionGroup):
        return all(map(only_typed, error.exceptions))
    return isinstance(error, ContainerError)

async def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    await anyio.sleep(0.01)
    await anyio.lowlevel.checkpoint()
    if started == "running":
        for operation in (life, two_runs, terminal, side_by_side):
            await operation()
    else:
        import _prctl
        from aiocontainer.plan.host import HostFacts
        HostFacts.read()
    for operation in (life, two_runs, terminal, side_by_side):
        failed = worked = 0
        before = count()
        for more in range(0, 45, int(step)):
            resource.setrlimit(resource.RLIMIT_NOFILE, (before - 1 + more, hard))
            try:
                with anyio.fail_after(20):
                    await operation()
                worked += 1
            except BaseException as error:
                if not only_typed(error):
                    raise
                failed += 1
                text = repr(error)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            if started != "running":
                before = max(before, count())
            spawner.flush()
            assert count() <= before, (more, count(), before)
            assert children() == set(), (more, children(), text)
            await operation()
            before = max(before, count()) if started != "running" else before
        print(operation.__name__, failed, worked)
    print("done")

options = {"use_uvloop": True} if backend == "uvloop" else {}
name = "trio" if backend == "trio" else "asyncio"
anyio.run(main, backend=name, backend_options=options)
"""


@pytest.mark.parametrize(
    ("backend", "started"),
    [
        ("asyncio", "running"),
        ("asyncio", "to be started"),
        ("uvloop", "to be started"),
        ("trio", "running"),
    ],
)
def test_each_limit_of_descriptors_gives_typed_errors(rootfs, backend, started):
    with program(SOURCE, str(rootfs), backend, started, str(STEP)) as child:
        failures = 0
        for name in ("life", "two_runs", "terminal", "side_by_side"):
            word, failed, worked = child.line(60).split()
            assert word == name
            assert int(worked) > 0
            failures += int(failed)
        assert failures > 4
        assert child.line() == "done"
        assert child.wait() == 0
        assert child.left_behind() == []
