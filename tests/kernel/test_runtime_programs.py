"""Containers that several programs share, and that outlive some of them."""

import asyncio
import os
import random
import signal
import time

import pytest

from aiocontainer import Runtime
from tests.support import procfs
from tests.support.capabilities import needs
from tests.support.dying import death_sweep
from tests.support.programs import program

from .test_program_killed import all_gone_after, cgroups

pytestmark = [
    needs("root", "mount-namespace", "pid-namespace"),
    pytest.mark.slow,
    pytest.mark.timeout(1200),
]

TIMES = 1000 if os.environ.get("AIOCONTAINER_SWEEP") == "full" else 30

HEAD = """
import asyncio, os, signal, sys
from aiocontainer import CgroupSettings, Config, Runtime
from aiocontainer.proc import spawner
from aiocontainer.proc.stdio import PIPE

ROOT, ROOTFS, NAME = sys.argv[1:4]
runtime = Runtime(ROOT)
config = Config(rootfs=ROOTFS, **OPTIONS)
"""

MAKES = """
async def main():
    container = await runtime.create(NAME, config, ["sleep", "600"], detach=DETACH)
    print(container.status(), container.pid)
    sys.stdin.readline()

asyncio.run(main())
"""

WATCHES = """
async def main():
    async with runtime.load(NAME) as container:
        await container.start()
        async with container.events() as events:
            print(container.status(), (await container.stats()).pids.current)
            async for event in events:
                print(type(event).__name__, event.returncode, event.init)
        print(await container.wait())

asyncio.run(main())
"""

ENDS = """
async def main():
    async with runtime.load(NAME) as container:
        result = await container.run(["cat", "/proc/1/comm"])
        print(result.stdout)
        container.kill()
        await container.init.wait_for_end()
        print(container.status())
        if sys.argv[4:] == ["destroy"]:
            await container.destroy()

asyncio.run(main())
"""

JOINS = """
async def main():
    async with runtime.load(NAME) as container:
        script = "setsid sleep 500 & echo ready; sleep 500"
        process = await container.start(["sh", "-c", script], stdout=PIPE)
        await process.stdout.receive()
        print("ready")
        await asyncio.sleep(60)

asyncio.run(main())
"""


def source(body, detach=True, **options):
    head = HEAD.replace("**OPTIONS", f"**{options!r}")
    return head + body.replace("DETACH", str(detach))


@pytest.fixture
def place(tmp_path, rootfs):
    """Arguments of all programs of a test."""
    return str(tmp_path / "state"), str(rootfs), f"shared-{os.getpid()}"


def destroy(root, id):
    async def work():
        async with Runtime(root).load(id) as container:
            await container.destroy()

    asyncio.run(work())


def test_one_program_makes_it_another_watches_it_a_third_ends_it(place):
    with program(source(MAKES), *place) as maker:
        assert maker.line().startswith("created ")
        maker.send("\n")
        assert maker.wait() == 0
        with program(source(WATCHES), *place) as watcher:
            assert watcher.line() == "running 1"
            with program(source(ENDS), *place, "keep") as ender:
                assert ender.line() == r"b'sleep\n'"
                assert ender.line() == "stopped"
                assert ender.wait() == 0
            assert watcher.line() == "Exit -9 True"
            assert watcher.line() == "-9"
            assert watcher.wait() == 0
        assert [each.status for each in Runtime(place[0]).list()] == ["stopped"]
        destroy(place[0], place[2])
    assert os.listdir(place[0]) == []
    assert cgroups(place[2]) == []


@pytest.mark.parametrize("how", ["program", "program and spawner"])
def test_a_detached_container_survives_who_made_it(place, how):
    with program(source(MAKES), *place) as maker:
        pid = int(maker.line().split()[1])
        if how == "program and spawner":
            kill_both(maker.pid)
        maker.kill()
        deadline = time.monotonic() + 0.3  # as long as a janitor would take
        while time.monotonic() < deadline:
            assert procfs.read_stat(pid) is not None
            time.sleep(0.02)
        assert asyncio.run(Runtime(place[0]).collect()) == []
        with program(source(ENDS), *place, "destroy") as ender:
            assert ender.line() == r"b'aiocontainer\n'"  # nobody has started it
            assert ender.wait() == 0
        assert maker.left_behind() == []
    assert os.listdir(place[0]) == []


def test_one_that_is_not_detached_ends_with_its_program_and_makes_room(place):
    with program(source(MAKES, detach=False), *place) as maker:
        assert maker.line().startswith("created ")
        maker.kill()
        assert maker.left_behind() == []
        # At once, under the same id: what was left is no reason to fail.
        with program(source(MAKES, detach=False), *place) as again:
            assert again.line().startswith("created ")
            again.send("\n")
            assert again.wait() == 0
            assert again.left_behind() == []
    assert asyncio.run(Runtime(place[0]).collect()) == [place[2]]
    assert cgroups(place[2]) == []


def test_what_a_killed_program_had_started_in_it_ends(place):
    with program(source(MAKES), *place) as maker:
        assert maker.line().startswith("created ")
        with program(source(JOINS), *place) as joiner:
            assert joiner.line() == "ready"
            joiner.kill()
            assert joiner.left_behind() == []
        container = Runtime(place[0]).load(place[2])
        deadline = time.monotonic() + 3
        while len(container.processes()) > 1 and time.monotonic() < deadline:
            time.sleep(0.005)
        assert container.processes() == [container.pid]
        asyncio.run(container.destroy())
        assert maker.left_behind() == []


