"""Figures read from files that real kernels wrote."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from aiocontainer.cgroups.meter import Folder, Meter, Part, Texts
from aiocontainer.cgroups.stats import CgroupStats, MemoryCounter
from aiocontainer.cgroups.v1 import controllers as v1
from aiocontainer.cgroups.v1 import memory
from aiocontainer.cgroups.v2 import controllers as v2

DATA = Path(__file__).parent.parent / "data"
MIB = 1024 * 1024


def v1_paths() -> dict[str, str]:
    """Controller -> the captured files of a busy cgroup."""
    names = ("blkio", "cpu", "cpuacct", "cpuset", "memory", "pids")
    return {name: str(DATA / "cgroup_v1" / name / "busy") for name in names}


class Captured:
    """A cgroup whose files were captured."""

    limits_set = 0

    def __init__(
        self, parts: Mapping[str, Part], paths: Mapping[str, str] | None = None
    ) -> None:
        self._parts = parts
        self._paths = paths or {}

    def parts(self) -> Mapping[str, Part]:
        return self._parts

    def settled(self, texts: Texts) -> set[str]:
        return memory.settled(texts)

    def other_kills(self) -> int:
        return 0

    def follow_up(self, texts: Texts) -> list[Folder]:
        return v1.follow_up(self._paths, texts)


def v1_captured(unified: str | None = None) -> Captured:
    return Captured(v1.parts(v1_paths(), unified), v1_paths())


def v1_stats() -> CgroupStats:
    captured = v1_captured(str(DATA / "cgroup_v2/hybrid/busy"))
    return CgroupStats.of(Meter(1, captured).read())


def v2_stats(machine: str) -> CgroupStats:
    folder = DATA / "cgroup_v2" / machine / "busy"
    controllers = (folder / "cgroup.controllers").read_text().split()
    captured = Captured(v2.parts(str(folder), controllers))
    return CgroupStats.of(Meter(2, captured).read())


def text(path: str) -> str:
    return (DATA / path).read_text()


def test_v1_cpu_time_is_exact_and_its_parts_add_up() -> None:
    cpu = v1_stats().cpu
    assert cpu is not None
    assert cpu.total_ns == int(text("cgroup_v1/cpuacct/busy/cpuacct.usage"))
    assert cpu.user_ns + cpu.system_ns == cpu.total_ns == sum(cpu.per_cpu_ns)


def test_v1_throttling_is_read() -> None:
    cpu = v1_stats().cpu
    assert cpu is not None
    lines = dict(
        line.split() for line in text("cgroup_v1/cpu/busy/cpu.stat").split("\n")[:3]
    )
    assert (cpu.periods, cpu.throttled_periods, cpu.throttled_ns) == tuple(
        int(lines[key]) for key in ("nr_periods", "nr_throttled", "throttled_time")
    )


def test_v1_memory_counts_usage_peak_limit_and_kills() -> None:
    memory = v1_stats().memory
    assert memory is not None
    assert memory.usage.limit_bytes == memory.usage.peak_bytes == 32 * MIB
    assert memory.oom_kills == 1
    assert memory.raw["total_cache"] >= 0
    assert set(memory.numa["total"]) == {0}


def test_pressure_of_a_hybrid_machine_comes_from_the_cgroup2_twin() -> None:
    found = v1_stats()
    assert found.cpu is not None
    assert found.memory is not None
    assert found.blkio is not None
    for part in (found.cpu, found.memory, found.blkio):
        assert part.pressure is not None


def test_without_a_cgroup2_twin_there_is_no_pressure() -> None:
    found = CgroupStats.of(Meter(1, v1_captured()).read())
    assert found.cpu is not None
    assert found.cpu.pressure is None


def test_v1_transfers_come_from_the_throttle_layer_where_bfq_sees_nothing() -> None:
    blkio = v1_stats().blkio
    assert blkio is not None
    first = text("cgroup_v1/blkio/busy/blkio.throttle.io_service_bytes_recursive")
    assert blkio.bytes_of("Read") == int(first.split("\n")[0].split()[2])


@pytest.mark.parametrize("machine", ["pure", "systemd"])
def test_v2_figures_are_read(machine: str) -> None:
    found = v2_stats(machine)
    assert found.version == 2
    assert found.cpu is not None
    assert found.memory is not None
    assert found.pids is not None
    assert found.cpuset is not None
    assert found.cpu.total_ns > 0
    assert found.cpu.throttled_periods
    assert found.cpu.pressure is not None
    assert found.memory.oom_kills == found.memory.events["oom_kill"] == 1
    assert found.memory.usage.peak_bytes is not None
    assert found.memory.cache_bytes == found.memory.raw["file"]
    assert found.pids.limit == 8
    assert found.cpuset.cpus


def test_v2_huge_pages_have_their_sizes_and_no_reservation_among_them() -> None:
    assert sorted(v2_stats("pure").hugetlb) == ["1GB", "2MB"]


def test_v2_memory_and_swap_together_have_no_known_peak() -> None:
    memory = v2_stats("systemd").memory
    assert memory is not None
    assert memory.swap is not None
    assert memory.memory_swap is not None
    assert memory.memory_swap.usage_bytes == (
        memory.usage.usage_bytes + memory.swap.usage_bytes
    )
    assert memory.memory_swap.limit_bytes == (32 + 4) * MIB
    assert memory.memory_swap.peak_bytes is None


def test_usage_of_a_run_is_the_same_as_the_figures_of_a_sample() -> None:
    for usage, sample in (
        (v1.read_usage(v1_paths()), v1_stats()),
        (
            v2.read_usage(
                str(DATA / "cgroup_v2/systemd/busy"), {"memory", "io", "pids", "cpu"}
            ),
            v2_stats("systemd"),
        ),
    ):
        assert sample.cpu is not None
        assert sample.memory is not None
        assert sample.pids is not None
        assert sample.blkio is not None
        assert usage.cpu_s == sample.cpu.total_ns / 1e9
        assert usage.memory_peak_bytes == sample.memory.usage.peak_bytes
        assert usage.oom_kills == sample.memory.oom_kills
        assert usage.pids_peak == sample.pids.peak
        assert usage.io_read_bytes == sample.blkio.bytes_of("Read")
        assert usage.throttled_periods == sample.cpu.throttled_periods


def test_figures_of_missing_controllers_are_none() -> None:
    usage = v1.read_usage({"pids": v1_paths()["pids"]})
    assert usage.pids_peak == 8
    assert usage.cpu_s is usage.memory_peak_bytes is usage.oom_kills is None


@pytest.mark.parametrize(
    ("version", "number"), [(1, 9223372036854771712), (2, 18446744073709551615)]
)
def test_no_limit_is_written_as_runc_writes_it(version: int, number: int) -> None:
    assert MemoryCounter().to_dict(version)["limit"] == number


def test_a_sample_has_the_fields_of_runc_events() -> None:
    for sample in (v1_stats(), v2_stats("systemd"), CgroupStats(version=1)):
        found = sample.to_dict()
        assert list(found) == [
            *("cpu", "cpuset", "memory", "pids", "blkio", "hugetlb"),
            *("intel_rdt", "network_interfaces"),
        ]
        assert {"kernel", "user"} <= set(found["cpu"]["usage"])
        assert set(found["memory"]) >= {"usage", "swap", "kernel", "kernelTCP"}
        assert {"limit", "failcnt"} <= set(found["memory"]["usage"])
        assert set(found["cpuset"]) >= {"cpu_exclusive", "sched_load_balance"}


def names_in(value: object, above: str = "") -> set[str]:
    """Every name in nested mappings, with those above it; lists by their items."""
    if isinstance(value, list):
        return set().union(*(names_in(item, above + "[]") for item in value))
    if not isinstance(value, dict):
        return {above}
    return set().union(*(names_in(v, f"{above}.{k}") for k, v in value.items()))


def test_what_runc_prints_on_v1_is_there_under_the_same_names() -> None:
    """The file is what runc 1.1 printed for a sleeping container on such a machine."""
    runc = json.loads(text("runc/events_stats_v1.json"))["data"]
    for part in ("raw", "psi"):  # not the same on all kernels
        runc["memory"].pop(part, None)
    assert names_in(runc) <= names_in(v1_stats().to_dict())


def test_to_dict_keeps_the_values() -> None:
    found = v1_stats().to_dict()
    assert found["pids"] == {"current": v1_stats().pids.current, "limit": 8}  # type: ignore[union-attr]
    assert found["memory"]["usage"]["limit"] == 32 * MIB
    assert found["cpu"]["throttling"]["periods"] == 141
    assert found["cpu"]["psi"]["some"]["total"] >= 0
    entry = found["blkio"]["ioServiceBytesRecursive"][0]
    assert entry["major"] == 254
    assert entry["op"] == "Read"
