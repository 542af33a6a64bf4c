"""Cgroups above those of containers: made where they are missing, gone in the end."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiocontainer.cgroups import CGroup, open_cgroup, tree
from aiocontainer.cgroups.reach import check_reach
from aiocontainer.config import CgroupSettings
from aiocontainer.errors import CgroupError
from aiocontainer.proc.helper.janitor import Janitor
from tests.support.capabilities import needs
from tests.support.cgroups import LAYOUT, wipe
from tests.support.programs import program

pytestmark = [needs("root")]
on_asyncio = pytest.mark.parametrize("anyio_backend", [("asyncio", {})], indirect=True)


@pytest.fixture
def parent() -> Iterator[str]:
    """The name of a parent that isn't there; whatever happens, it isn't afterwards."""
    name = f"aiocontainer-test-above-{uuid.uuid4().hex[:8]}"
    yield name
    for directory in directories(name):
        wipe((f"{directory}/inner",))
        wipe((directory,))


def directories(parent: str) -> list[str]:
    """Where it is, as far as it is there."""
    settings = CgroupSettings(parent=parent)
    group = open_cgroup(LAYOUT, settings, "x")
    found = dict.fromkeys(
        path[: path.index(parent) + len(parent)] for path in group.directories
    )
    return [path for path in found if os.path.isdir(path)]


# -- groups ----------------------------------------------------------------------------


@pytest.mark.anyio
@on_asyncio
async def test_parents_that_were_made_for_a_group_go_with_the_last_of_them(
    parent: str,
) -> None:
    settings = CgroupSettings(parent=f"{parent}/inner")
    async with CGroup("aiocontainer-test-a", settings=settings):
        async with CGroup("aiocontainer-test-b", settings=settings):
            assert directories(parent)
        assert directories(parent)
    assert not directories(parent)


@pytest.mark.anyio
@on_asyncio
async def test_a_parent_that_was_there_before_stays(parent: str) -> None:
    settings = CgroupSettings(parent=parent)
    async with CGroup("aiocontainer-test-a", settings=settings):
        async with CGroup("aiocontainer-test-b", settings=settings) as second:
            assert not second.cgroup.made_parents
            there = directories(parent)
        assert directories(parent) == there


def test_a_parent_that_is_removed_meanwhile_is_made_again(tmp_path: Path) -> None:
    calls = []

    def remove_once(directory: str) -> None:
        calls.append(directory)
        if len(calls) == 1:  # another program finds it empty
            os.rmdir(directory)

    made: list[str] = []
    wanted = tmp_path / "above" / "group"
    tree.make(str(wanted), parents=1, prepare=remove_once, made=made)
    assert wanted.is_dir()
    assert calls == made == [str(wanted.parent)] * 2


def test_a_parent_that_is_removed_while_it_is_prepared_is_made_again(
    tmp_path: Path,
) -> None:
    calls = []

    def find_it_gone(directory: str) -> None:
        calls.append(directory)
        if len(calls) == 1:
            os.rmdir(directory)
            with tree.translated(directory):
                os.stat(directory)

    tree.make(str(tmp_path / "above" / "group"), parents=1, prepare=find_it_gone)
    assert (tmp_path / "above" / "group").is_dir()


def test_a_failed_creation_leaves_no_parent(parent: str) -> None:
    settings = CgroupSettings(parent=parent)
    group = open_cgroup(LAYOUT, settings, "aiocontainer-test-a")
    last = [path for path in group.directories if path.endswith(group.name)][-1]
    os.makedirs(last)
    with pytest.raises(CgroupError):
        group.create()
    assert directories(parent) == [os.path.dirname(last)]


# -- containers ------------------------------------------------------------------------

SOURCE = """
import asyncio, sys
from aiocontainer import Config, run

async def main(rootfs, parent):
    config = Config(rootfs=rootfs, cgroup={"parent": parent})
    for _ in range(2):
        await run(config, ["true"])
    print("done")
    sys.stdin.readline()

asyncio.run(main(*sys.argv[1:]))
"""


@needs("mount-namespace", "pid-namespace")
@pytest.mark.parametrize("killed", [True, False])
def test_parents_that_were_made_for_containers_go_with_the_program(
    rootfs: Path, parent: str, killed: bool
) -> None:
    with program(SOURCE, str(rootfs), f"{parent}/inner") as child:
        assert child.line(60) == "done"
        assert directories(parent)  # making them for each would cost more than a life
        if killed:
            child.kill()
        else:
            child.send("\n")
            assert child.wait() == 0
        assert child.left_behind(30) == []  # its spawner has seen to it all
    assert not directories(parent)


@pytest.mark.parametrize("others", [True, False])
def test_the_shared_parent_goes_with_the_last_program(
    tmp_path: Path, others: bool
) -> None:
    shared = tmp_path / "aiocontainer"
    (shared / "mine").mkdir(parents=True)
    if others:
        (shared / "theirs").mkdir()
    janitor = Janitor()
    janitor.watch(1, (str(shared / "mine"), f"{tmp_path}/empty/"))
    janitor.watch(2, (str(shared / "forgotten"),))
    (tmp_path / "empty").mkdir()
    janitor.forget((2,))
    janitor.clean_up()
    assert not (shared / "mine").exists()
    assert not (tmp_path / "empty").exists()
    assert shared.exists() is others


# -- whose they are --------------------------------------------------------------------


def test_a_parent_is_inside_of_its_hierarchy(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "link").symlink_to("b")
    for inside in ("", "/a", "/a/b", "/a/b/new/newer", "/new"):
        check_reach(str(tmp_path), str(tmp_path) + inside)
    with pytest.raises(CgroupError, match="leads out"):
        check_reach(str(tmp_path), f"{tmp_path}/a/link")
    with pytest.raises(CgroupError, match="leads out"):
        check_reach(str(tmp_path), f"{tmp_path}/a/link/new")
    with pytest.raises(CgroupError, match="leads out"):
        check_reach("/", "/proc/self")  # another mount
