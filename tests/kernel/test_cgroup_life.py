"""Making, entering, leaving and removing cgroups, on whatever the machine has."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterator

import anyio
import pytest

from aiocontainer._sys import libc
from aiocontainer.cgroups import Cgroup, open_cgroup, prune_parents
from aiocontainer.cgroups.files import read_pids
from aiocontainer.config import CgroupSettings
from aiocontainer.errors import CgroupBusy, CgroupError
from tests.support.cgroups import (
    LAYOUT,
    PARENT,
    existing,
    group_for_test,
    new_group,
    python,
    reap,
    run_inside,
    running,
    wipe,
)

pytestmark = [pytest.mark.anyio, pytest.mark.needs("root")]


@pytest.fixture
def group() -> Iterator[Cgroup]:
    with group_for_test() as made:
        yield made


@pytest.mark.covers("cgroup v1")
async def test_it_is_made_in_every_hierarchy_and_removed_from_all() -> None:
    group = new_group()
    group.create()
    assert existing(group) == list(group.directories)
    assert group.paths
    await group.remove()
    assert existing(group) == []
    wipe(group.directories)


async def test_removing_what_is_gone_is_fine(group: Cgroup) -> None:
    await group.remove()
    await group.remove()
    assert existing(group) == []


async def test_making_it_twice_is_refused_and_harms_nothing(group: Cgroup) -> None:
    with pytest.raises(CgroupError, match="exists already"):
        group.create()
    assert existing(group) == list(group.directories)


def test_a_cgroup_of_that_name_in_one_hierarchy_is_left_alone() -> None:
    group = new_group()
    last = group.directories[-1]
    os.makedirs(last)
    try:
        with pytest.raises(CgroupError):
            group.create()
        left = existing(group)
        assert last in left
        assert all(last.startswith(path) for path in left)
    finally:
        wipe(group.directories)


def test_a_failure_at_any_call_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []
    monkeypatch.setattr(libc, "fault", counted.append)
    with group_for_test():
        pass
    for index in range(len(counted)):
        calls = itertools.count()

        def refuse(name: str, index: int = index, calls: Iterator[int] = calls) -> None:
            if name in ("mkdir", "open", "read", "write") and next(calls) == index:
                raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

        group = new_group()
        planned = group.directories
        monkeypatch.setattr(libc, "fault", refuse)
        try:
            group.create()
        except CgroupError:
            assert existing(group) == [], f"left behind after call {index} failed"
        finally:
            monkeypatch.setattr(libc, "fault", None)
            wipe(planned)


def test_a_process_that_enters_is_in_every_hierarchy(group: Cgroup) -> None:
    with running(group) as process:
        for path in {*group.paths.values(), *filter(None, [group.unified])}:
            procs = [
                pid
                for folder, _, _ in os.walk(path)
                for pid in read_pids(f"{folder}/cgroup.procs")
            ]
            assert procs == [process.pid], path
        assert group.pids() == [process.pid]


def test_children_of_a_process_are_inside_too(group: Cgroup) -> None:
    with running(group, "sh", "-c", "sleep 60 & echo $!; read x") as process:
        pids = group.pids()
        assert len(pids) == 2
        assert process.pid in pids
        group.kill()
    reap(pids)


async def test_a_child_cgroup_counts_as_inside(group: Cgroup) -> None:
    child = group.child("run-1")
    child.create()
    with running(child) as inner, running(group) as outer:
        assert child.pids() == [inner.pid]
        assert sorted(group.pids()) == sorted([inner.pid, outer.pid])
        assert group.pids(recursive=False) == [outer.pid]
        child.kill()
        assert inner.wait(10) == -9
        assert outer.poll() is None
    await child.remove()
    assert existing(child) == []


async def test_nested_cgroups_are_removed_with_the_outer_one(group: Cgroup) -> None:
    child = group.child("a", nested=True)
    child.create()
    child.child("b").create()
    for path in dict.fromkeys(group.paths.values()):
        os.mkdir(f"{path}/by-the-container")
    await group.remove()
    assert existing(group) == []


async def test_removal_waits_for_the_last_process_to_go(group: Cgroup) -> None:
    with running(group) as process:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(group.remove)
            await anyio.wait_all_tasks_blocked()
            assert existing(group)
            process.kill()
    assert existing(group) == []


async def test_what_is_still_inside_is_named(group: Cgroup) -> None:
    with running(group) as process:
        with pytest.raises(CgroupBusy, match=str(process.pid)):
            await group.remove(timeout_s=0.05)
        assert process.poll() is None
    await group.remove()


async def test_waiting_for_it_to_be_empty_ends_with_the_last_process(
    group: Cgroup,
) -> None:
    with running(group) as process:
        with pytest.raises(CgroupBusy, match=str(process.pid)):
            await group.wait_empty(timeout_s=0.05)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(group.wait_empty)
            await anyio.wait_all_tasks_blocked()
            process.kill()
    assert group.pids() == []


async def test_asking_after_it_is_gone_is_an_error_or_nothing(group: Cgroup) -> None:
    await group.remove()
    assert group.pids() == []
    assert not group.frozen
    group.kill()
    await group.wait_empty()
    for ask in (group.stats, group.usage):
        with pytest.raises(CgroupError):
            ask()


async def test_the_shared_parent_goes_only_when_it_is_empty(group: Cgroup) -> None:
    other = new_group()
    other.create()
    prune = [os.path.dirname(path) for path in other.directories]
    parents = [path for path in prune if os.path.basename(path) == PARENT]
    await other.remove()
    prune_parents(other)
    assert all(os.path.isdir(parent) for parent in parents)


async def test_the_default_parent_is_made_and_pruned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Not the real one, in which other programs may have containers at this moment.
    monkeypatch.setattr("aiocontainer.cgroups.open.PARENT", "aiocontainer-test-own")
    group = open_cgroup(LAYOUT, None, "aiocontainer-test-default")
    parents = {os.path.dirname(path) for path in group.directories}
    ours = [p for p in parents if os.path.basename(p) == "aiocontainer-test-own"]
    assert ours
    group.create()
    assert all(os.path.isdir(parent) for parent in ours)
    await group.remove()
    prune_parents(group)
    assert not any(os.path.isdir(parent) for parent in ours)


def test_a_user_who_may_not_makes_nothing_and_is_told() -> None:
    code = f"""
import os, sys
sys.path[:0] = {[*filter(None, __import__("sys").path)]!r}
import aiocontainer.cgroups as c, aiocontainer.errors as e
os.setgroups([]); os.setgid(65534); os.setuid(65534)
g = c.open_cgroup(c.detect(), None, "aiocontainer-test-nobody")
try:
    g.create()
    print("made", dict(g.paths))
except e.CgroupError as error:
    print("refused", error.reason)
h = c.open_cgroup(c.detect(), None, "aiocontainer-test-nobody", controllers=["pids"])
try:
    h.create()
    print("made", dict(h.paths))
except e.CgroupError as error:
    print("refused", error)
"""
    with group_for_test() as group:
        status, output = run_inside(group, *python(code))
    first, second = output.splitlines()
    assert status == 0
    assert first == "made {}" or first.startswith("refused not permitted"), first
    assert second.startswith("refused"), second


@pytest.mark.covers("no cgroups")
def test_cgroup_off_makes_nothing() -> None:
    group = open_cgroup(LAYOUT, CgroupSettings(mode="off"), "box")
    group.create()
    assert group.directories == ()
