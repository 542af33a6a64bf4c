"""Freezing and killing whole trees of processes, and nothing else."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import anyio
import pytest

from aiocontainer.cgroups import Cgroup
from aiocontainer.cgroups.v1 import freezer
from aiocontainer.cgroups.v2 import core
from aiocontainer.config import Resources
from aiocontainer.errors import CgroupError
from tests.support import procfs, spawners
from tests.support.cgroups import LAYOUT, group_for_test, python, reap, running

pytestmark = [pytest.mark.anyio, pytest.mark.needs("root")]

WITHOUT_TWIN = pytest.mark.skipif(
    "freezer" not in LAYOUT.v1, reason="no v1 freezer here"
)


@pytest.fixture(
    params=["as it is", pytest.param("without cgroup2", marks=WITHOUT_TWIN)]
)
def group(request: pytest.FixtureRequest) -> Iterator[Cgroup]:
    """A cgroup; on a hybrid machine also one without its cgroup2 twin, to go the way
    of machines that have v1 only."""
    with group_for_test() as made:
        twin = made.unified
        if request.param == "without cgroup2":
            made.unified = None  # type: ignore[misc]
            made._set_directories()  # type: ignore[attr-defined]
        yield made
        made.unified = twin  # type: ignore[misc]


COUNTER = """
import sys, time
n = 0
while True:
    n += 1
    sys.stdout.write(f"{n}\\n")
    sys.stdout.flush()
    time.sleep(0.001)
"""


@pytest.mark.covers("pause and resume")
async def test_what_is_frozen_stands_still_and_goes_on_when_thawed(
    group: Cgroup,
) -> None:
    with running(group, *python(COUNTER)) as process:
        assert process.stdout is not None
        await group.freeze()
        assert group.frozen
        os.set_blocking(process.stdout.fileno(), False)
        process.stdout.read()
        await anyio.sleep(0.05)
        assert process.stdout.read() is None
        await group.thaw()
        assert not group.frozen
        os.set_blocking(process.stdout.fileno(), True)
        assert process.stdout.readline()


async def test_an_empty_cgroup_can_be_frozen(group: Cgroup) -> None:
    await group.freeze()
    assert group.frozen
    await group.thaw()
    assert not group.frozen


async def test_freezing_twice_and_thawing_twice_is_fine(group: Cgroup) -> None:
    with running(group):
        await group.freeze()
        await group.freeze()
        assert group.frozen
        await group.thaw()
        await group.thaw()
        assert not group.frozen


@pytest.mark.parametrize("how", ["timeout", "cancel"])
async def test_a_freeze_that_is_not_confirmed_is_taken_back(
    group: Cgroup, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    with running(group) as process:
        with monkeypatch.context() as patched:
            patched.setattr(core, "parse_events", lambda text: {"frozen": 0})
            patched.setattr(freezer, "frozen", lambda directory: False)
            if how == "timeout":
                with pytest.raises(CgroupError, match="not frozen within"):
                    await group.freeze(timeout_s=0.02)
            else:
                with anyio.move_on_after(0.02) as scope:
                    await group.freeze()
                assert scope.cancelled_caught
        await group.thaw()
        assert not group.frozen
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.wait(10) == 0


TREE = """
import os, signal, time
def stay():
    while True:
        time.sleep(60)
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            stay()
        os._exit(0)
for _ in range(3):
    os.wait()
for number in set(range(1, 32)) - {9, 19}:
    signal.signal(number, signal.SIG_IGN)
print("ready", flush=True)
stay()
"""


@pytest.mark.covers("cgroup.kill")
async def test_a_kill_reaches_every_descendant_and_nobody_else(group: Cgroup) -> None:
    with group_for_test() as other, running(other) as bystander:
        with running(group, *python(TREE)) as process:
            pids = group.pids()
            assert len(pids) == 4
            group.kill()
            assert process.wait(10) == -signal.SIGKILL
            reap([pid for pid in pids if pid != process.pid])
            await group.wait_empty()
        assert bystander.poll() is None


async def test_what_is_frozen_can_be_killed(group: Cgroup) -> None:
    with running(group) as process:
        await group.freeze()
        group.kill()
        assert process.wait(10) == -signal.SIGKILL
        assert group.pids() == []
        assert not group.frozen


@WITHOUT_TWIN
async def test_what_another_program_froze_by_the_v1_freezer_can_be_killed() -> None:
    with group_for_test() as group, running(group) as process:
        await freezer.freeze(group.paths["freezer"], 5)
        assert group.frozen
        group.kill()
        assert process.wait(10) == -signal.SIGKILL


FORK_BOMB = """
import os, signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print("ready", flush=True)
while True:
    try:
        os.fork()
    except OSError:
        pass
"""


async def test_a_fork_bomb_is_killed_whole(group: Cgroup) -> None:
    group.apply(Resources(pids_limit=40, devices=()))
    with running(group, *python(FORK_BOMB)) as process:
        due = time.monotonic() + 20
        # Nobody tells of a full cgroup on every kernel, so look again.
        while len(group.pids()) < 40 and time.monotonic() < due:  # noqa: ASYNC110
            await anyio.sleep(0.01)
        group.kill()
        assert process.wait(20) == -signal.SIGKILL
        await group.wait_empty()
        assert group.pids() == []
        # Children of the dead come to us, too; the spawner of other tests lives on.
        while left := set(procfs.children()) - {spawners.find()}:
            reap(left)
