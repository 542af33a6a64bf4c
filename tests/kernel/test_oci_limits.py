"""Limits of OCI documents, in the files of the kernel."""

import os
from pathlib import Path
from typing import Any

import pytest

from aiocontainer import Container
from aiocontainer.config.bundle import Bundle
from tests.support.capabilities import needs
from tests.support.cgroups import LAYOUT
from tests.support.oci_documents import document, said

pytestmark = [pytest.mark.anyio, needs("root", "mount-namespace", "pid-namespace")]

V2 = LAYOUT.mode == "v2"


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {}


# file on v1, file on v2 (None: refused there), and what is in them
LIMITS = [
    pytest.param(
        *("memory", {"limit": 64 << 20}),
        *("memory.limit_in_bytes", "memory.max", str(64 << 20), str(64 << 20)),
        marks=pytest.mark.covers("linux.resources.memory.limit"),
    ),
    pytest.param(
        *("memory", {"limit": 64 << 20, "reservation": 32 << 20}),
        *("memory.soft_limit_in_bytes", "memory.low", str(32 << 20), str(32 << 20)),
        marks=pytest.mark.covers("linux.resources.memory.reservation"),
    ),
    pytest.param(
        *("memory", {"limit": 64 << 20, "swap": 96 << 20}),
        *("memory.memsw.limit_in_bytes", "memory.swap.max"),
        *(str(96 << 20), str(32 << 20)),
        marks=pytest.mark.covers("linux.resources.memory.swap"),
    ),
    pytest.param(
        *("memory", {"swappiness": 7}, "memory.swappiness", None, "7", None),
        marks=pytest.mark.covers("linux.resources.memory.swappiness"),
    ),
    pytest.param(
        *("memory", {"kernelTCP": 8 << 20}, "memory.kmem.tcp.limit_in_bytes"),
        *(None, str(8 << 20), None),
        marks=pytest.mark.covers("linux.resources.memory.kernelTCP"),
    ),
    pytest.param(
        *("memory", {"disableOOMKiller": True}, "memory.oom_control", None),
        *("oom_kill_disable 1", None),
        marks=pytest.mark.covers("linux.resources.memory.disableOOMKiller"),
    ),
    pytest.param(
        *("cpu", {"shares": 512}, "cpu.shares", "cpu.weight", "512", "59"),
        marks=pytest.mark.covers("linux.resources.cpu.shares"),
    ),
    pytest.param(
        *("cpu", {"quota": 50_000, "period": 200_000}, "cpu.cfs_quota_us", "cpu.max"),
        *("50000", "50000 200000"),
        marks=pytest.mark.covers("linux.resources.cpu.quota"),
    ),
    pytest.param(
        *("cpu", {"quota": 50_000, "period": 200_000}, "cpu.cfs_period_us", "cpu.max"),
        *("200000", "50000 200000"),
        marks=pytest.mark.covers("linux.resources.cpu.period"),
    ),
    pytest.param(
        *("cpu", {"quota": 50_000, "burst": 9000}, "cpu.cfs_burst_us", "cpu.max.burst"),
        *("9000", "9000"),
        marks=pytest.mark.covers("linux.resources.cpu.burst", "CPU burst and idle"),
    ),
    pytest.param(
        *("cpu", {"idle": 1}, "cpu.idle", "cpu.idle", "1", "1"),
        marks=pytest.mark.covers("linux.resources.cpu.idle"),
    ),
    pytest.param(
        *("cpu", {"cpus": "0"}, "cpuset.cpus", "cpuset.cpus", "0", "0"),
        marks=pytest.mark.covers("linux.resources.cpu.cpus"),
    ),
    pytest.param(
        *("cpu", {"cpus": "0", "mems": "0"}, "cpuset.mems", "cpuset.mems", "0", "0"),
        marks=pytest.mark.covers("linux.resources.cpu.mems"),
    ),
    pytest.param(
        *("pids", {"limit": 23}, "pids.max", "pids.max", "23", "23"),
        marks=pytest.mark.covers("linux.resources.pids.limit", "pids"),
    ),
]


@pytest.mark.parametrize(("controller", "value", "v1", "v2", "text1", "text2"), LIMITS)
async def test_a_limit_is_in_the_file_of_its_controller(
    rootfs: Path,
    controller: str,
    value: dict[str, Any],
    v1: str,
    v2: str | None,
    text1: str,
    text2: str | None,
) -> None:
    file, wanted = (v2, text2) if V2 else (v1, text1)
    if file is None:
        pytest.skip("cgroup v2 has no such limit")
    room = file.partition(".")[0]
    if room not in LAYOUT.controllers:
        pytest.skip(f"no controller {room}")
    whole = document(rootfs, "sleep 60")
    whole["linux"]["resources"][controller] = value
    bundle = Bundle.read(whole)
    assert bundle.process is not None
    async with Container(bundle.config) as container:
        process = await container.start(bundle.process.args)
        folder = cgroup_of(process.pid, room)
        if not os.path.exists(f"{folder}/{file}"):
            folder = os.path.dirname(folder)
        if not os.path.exists(f"{folder}/{file}"):
            pytest.skip(f"this kernel has no {file}")
        assert wanted in Path(folder, file).read_text()


def cgroup_of(pid: int, controller: str) -> str:
    """The container's own directory: that of the process, or the one above it, which
    holds the limits."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(",") or (V2 and names == ""):
            hierarchy = LAYOUT.v2 if V2 else LAYOUT.v1[controller]
            assert hierarchy is not None
            folder = hierarchy.directory(path)
            return os.path.dirname(folder) if path.endswith("/main") else folder
    raise AssertionError(f"no cgroup of {controller}")


@pytest.mark.covers("linux.cgroupsPath", "CLONE_INTO_CGROUP")
async def test_the_cgroup_is_where_the_document_says(rootfs: Path) -> None:
    name = f"aiocontainer-test-oci-{os.getpid()}"
    whole = document(rootfs, "sleep 60")
    whole["linux"]["cgroupsPath"] = f"/{name}"
    bundle = Bundle.read(whole)
    assert bundle.process is not None
    async with Container(bundle.config) as container:
        process = await container.start(bundle.process.args)
        text = Path(f"/proc/{process.pid}/cgroup").read_text()
    assert f":/{name}" in text
    if LAYOUT.v2 is not None:  # nothing is written there: it was born in it
        assert f"0::/{name}" in text


@pytest.mark.covers("linux.resources.devices.allow", "linux.resources.devices.type")
@pytest.mark.covers("linux.resources.devices.major", "linux.resources.devices.minor")
@pytest.mark.covers("linux.resources.devices.access")
async def test_devices_may_be_used_as_the_rules_say(rootfs: Path) -> None:
    command = (
        "cat /dev/kmsg0 >/dev/null 2>&1 || echo no read;"
        " (: >/dev/kmsg0) 2>/dev/null && echo write; : >/dev/null && echo null"
    )
    whole = document(rootfs, command)
    # The kernel's log: a device that isn't among those which every container has.
    whole["linux"]["devices"] = [
        {"path": "/dev/kmsg0", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}
    ]
    whole["linux"]["resources"]["devices"] = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "w"},
    ]
    assert await said(whole) == "no read\nwrite\nnull"
