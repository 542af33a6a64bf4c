"""Scopes of systemd: made, delegated, used like any other cgroup, and gone."""

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
from aiocontainer.cgroups import CGroup, Cgroup, open_cgroup
from aiocontainer.config import CgroupSettings, Resources
from aiocontainer.errors import CgroupError, UnsupportedFeature
from tests.support.cgroups import LAYOUT, existing, python, run_inside, running

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.needs("root"),
    pytest.mark.needs("systemd"),
    pytest.mark.needs("cgroup-v2-pure"),
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
    assert not os.path.isdir(scope_of(made))


def scope_of(group: Cgroup) -> str:
    return os.path.dirname(group.directories[0])


def property_of(group: Cgroup, name: str) -> str:
    unit = os.path.basename(scope_of(group))
    command = ["systemctl", "show", "--value", "-p", name, unit]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


async def test_the_scope_is_where_it_was_foretold_and_delegated(group: Cgroup) -> None:
    assert existing(group) == list(group.directories)
    assert property_of(group, "ActiveState") == "active"
    assert property_of(group, "Delegate") == "yes"
    assert property_of(group, "Slice") == "machine.slice"
    assert "/sys/fs/cgroup" + property_of(group, "ControlGroup") == scope_of(group)
    assert {"cpu", "memory", "pids", "io"} <= set(group.paths)


async def test_it_is_used_like_any_other(group: Cgroup) -> None:
    memory = {"limit_bytes": "32MiB", "swap_bytes": 0}
    group.apply(Resources(pids_limit=5, memory=memory, devices=()))
    with running(group) as process:
        assert group.pids() == [process.pid]
        await group.freeze()
        assert group.frozen
        group.kill()
        assert process.wait(60) == -9
    await group.wait_empty()
    status, _ = run_inside(group, *python("b = b'x' * (64 << 20)"))
    assert status == -9
    assert group.oom_kills() == 1


async def test_our_limits_outlive_a_reload_of_systemd(group: Cgroup) -> None:
    group.apply(Resources(pids_limit=7, devices=()))
    await anyio.run_process(["systemctl", "daemon-reload"])
    pids = group.stats().pids
    assert pids is not None
    assert pids.limit == 7


LIMITS = Resources(
    memory={"limit_bytes": "64MiB", "high_bytes": "48MiB", "low_bytes": "8MiB"},
    cpu={"weight": 50, "quota_us": 25_000, "period_us": 50_000, "cpus": "0"},
    pids_limit=20,
)


@pytest.mark.covers("systemd on v2 and its user manager", where="guest")
async def test_limits_are_properties_of_the_scope_too() -> None:
    group = opened(systemd_properties={"TimeoutStopUSec": 7_000_000})
    await group.acreate(LIMITS)
    try:
        group.apply(LIMITS)
        aside = 2**20
        assert property_of(group, "MemoryMax") == str((64 << 20) + aside)
        assert property_of(group, "MemoryHigh") == str((48 << 20) + aside)
        assert property_of(group, "MemoryLow") == str(8 << 20)
        assert property_of(group, "CPUWeight") == "50"
        assert property_of(group, "CPUQuotaPerSecUSec") == "500ms"
        assert property_of(group, "CPUQuotaPeriodUSec") == "50ms"
        assert property_of(group, "AllowedCPUs") == "0"
        assert property_of(group, "TasksMax") == "21"
        assert property_of(group, "TimeoutStopUSec") == "7s"
        assert property_of(group, "DevicePolicy") == "strict"
        allowed = property_of(group, "DeviceAllow")
        assert "/dev/char/1:3 rwm" in allowed
        assert "char-136 rwm" in allowed
        status, output = run_inside(group, "sh", "-c", ": > /dev/null; echo $?")
        assert (status, output) == (0, "0\n")
    finally:
        await group.remove()


async def test_changed_limits_are_changed_properties(group: Cgroup) -> None:
    group.apply(Resources(devices=()))
    cpu = {"quota_us": 20_000}
    await group.aupdate(Resources(pids_limit=7, cpu=cpu, memory={"low_bytes": 4096}))
    assert property_of(group, "TasksMax") == "8"
    assert property_of(group, "CPUQuotaPerSecUSec") == "200ms"
    assert property_of(group, "MemoryLow") == "4096"
    await group.aupdate(Resources(cpu={"period_us": 40_000}))
    assert property_of(group, "CPUQuotaPerSecUSec") == "500ms"
    await group.aupdate(Resources(cpu={"quota_us": "unlimited"}))
    assert property_of(group, "CPUQuotaPerSecUSec") == "infinity"


