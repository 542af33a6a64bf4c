"""A program that is killed at any moment leaves nothing: its spawner sees to that."""

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.support import procfs
from tests.support.capabilities import needs
from tests.support.dying import death_sweep
from tests.support.programs import program

pytestmark = [
    needs("root", "mount-namespace", "pid-namespace"),
    pytest.mark.slow,
    pytest.mark.timeout(600),
]

TIMES = 1000 if os.environ.get("AIOCONTAINER_SWEEP") == "full" else 40
LIFE_S = 0.07
"""About how long the first life of a program takes, with the start of the spawner."""

# Forks a program for each line: importing takes longer than what is tested.
FACTORY = """
import os, sys, asyncio
import aiocontainer.container
from aiocontainer import Config, Container
from aiocontainer.proc.stdio import PIPE

async def main(rootfs, name):
    config = Config(rootfs=rootfs, pids=64, **OPTIONS)
    print(os.getpid())  # from here on asyncio sees to signals
    for number in range(1000):
        async with Container(config, id=f"{name}-{number}") as container:
            await container.run(["true"])
            await container.start(["sh", "-c", "trap '' TERM; sleep 60 & sleep 60"])
            process = await container.start(["cat"], stdin=PIPE, stdout=PIPE)
            await process.stdin.send(b"x")
            await process.stdout.receive()
            script = "setsid sleep 60 & sleep 60"
            await container.run(["sh", "-c", script], timeout=0.01)

for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(main(sys.argv[1], line.strip()))
        except KeyboardInterrupt:
            os._exit(2)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def cgroups(name):
    """Cgroups of containers whose id begins with ``name``."""
    own = procfs.own_cgroups()
    found = []
    for point, controllers in procfs.cgroup_mounts().items():
        folder = Path(point + own.get(controllers, "/"), "aiocontainer")
        found += [str(path) for path in folder.glob(f"{name}*")]
    return found


def all_gone_after(child, name, patience_s=3.0):
    """Seconds until no process and no cgroup is left, or what there still is."""
    started = time.monotonic()
    while time.monotonic() - started < patience_s:
        if not child.left_behind(timeout_s=0) and not cgroups(name):
            return time.monotonic() - started
        time.sleep(0.005)
    pytest.fail(f"left: {child.left_behind(timeout_s=0)} {cgroups(name)}")


def disturb(child, name, number, delay_s):
    """Start a program of the factory, send it a signal; its exit status."""
    child.send(f"{name}\n")
    pid = int(child.line())
    time.sleep(delay_s)
    os.kill(pid, number)
    return int(child.line())


def source(**options):
    return FACTORY.replace("**OPTIONS", f"**{options!r}")


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="cgroups"),
        pytest.param({"cgroup": {"mode": "off"}, "pids": None}, id="without cgroups"),
    ],
)
def test_a_program_killed_at_any_moment_leaves_nothing(rootfs, options):
    chance = random.Random(1)
    text = source(**options)
    if "pids" in options:
        text = text.replace("pids=64, ", "")
    times_s = []
    with program(text, str(rootfs)) as child:
        for turn in range(TIMES):
            name = f"killed-{os.getpid()}-{turn}"
            delay_s = chance.uniform(0, 2 * LIFE_S)
            assert disturb(child, name, signal.SIGKILL, delay_s) == -signal.SIGKILL
            times_s.append(all_gone_after(child, name))
    assert max(times_s) < 2


LIFE = """
import aiocontainer.container
from aiocontainer import Config, Container, Rootfs

async def main(name):
    config = Config(rootfs=Rootfs.overlay(sys.argv[1]), pids=64)
    async with Container(config, id=name) as container:
        await container.run(["true"])
        await container.pause()
        await container.resume()
        await container.run(["sleep", "9"], timeout=0.01)
