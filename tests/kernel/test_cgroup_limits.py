"""Limits that hold, figures that are true."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiocontainer.cgroups import Cgroup
from aiocontainer.config import DeviceRule, Resources
from aiocontainer.errors import CgroupError
from tests.support.cgroups import (
    LAYOUT,
    MIB,
    group_for_test,
    python,
    run_inside,
    running,
)

pytestmark = [pytest.mark.anyio, pytest.mark.needs("root")]


def has(controller: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        controller not in LAYOUT.controllers, reason=f"no controller {controller}"
    )


needs_memory, needs_pids, needs_cpu = has("memory"), has("pids"), has("cpu")
V2 = LAYOUT.mode == "v2"


@pytest.fixture
def group() -> Iterator[Cgroup]:
    with group_for_test() as made:
        yield made


def limit(group: Cgroup, **fields: Any) -> None:
    group.apply(Resources(**{"devices": (), **fields}))


HOG = "b = bytearray(64 << 20); print('survived')"


@needs_memory
@pytest.mark.covers("cgroup v1", "linux.resources.memory.limit")
def test_memory_beyond_the_limit_kills_and_every_kill_is_counted(group: Cgroup) -> None:
    limit(group, memory={"limit_bytes": "32MiB", "swap_bytes": 0})
    for kills in range(1, 4):
        assert run_inside(group, *python(HOG)) == (-9, "")
        assert group.oom_kills() == kills
    usage = group.usage()
    assert usage.oom_kills == 3
    assert usage.memory_peak_bytes is not None
    assert 30 * MIB < usage.memory_peak_bytes <= 32 * MIB


@needs_memory
async def test_a_kill_in_a_child_is_counted_in_it_and_above(group: Cgroup) -> None:
    child = group.child("run")
    child.create()
    limit(group, memory={"limit_bytes": "32MiB", "swap_bytes": 0})
    assert run_inside(child, *python(HOG)) == (-9, "")
    assert (child.oom_kills(), group.oom_kills()) == (1, 1)
    assert run_inside(group, *python(HOG)) == (-9, "")
    assert (child.oom_kills(), group.oom_kills()) == (1, 2)
    await child.remove()
    assert group.oom_kills() == group.usage().oom_kills == 2
    memory = group.stats().memory
    assert memory is not None
    assert memory.oom_kills == 2


@needs_memory
def test_a_kill_by_hand_is_not_one_for_want_of_memory(group: Cgroup) -> None:
    limit(group, memory={"limit_bytes": "32MiB"})
    with running(group) as process:
        process.kill()
        assert process.wait() == -9
    assert group.oom_kills() == 0


@needs_pids
def test_processes_beyond_the_limit_are_refused(group: Cgroup) -> None:
    limit(group, pids_limit=3)
    code = """
import os
made = []
try:
    for _ in range(10):
        pid = os.fork()
        if pid == 0:
            __import__("time").sleep(60)
        made.append(pid)
except BlockingIOError:
    print(len(made))
for pid in made:
    os.kill(pid, 9)
    os.waitpid(pid, 0)
"""
    assert run_inside(group, *python(code)) == (0, "2\n")
    pids = group.stats().pids
    assert pids is not None
    assert (pids.limit, pids.peak) == (3, 3)
    if V2 or os.path.exists(f"{group.paths['pids']}/pids.events"):
        assert pids.failures >= 1


BUSY = """
import time
end = time.process_time() + 0.2
while time.process_time() < end:
    pass
print(time.process_time())
"""


@needs_cpu
def test_cpu_time_beyond_the_quota_is_withheld_and_counted(group: Cgroup) -> None:
    limit(group, cpu={"quota_us": 10_000, "period_us": 50_000})
    status, output = run_inside(group, *python(BUSY))
    usage = group.usage()
    assert status == 0
    assert usage.throttled_periods
    assert usage.throttled_periods >= 5
    assert usage.throttled_s
    assert usage.cpu_s is not None
    assert usage.cpu_s >= float(output) * 0.9


@needs_cpu
def test_cpu_time_is_the_sum_of_its_parts(group: Cgroup) -> None:
    run_inside(group, *python(BUSY))
    usage, cpu = group.usage(), group.stats().cpu
    assert cpu is not None
    assert usage.cpu_s is not None
    assert usage.cpu_user_s is not None
    assert usage.cpu_system_s is not None
    assert abs(usage.cpu_user_s + usage.cpu_system_s - usage.cpu_s) < 1e-5
    assert usage.cpu_s == cpu.total_ns / 1e9
    assert usage.cpu_s > 0.1


@has("cpuset")
def test_only_the_cpus_given_are_used(group: Cgroup) -> None:
    limit(group, cpu={"cpus": "0", "mems": "0"})
    code = "import os; print(os.sched_getaffinity(0))"
    assert run_inside(group, *python(code)) == (0, "{0}\n")
    cpuset = group.stats().cpuset
    assert cpuset is not None
    assert (cpuset.cpus, cpuset.mems) == ((0,), (0,))


OPEN = """
import sys
for path in sys.argv[1:]:
    try:
        open(path, "rb", 0).read(1)
        print("yes")
    except PermissionError:
        print("no")