async def test_limits_that_systemd_did_not_take_are_taken_back(
    group: Cgroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    group.apply(Resources(pids_limit=9, devices=()))
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere")
    with pytest.raises(UnsupportedFeature):
        await group.aupdate(Resources(pids_limit=7))
    pids = group.stats().pids
    assert pids is not None
    assert pids.limit == 9


async def test_the_limit_that_is_met_is_ours(group: Cgroup) -> None:
    """Not that of the scope, whose events nobody reads."""
    limits = Resources(memory={"limit_bytes": "32MiB", "swap_bytes": 0}, devices=())
    await group.aupdate(limits)
    status, _ = run_inside(group, *python("b = b'x' * (64 << 20)"))
    assert status == -9
    local = Path(group.directories[1], "memory.events").read_text()
    assert "\nmax 0\n" not in local
    scope = Path(scope_of(group), "memory.events.local").read_text()
    assert "\nmax 0\n" in scope


async def test_systemd_forgets_it_when_it_is_removed() -> None:
    group = opened()
    await group.acreate()
    await group.remove()
    assert not os.path.isdir(scope_of(group))
    with anyio.fail_after(60):
        while property_of(group, "LoadState") != "not-found":  # noqa: ASYNC110
            await anyio.sleep(0.1)


async def test_it_can_be_in_another_slice() -> None:
    group = opened(parent="aiocontainer-test.slice")
    await group.acreate()
    try:
        assert "/aiocontainer.slice/aiocontainer-test.slice/" in scope_of(group)
        assert existing(group) == list(group.directories)
    finally:
        await group.remove()
        await anyio.run_process(["systemctl", "stop", "aiocontainer.slice"])


async def test_a_name_that_is_taken_is_refused_and_its_owner_unharmed(
    group: Cgroup,
) -> None:
    settings = CgroupSettings(mode="systemd")
    again = open_cgroup(LAYOUT, settings, group.name)
    with pytest.raises(CgroupError):
        await again.acreate()
    assert existing(group) == list(group.directories)
    assert property_of(group, "ActiveState") == "active"


async def test_cancelled_while_systemd_is_asked_nothing_is_left() -> None:
    group = opened()
    with anyio.move_on_after(0.001) as scope:
        await group.acreate()
        await anyio.sleep_forever()
    assert scope.cancelled_caught
    await group.remove()
    with anyio.fail_after(60):
        while existing(group):  # noqa: ASYNC110
            await anyio.sleep(0.1)


async def test_a_plain_group_can_be_a_scope() -> None:
    settings = CgroupSettings(mode="systemd")
    async with CGroup(f"test-{uuid.uuid4().hex[:8]}", settings=settings) as made:
        process = await made.open_process(["sleep", "60"])
        assert made.pids() == [process.pid]
        directories = made.cgroup.directories
    assert await process.wait() == -9
    await process.aclose()
    assert not any(os.path.isdir(directory) for directory in directories)


async def test_a_missing_bus_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere")
    group = opened()
    with pytest.raises(UnsupportedFeature, match="/nowhere"):
        await group.acreate()
    assert existing(group) == []


@pytest.mark.covers("systemd on v2 and its user manager", where="guest")
async def test_a_container_has_a_scope_for_its_life(rootfs: Path) -> None:
    config = Config(rootfs=rootfs, memory="64MiB", cgroup={"mode": "systemd"})
    async with Container(config) as container:
        result = await container.run(["cat", "/proc/self/cgroup"], timeout=60)
        assert result.reason is ExitReason.EXITED
        assert container.isolation.cgroup == "v2"
        where = Path(container._processes.cgroup.paths["memory"])
        assert f"aiocontainer-{container.id}.scope" in where.parts
        assert (where / "memory.max").read_text() == f"{64 * 2**20}\n"
        assert container.processes() == [container.pid]
    assert not where.exists()
