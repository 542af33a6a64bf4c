"""Scopes of systemd on a machine whose controllers are on v1."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from aiocontainer import Config, Container, ExitReason
from aiocontainer.cgroups import Cgroup, open_cgroup
from aiocontainer.config import CgroupSettings, Resources
from aiocontainer.errors import CgroupError
from tests.support.cgroups import LAYOUT, existing, run_inside, running

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.needs("root", "systemd"),
    pytest.mark.skipif(LAYOUT.mode == "v2", reason="all controllers are on v2"),
]


def opened(**options: Any) -> Cgroup:
    settings = CgroupSettings(mode="systemd", **options)
    return open_cgroup(LAYOUT, settings, f"test-{uuid.uuid4().hex[:8]}")


@pytest.fixture
async def group() -> AsyncIterator[Cgroup]:
    made = opened()
    await made.acreate()
    yield made
    made.kill()
    await made.remove()
    assert not anywhere(made)


def unit_of(group: Cgroup) -> str:
    return f"aiocontainer-{group.name}.scope"


def anywhere(group: Cgroup) -> list[Path]:
    """Directories of its scope in all hierarchies."""
    return list(Path("/sys/fs/cgroup").glob(f"*/*.slice/{unit_of(group)}"))


def property_of(group: Cgroup, name: str) -> str:
    command = ["systemctl", "show", "--value", "-p", name, unit_of(group)]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


async def test_the_scope_has_a_cgroup_in_each_hierarchy(group: Cgroup) -> None:
    assert existing(group) == list(group.directories)
    assert property_of(group, "ActiveState") == "active"
    assert property_of(group, "Slice") == "machine.slice"
    assert {"cpu", "pids", "freezer", "devices"} <= set(group.paths)
    with running(group) as process:
        assert group.pids() == [process.pid]
        where = Path(f"/proc/{process.pid}/cgroup").read_text()
        assert all(unit_of(group) in line for line in where.splitlines())
        await group.freeze()
        assert group.frozen
        group.kill()
        assert process.wait(60) == -9
    await group.wait_empty()


async def test_limits_are_those_of_the_files() -> None:
    limits = Resources(pids_limit=20, cpu={"quota_us": 25_000, "period_us": 50_000})
    group = opened(systemd_properties={"TimeoutStopUSec": 7_000_000})
    await group.acreate(limits)
    try:
        group.apply(limits)
        assert property_of(group, "TimeoutStopUSec") == "7s"
        assert property_of(group, "TasksMax") == "infinity"
        assert Path(group.paths["pids"], "pids.max").read_text() == "20\n"
        await group.aupdate(Resources(pids_limit=7))
        assert Path(group.paths["pids"], "pids.max").read_text() == "7\n"
        status, output = run_inside(group, "sh", "-c", ": > /dev/null; echo $?")
        assert (status, output) == (0, "0\n")
    finally:
        await group.remove()
    assert not anywhere(group)


async def test_our_limits_outlive_a_reload_of_systemd(group: Cgroup) -> None:
    group.apply(Resources(pids_limit=7, devices=()))
    await anyio.run_process(["systemctl", "daemon-reload"])
    pids = group.stats().pids
    assert pids is not None
    assert pids.limit == 7


async def test_a_name_that_is_taken_is_refused_and_its_owner_unharmed(
    group: Cgroup,
) -> None:
    again = open_cgroup(LAYOUT, CgroupSettings(mode="systemd"), group.name)
    with pytest.raises(CgroupError):
        await again.acreate()
    assert existing(group) == list(group.directories)
    assert property_of(group, "ActiveState") == "active"


@pytest.mark.covers("systemd on v1", where="guest")
async def test_a_container_has_a_scope_for_its_life(rootfs: Path) -> None:
    config = Config(rootfs=rootfs, pids=32, cgroup={"mode": "systemd"})
    async with Container(config) as container:
        result = await container.run(["cat", "/proc/self/cgroup"], timeout=60)
        assert result.reason is ExitReason.EXITED
        assert container.isolation.cgroup == "v1"
        directories = container._processes.cgroup.directories
        assert container.processes() == [container.pid]
    assert not any(os.path.isdir(directory) for directory in directories)