"""


@pytest.mark.covers("device rules on v1")
def test_only_the_devices_allowed_can_be_opened(group: Cgroup) -> None:
    if group.version == 1 and "devices" not in group.paths:
        pytest.skip("no controller devices")
    null = os.stat("/dev/null")
    assert stat.S_ISCHR(null.st_mode)
    allowed = DeviceRule(allow=True, type="c", major=1, minor=3, access="rw")
    limit(group, devices=(DeviceRule(allow=False), allowed))
    devices = ("/dev/null", "/dev/zero", "/dev/full")
    status, output = run_inside(group, *python(OPEN), *devices)
    assert (status, output.split()) == (0, ["yes", "no", "no"])
    zero = DeviceRule(allow=True, type="c", major=1, minor=5, access="r")
    group.update(Resources(devices=(DeviceRule(allow=False), zero)))
    status, output = run_inside(group, *python(OPEN), *devices)
    assert (status, output.split()) == (0, ["no", "yes", "no"])


def test_an_update_that_says_nothing_of_devices_leaves_them_alone(
    group: Cgroup,
) -> None:
    if group.version == 1 and "devices" not in group.paths:
        pytest.skip("no controller devices")
    zero = DeviceRule(allow=True, type="c", major=1, minor=5, access="r")
    limit(group, devices=(DeviceRule(allow=False), zero))
    group.update(Resources(pids_limit=50))
    status, output = run_inside(group, *python(OPEN), "/dev/null", "/dev/zero")
    assert (status, output.split()) == (0, ["no", "yes"])


def memory_limit(group: Cgroup) -> int | None:
    memory = group.stats().memory
    assert memory is not None
    return memory.usage.limit_bytes


@needs_memory
@pytest.mark.covers("live update")
def test_a_limit_of_a_running_group_can_go_up_and_down(group: Cgroup) -> None:
    limit(group, memory={"limit_bytes": "64MiB", "swap_bytes": 0})
    with running(group):
        for size in (128, 32, 256):
            wanted = {"limit_bytes": size * MIB, "swap_bytes": 0}
            group.update(Resources(memory=wanted))
            assert memory_limit(group) == size * MIB
        group.update(Resources(memory={"limit_bytes": "unlimited"}))
        assert memory_limit(group) is None


@needs_memory
@pytest.mark.covers(
    "no limit below what is in use",
    "linux.resources.memory.checkBeforeUpdate",
)
def test_a_limit_that_would_kill_is_refused_and_the_old_ones_stay(
    group: Cgroup,
) -> None:
    limit(group, pids_limit=20, memory={"limit_bytes": "96MiB", "swap_bytes": 0})
    code = "b = bytearray(48 << 20); print('ready', flush=True); input()"
    with running(group, *python(code)) as process:
        lower = Resources(pids_limit=10, memory={"limit_bytes": "16MiB"})
        with pytest.raises(CgroupError):
            group.update(lower)
        assert process.poll() is None
        assert memory_limit(group) == 96 * MIB
        pids = group.stats().pids
        assert pids is not None
        assert pids.limit == 20


@pytest.mark.skipif(not V2, reason="v1 never kills for a new limit")
@needs_memory
def test_a_limit_that_kills_can_be_asked_for(group: Cgroup) -> None:
    code = "b = bytearray(48 << 20); print('ready', flush=True); input()"
    with running(group, *python(code)) as process:
        lower = {"limit_bytes": "16MiB", "swap_bytes": 0}
        group.update(Resources(memory=lower), may_kill=True)
        assert process.wait(20) == -9
    assert group.oom_kills() == 1


@needs_cpu
@needs_pids
def test_values_written_before_a_refused_one_are_put_back(group: Cgroup) -> None:
    limit(group, pids_limit=20, cpu={"quota_us": 50_000, "period_us": 100_000})
    before = group.stats()
    nowhere = {"major": 4095, "minor": 0, "bytes_per_s": MIB}
    wanted = Resources(
        pids_limit=7,
        cpu={"quota_us": 10_000, "period_us": 20_000},
        block_io={"throttle_read_bps": [nowhere]},
    )
    with pytest.raises(CgroupError) as caught:
        group.update(wanted)
    assert not getattr(caught.value, "__notes__", [])
    after = group.stats()
    assert after.pids == before.pids
    file = "cpu.max" if V2 else "cpu.cfs_quota_us"
    with open(f"{group.paths['cpu']}/{file}") as text:
        assert text.read().split()[0] == "50000"


@pytest.fixture
def _root_passes_on_what_it_did() -> Iterator[None]:
    """Controllers that a test had enabled in the root are not left so."""
    assert LAYOUT.v2 is not None
    control = Path(LAYOUT.v2.mount, "cgroup.subtree_control")
    before = set(control.read_text().split())
    yield
    for controller in set(control.read_text().split()) - before:
        with contextlib.suppress(OSError):  # another program may use it by now
            control.write_text("-" + controller)


@pytest.mark.usefixtures("_root_passes_on_what_it_did")
@has("hugetlb")
@pytest.mark.skipif(V2, reason="systemd may keep it to itself; not a hybrid machine")
@pytest.mark.covers("huge pages", "linux.resources.hugepageLimits")
def test_huge_pages_are_limited_on_either_side_of_a_hybrid_machine(
    group: Cgroup,
) -> None:
    limit(group, hugepage_limits=[{"page_size": "2MB", "limit_bytes": "4MiB"}])
    name = "limit_in_bytes" if "hugetlb" in LAYOUT.v1 else "max"
    with open(f"{group.paths['hugetlb']}/hugetlb.2MB.{name}") as file:
        assert int(file.read()) == 4 * MIB
    assert group.stats().hugetlb["2MB"].usage_bytes == 0
    group.update(
        Resources(hugepage_limits=[{"page_size": "2MB", "limit_bytes": "unlimited"}])
    )
    with open(f"{group.paths['hugetlb']}/hugetlb.2MB.{name}") as file:
        assert not file.read().startswith(str(4 * MIB))


@pytest.mark.usefixtures("_root_passes_on_what_it_did")
@pytest.mark.needs("cgroup-v2-hugetlb")
@pytest.mark.skipif(V2, reason="systemd may keep it to itself; not a hybrid machine")
@pytest.mark.covers("raw cgroup2 values", "linux.resources.unified")
def test_raw_values_reach_the_cgroup2_half_and_can_be_changed(group: Cgroup) -> None:
    limit(group, unified={"hugetlb.2MB.max": f"{4 * MIB}", "cgroup.max.depth": "5"})
    assert group.unified is not None
    file = Path(group.unified, "hugetlb.2MB.max")
    assert file.read_text() == f"{4 * MIB}\n"
    assert Path(group.unified, "cgroup.max.depth").read_text() == "5\n"
    group.update(Resources(unified={"hugetlb.2MB.max": "max"}))
    assert not file.read_text().startswith(f"{4 * MIB}")
    with pytest.raises(CgroupError, match=r"unified\[pids\.max\]"):
        group.update(Resources(unified={"pids.max": "5"}))


def test_a_value_that_the_kernel_refuses_is_named(group: Cgroup) -> None:
    nowhere = {"major": 4095, "minor": 0, "bytes_per_s": MIB}
    with pytest.raises(CgroupError, match="4095:0") as caught:
        limit(group, block_io={"throttle_read_bps": [nowhere]})
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.covers("statistics")
async def test_figures_of_a_busy_group_are_all_there(group: Cgroup) -> None:
    code = "b = bytearray(8 << 20)\n" + BUSY.replace("0.2", "0.05") + "input()"
    with running(group, *python(code)):
        found = group.stats()
        assert found.cpu is not None
        assert found.memory is not None
        assert found.pids is not None
        assert found.cpu.total_ns >= 40_000_000
        assert found.memory.usage.usage_bytes > 8 * MIB
        assert found.memory.raw
        assert found.pids.current == 1
        if group.version == 1:
            assert sum(found.cpu.per_cpu_ns) == found.cpu.total_ns
        assert found.to_dict()["pids"]["current"] == 1