RACES = """
async def main():
    from aiocontainer import ContainerExists
    sys.stdin.readline()
    for number in range(10):
        sys.stdin.readline()
        try:
            container = await runtime.create(f"{NAME}-{number}", config, ["true"])
            print("made")
            sys.stdin.readline()
            await container.destroy()
        except ContainerExists:
            print("taken")
            sys.stdin.readline()

async def warm_up():
    async with await runtime.create(f"{NAME}-{os.getpid()}", config, ["true"]):
        print("ready")

asyncio.run(warm_up())
asyncio.run(main())
"""


def test_of_two_programs_that_take_an_id_one_has_it(place):
    with (
        program(source(RACES), *place) as one,
        program(source(RACES), *place) as two,
    ):
        for each in (one, two):
            assert each.line() == "ready"
            each.send("\n")
        for _ in range(10):
            one.send("\n")
            two.send("\n")
            assert sorted((one.line(), two.line())) == ["made", "taken"]
            one.send("\n")
            two.send("\n")
        assert (one.wait(), two.wait()) == (0, 0)
    assert os.listdir(place[0]) == []


# -- killed at any moment --------------------------------------------------------------

# Forks a program for each line: importing takes longer than what is tested.
SWEPT = """
async def main(name):
    print(os.getpid())
    for number in range(1000):
        async with await runtime.create(f"{name}-{number}", config, ["cat"],
                                        stdin=PIPE, stdout=PIPE) as container:
            process = await container.start()
            await container.run(["true"])
            async with runtime.load(container.id) as loaded:
                await loaded.start(["sh", "-c", "setsid sleep 60 & sleep 60"])
        script = "sleep 60 & sleep 60"
        living = await runtime.create(f"{name}-d{number}", config,
                                      ["sh", "-c", script], detach=True)
        await living.start()
        await living.aclose()
        print("living")

for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        asyncio.run(main(line.strip()))
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def kill_both(pid):
    """SIGKILL for a program and its spawner, so that neither sees the other go."""
    os.kill(pid, signal.SIGSTOP)
    # The first child of all that a program of ours has; containers are others.
    found = [facts for facts in map(procfs.read_stat, procfs.children(pid)) if facts]
    server = min(found, key=lambda facts: (facts.start_ticks, facts.pid), default=None)
    if server is not None:
        os.kill(server.pid, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)


async def collect_all(root):
    """Ids that were collected, and of those that rightly weren't, destroyed here."""
    runtime = Runtime(root)
    collected = await runtime.collect()
    living = runtime.list()
    for each in living:
        assert each.detached
        assert not each.leftover
        assert each.status in ("created", "running")
        async with runtime.load(each.id) as container:
            await container.destroy()
    return collected, [each.id for each in living]


def killed(factory, name, delay_s):
    """Start a program of the factory, and kill it with its spawner after a while
    (``None``: once its first detached container lives); how long that took."""
    factory.send(f"{name}\n")
    pid = int(factory.line())
    started_s = time.monotonic()
    if delay_s is None:
        assert factory.line() == "living"
    else:
        time.sleep(delay_s)
    kill_both(pid)
    took_s = time.monotonic() - started_s
    while (line := factory.line()) == "living":
        pass
    assert int(line) == -signal.SIGKILL
    return took_s


@pytest.mark.parametrize("mode", ["auto", "off"])
def test_killed_with_its_spawner_at_any_moment_all_can_be_collected(place, mode):
    chance = random.Random(3)
    root, _, name = place
    options = {"cgroup": {"mode": mode}}
    counts = {"collected": 0, "living": 0}
    with program(source(SWEPT, **options), *place) as factory:
        life_s = None
        for turn in range(TIMES if mode == "auto" else TIMES // 3):
            delay_s = None if life_s is None else chance.uniform(0, 1.5 * life_s)
            took_s = killed(factory, f"{name}-{turn}", delay_s)
            life_s = life_s or took_s
            collected, living = asyncio.run(collect_all(root))
            counts["collected"] += len(collected)
            counts["living"] += len(living)
            assert factory.left_behind() == [], turn
            assert cgroups(name) == [], turn
            assert not os.path.isdir(root) or os.listdir(root) == [], turn
    assert min(counts.values()) > 0, counts


KEEPS = """
import aiocontainer.container
from aiocontainer import Config, Runtime

async def main(name):
    runtime = Runtime(sys.argv[1])
    config = Config(rootfs=sys.argv[2], pids=64)
    program = ["sleep", "60"]
    container = await runtime.create(name, config, program, detach=DETACH)
    await container.start()
    await container.run(["true"])
    async with runtime.load(name) as same:
        await same.destroy()
"""


@pytest.mark.parametrize("detach", [False, True])
def test_killed_before_anything_that_it_does_a_program_leaves_a_true_record(
    place, detach
):
    """Of nothing, or of a container that others can end and remove."""
    runtime = Runtime(place[0])

    async def tidy():
        await runtime.collect()
        for each in runtime.list():
            async with runtime.load(each.id) as container:
                await container.destroy()

    def check(child, name):
        child.left_behind(0.2)
        asyncio.run(tidy())
        all_gone_after(child, name)
        assert os.listdir(place[0]) == []

    source = KEEPS.replace("DETACH", str(detach))
    assert death_sweep(source, check, *place) > 100