"""


def test_a_program_killed_before_anything_that_it_does_leaves_nothing(rootfs):
    assert death_sweep(LIFE, all_gone_after, str(rootfs)) > 100


def test_a_program_interrupted_at_any_moment_leaves_nothing(rootfs):
    chance = random.Random(2)
    with program(source(), str(rootfs)) as child:
        for turn in range(TIMES // 2):
            name = f"interrupted-{os.getpid()}-{turn}"
            delay_s = chance.uniform(0.005, 2 * LIFE_S)
            disturb(child, name, signal.SIGINT, delay_s)
            all_gone_after(child, name)


def test_a_program_that_is_terminated_leaves_nothing(rootfs):
    with program(source(), str(rootfs)) as child:
        name = f"terminated-{os.getpid()}"
        assert disturb(child, name, signal.SIGTERM, LIFE_S) == -signal.SIGTERM
        all_gone_after(child, name)


FORKED = """
import asyncio, ctypes, os, sys
from aiocontainer import Config, Container

async def main():
    async with Container(Config(rootfs=sys.argv[1]), id=sys.argv[2]) as container:
        await container.run(["true"])
        await container.start(["sleep", "60"])
        libc = ctypes.PyDLL(None)
        forked = libc.fork() if sys.argv[3] == "raw" else os.fork()
        if forked == 0:  # holds all descriptors that the program has open
            libc.sleep(60)
            libc._exit(0)
        print(forked)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("kind", ["os.fork", "raw"])
def test_a_forked_child_that_lives_on_keeps_no_container_alive(rootfs, kind):
    name = f"forked-{os.getpid()}"
    with program(FORKED, str(rootfs), name, kind) as child:
        forked = int(child.line())
        assert cgroups(name)
        child.kill()
        deadline = time.monotonic() + 2
        left = child.left_behind(timeout_s=0)
        while (len(left) > 1 or cgroups(name)) and time.monotonic() < deadline:
            time.sleep(0.005)
            left = child.left_behind(timeout_s=0)  # this reaps, too
        assert [line.split()[0] for line in left] == [str(forked)]
        assert cgroups(name) == []


MANY = """
import asyncio, sys
from aiocontainer import Config, Container

async def main():
    config = Config(rootfs=sys.argv[1])
    containers = [Container(config, id=f"{sys.argv[2]}-{n}") for n in range(40)]
    script = ["sh", "-c", "sleep 60 & wait"]
    await asyncio.gather(*(c.start(script) for c in containers))
    print("ready")
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_forty_containers_of_a_killed_program_are_gone_in_two_seconds(rootfs):
    name = f"many-{os.getpid()}"
    with program(MANY, str(rootfs), name) as child:
        assert child.line() == "ready"
        assert len(cgroups(name)) >= 40
        child.kill()
        assert all_gone_after(child, name) < 2


def test_the_spawner_of_a_program_that_ends_well_ends_too(rootfs):
    text = """
import asyncio, sys
from aiocontainer import Config, run
print(asyncio.run(run(Config(rootfs=sys.argv[1]), ["echo", "hi"])).stdout)
"""
    with program(text, str(rootfs)) as child:
        assert child.line() == "b'hi\\n'"
        assert child.wait() == 0
        assert child.left_behind() == []


LOST_TWICE = """
import asyncio, os, signal, sys
from aiocontainer import Config, Container, run
from aiocontainer.proc import spawner

async def main():
    config = Config(rootfs=sys.argv[1], cgroup={"mode": sys.argv[3]})
    async with Container(config, id=sys.argv[2]) as container:
        await container.run(["true"])
        await container.start(["sleep", "60"])
        os.kill(spawner.current().pid, signal.SIGKILL)
        await run(config, ["true"])
        print("ready")
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("mode", ["auto", "off"])
def test_a_second_spawner_cleans_up_what_the_first_one_started(rootfs, mode):
    name = f"second-{os.getpid()}"
    with program(LOST_TWICE, str(rootfs), name, mode) as child:
        assert child.line() == "ready"
        assert bool(cgroups(name)) == (mode == "auto")
        child.kill()
        assert all_gone_after(child, name) < 2


@pytest.fixture(autouse=True)
def _remove_what_a_failed_test_left():
    yield
    for path in cgroups("*" + str(os.getpid())):
        for folder, _, _ in os.walk(path, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
