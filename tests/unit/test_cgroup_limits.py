"""Limits as writes: what is written, in which order, and how to go back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiocontainer.cgroups import hugetlb, pids
from aiocontainer.cgroups.conversions import (
    io_weight,
    shares_from_weight,
    weight_from_shares,
)
from aiocontainer.cgroups.v1 import blkio, cpu, memory
from aiocontainer.cgroups.v1 import controllers as v1
from aiocontainer.cgroups.v2 import controllers as v2
from aiocontainer.cgroups.v2 import cpu as cpu_v2
from aiocontainer.cgroups.v2 import io as io_v2
from aiocontainer.cgroups.v2 import memory as memory_v2
from aiocontainer.cgroups.writes import Write, perform, perform_or_restore, undo_keyed
from aiocontainer.config import Resources
from aiocontainer.errors import CgroupError, ControllerMissing, UnsupportedFeature

MIB = 1024 * 1024


def resources(**fields: Any) -> Resources:
    return Resources(**fields)


def texts(limits: Any, wanted: Resources, **files: str) -> list[str]:
    """The writes as ``file value``, in a cgroup with ``files`` (``__`` for ``.``)."""
    present = {name.replace("__", "."): text for name, text in files.items()}
    return [f"{w.file} {w.value}" for w in limits(wanted, present.get)]


@pytest.mark.parametrize(
    ("shares", "weight"),
    [(2, 1), (1024, 100), (262144, 10000), (512, 59), (2048, 174), (100, 17)],
)
def test_shares_become_weights_as_runc_converts_them(shares: int, weight: int) -> None:
    assert weight_from_shares(shares) == weight


@given(st.integers(2, 262_144))
def test_weights_stay_in_range_and_in_order(shares: int) -> None:
    weight = weight_from_shares(shares)
    assert 1 <= weight <= 10_000
    assert weight_from_shares(min(262_144, shares * 2)) >= weight


@given(st.integers(1, 10_000))
def test_weights_become_shares_and_come_back(weight: int) -> None:
    shares = shares_from_weight(weight)
    assert 2 <= shares <= 262_144
    assert abs(weight_from_shares(shares) - weight) <= max(2, weight // 50)


@pytest.mark.parametrize(("weight", "converted"), [(10, 1), (500, 4950), (1000, 10000)])
def test_io_weights_are_stretched(weight: int, converted: int) -> None:
    assert io_weight(weight) == converted


def test_nothing_asked_for_is_nothing_written() -> None:
    empty = resources(devices=())
    assert v1.pending_writes({}, empty, is_new=True) == {}
    assert v2.pending_writes("/nowhere", (), empty) == {"/nowhere": []}


UNLIMITED = "9223372036854771712"


@pytest.mark.parametrize(
    ("fields", "limit", "together", "writes"),
    [
        pytest.param(
            {"limit_bytes": "64MiB", "swap_bytes": "16MiB"},
            UNLIMITED,
            UNLIMITED,
            ["memory.limit_in_bytes 67108864", "memory.memsw.limit_in_bytes 83886080"],
            id="lowering: memory first",
        ),
        pytest.param(
            {"limit_bytes": "64MiB", "swap_bytes": 0},
            "33554432",
            "33554432",
            ["memory.memsw.limit_in_bytes 67108864", "memory.limit_in_bytes 67108864"],
            id="raising: both together first",
        ),
        pytest.param(
            {"limit_bytes": "unlimited"},
            "33554432",
            "33554432",
            ["memory.memsw.limit_in_bytes -1", "memory.limit_in_bytes -1"],
            id="no limit means none of swap either",
        ),
        pytest.param(
            {"limit_bytes": "unlimited"},
            "33554432",
            UNLIMITED,
            ["memory.limit_in_bytes -1"],
            id="swap that is not limited is left alone",
        ),
        pytest.param(
            {"swap_bytes": "1MiB"},
            "33554432",
            UNLIMITED,
            ["memory.memsw.limit_in_bytes 34603008"],
            id="swap alone is added to the present limit",
        ),
        pytest.param(
            {"limit_bytes": "64MiB"},
            UNLIMITED,
            UNLIMITED,
            ["memory.limit_in_bytes 67108864"],
            id="memory alone",
        ),
    ],
)
def test_v1_memory_and_swap_are_written_in_the_order_the_kernel_takes(
    fields: dict[str, Any], limit: str, together: str, writes: list[str]
) -> None:
    assert (
        texts(
            memory.limits,
            resources(memory=fields),
            memory__limit_in_bytes=limit,
            memory__memsw__limit_in_bytes=together,
        )
        == writes
    )


def test_kernel_memory_is_limited_before_anything_else() -> None:
    wanted = resources(memory={"kernel_bytes": MIB, "limit_bytes": "2MiB"})
    assert texts(memory.limits, wanted)[0] == f"memory.kmem.limit_in_bytes {MIB}"


@pytest.mark.parametrize(
    "fields",
    [
        {"high_bytes": MIB},
        {"low_bytes": MIB},
        {"min_bytes": MIB},
        {"zswap_bytes": MIB},
        {"oom_group": True},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_v1_refuses_memory_limits_that_it_lacks(fields: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedFeature):
        texts(memory.limits, resources(memory=fields))


@pytest.mark.parametrize(
    ("fields", "files", "writes"),
    [
        pytest.param(
            {"quota_us": 50_000, "burst_us": 20_000},
            {"cpu__cfs_burst_us": "0"},
            ["cpu.cfs_quota_us 50000", "cpu.cfs_burst_us 20000"],
            id="burst is raised after the quota",
        ),
        pytest.param(
            {"quota_us": 10_000, "burst_us": 5_000},
            {"cpu__cfs_burst_us": "20000"},
            ["cpu.cfs_burst_us 5000", "cpu.cfs_quota_us 10000"],
            id="burst is lowered before the quota",
        ),
        pytest.param(
            {"quota_us": 20_000, "period_us": 200_000},
            {"cpu__cfs_quota_us": "50000", "cpu__cfs_period_us": "100000"},
            ["cpu.cfs_quota_us 20000", "cpu.cfs_period_us 200000"],
            id="smaller quota first",
        ),
        pytest.param(
            {"quota_us": 90_000, "period_us": 200_000},
            {"cpu__cfs_quota_us": "10000", "cpu__cfs_period_us": "100000"},
            ["cpu.cfs_period_us 200000", "cpu.cfs_quota_us 90000"],
            id="longer period first",
        ),
        pytest.param(
            {"period_us": 50_000}, {}, ["cpu.cfs_period_us 50000"], id="period alone"
        ),
        pytest.param(
            {"quota_us": "unlimited"}, {}, ["cpu.cfs_quota_us -1"], id="no quota"
        ),
        pytest.param({"weight": 100}, {}, ["cpu.shares 1024"], id="weight is shares"),
        pytest.param(
            {"idle": True, "shares": 512},
            {},
            ["cpu.shares 512", "cpu.idle 1"],
            id="shares before idle",
        ),
        pytest.param(
            {"idle": False, "shares": 512},
            {},
            ["cpu.idle 0", "cpu.shares 512"],
            id="shares after idle",
        ),
    ],
)
def test_v1_cpu_limits_are_written_in_the_order_the_kernel_takes(
    fields: dict[str, Any], files: dict[str, str], writes: list[str]
) -> None:
    assert texts(cpu.limits, resources(cpu=fields), **files) == writes


@pytest.mark.parametrize(
    ("fields", "files", "writes"),
    [
        ({"quota_us": 50_000}, {"cpu__max": "max 20000"}, ["cpu.max 50000 20000"]),
        ({"period_us": 50_000}, {"cpu__max": "7000 20000"}, ["cpu.max 7000 50000"]),
        ({"quota_us": "unlimited"}, {}, ["cpu.max max 100000"]),
        ({"shares": 1024}, {}, ["cpu.weight 100"]),
        (
            {"quota_us": 10_000, "burst_us": 5_000},
            {"cpu__max__burst": "9000"},
            ["cpu.max.burst 5000", "cpu.max 10000 100000"],
        ),
    ],
)
def test_v2_cpu_limits_keep_what_was_not_asked_for(
    fields: dict[str, Any], files: dict[str, str], writes: list[str]
) -> None:
    assert texts(cpu_v2.limits, resources(cpu=fields), **files) == writes


def test_v2_memory_limits_have_their_files() -> None:
    wanted = resources(
        memory={
            "limit_bytes": "4MiB",
            "high_bytes": "3MiB",
            "reservation_bytes": "2MiB",
            "min_bytes": "1MiB",
            "swap_bytes": 0,
            "oom_group": True,
            "swappiness": 10,
        }
    )
    assert texts(memory_v2.limits, wanted) == [
        f"memory.min {MIB}",
        f"memory.low {2 * MIB}",
        f"memory.high {3 * MIB}",
        "memory.swap.max 0",
        f"memory.max {4 * MIB}",
        "memory.oom.group 1",
    ]


def test_v2_cannot_disable_the_oom_killer_and_says_so() -> None:
    with pytest.raises(UnsupportedFeature):
        texts(memory_v2.limits, resources(memory={"oom_kill_disable": True}))
    assert texts(memory_v2.limits, resources(memory={"oom_kill_disable": False})) == []


def test_pids_are_a_number_or_max() -> None:
    assert texts(pids.limits, resources(pids_limit=7)) == ["pids.max 7"]
    assert texts(pids.limits, resources(pids_limit="unlimited")) == ["pids.max max"]


BLOCK_IO = {
    "weight": 200,
    "weight_devices": [{"major": 8, "minor": 0, "weight": 500}],
    "throttle_read_bps": [{"major": 8, "minor": 0, "bytes_per_s": "1MiB"}],
    "throttle_write_iops": [{"major": 8, "minor": 0, "operations_per_s": "unlimited"}],
}


@pytest.mark.parametrize(
    ("files", "prefix"),
    [({}, "blkio.bfq."), ({"blkio__weight": "500"}, "blkio.")],
    ids=["bfq", "cfq"],
)
def test_v1_weights_go_to_the_scheduler_that_is_there(
    files: dict[str, str], prefix: str
) -> None:
    assert texts(blkio.limits, resources(block_io=BLOCK_IO), **files) == [
        f"{prefix}weight 200",
        f"{prefix}weight_device 8:0 500",
        f"blkio.throttle.read_bps_device 8:0 {MIB}",
        "blkio.throttle.write_iops_device 8:0 0",
    ]


@pytest.mark.parametrize(
    ("files", "weights"),
    [
        ({}, ["io.weight default 1920", "io.weight 8:0 4950"]),
        (
            {"io__bfq__weight": "default 100"},
            ["io.bfq.weight default 200", "io.bfq.weight 8:0 500"],
        ),
    ],
    ids=["io.cost", "bfq"],
)
def test_v2_weights_are_converted_unless_bfq_takes_them(
    files: dict[str, str], weights: list[str]
) -> None:
    assert texts(io_v2.limits, resources(block_io=BLOCK_IO), **files) == [
        *weights,
        f"io.max 8:0 rbps={MIB}",
        "io.max 8:0 wiops=max",
    ]


def test_reservations_of_huge_pages_may_be_missing_and_the_limit_may_not() -> None:
    wanted = resources(hugepage_limits=[{"page_size": "2MB", "limit_bytes": "4MiB"}])
    writes = hugetlb.limits_v1(wanted, {}.get)
    assert [(w.file, w.optional) for w in writes] == [
        ("hugetlb.2MB.limit_in_bytes", False),
        ("hugetlb.2MB.rsvd.limit_in_bytes", True),
    ]


@pytest.mark.parametrize(
    ("fields", "controller"),
    [
        ({"memory": {"limit_bytes": MIB}}, "memory"),
        ({"cpu": {"quota_us": 5000}}, "cpu"),
        ({"cpu": {"cpus": "0"}}, "cpuset"),
        ({"pids_limit": 5}, "pids"),
        ({"rdma": {"mlx5_0": {"hca_handles": 3}}}, "rdma"),
        ({"misc": {"sev": 3}}, "misc"),
        ({"hugepage_limits": [{"page_size": "2MB", "limit_bytes": MIB}]}, "hugetlb"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_limit_whose_controller_is_missing_is_refused(
    fields: dict[str, Any], controller: str
) -> None:
    with pytest.raises(ControllerMissing) as caught:
        v1.pending_writes({}, resources(**fields), is_new=True)
    assert caught.value.controller == controller
    with pytest.raises(ControllerMissing) as caught:
        v2.pending_writes("/nowhere", (), resources(**fields))
    assert caught.value.controller == controller


def test_raw_v2_values_are_written_last_and_not_on_v1() -> None:
    wanted = resources(pids_limit=5, unified={"pids.max": "6", "memory.high": "7"})
    writes = v2.pending_writes("/x", ("pids", "memory"), wanted)["/x"]
    assert [f"{w.file} {w.value}" for w in writes] == [
        "pids.max 5",
        "pids.max 6",
        "memory.high 7",
    ]
    with pytest.raises(UnsupportedFeature):
        v1.pending_writes({"pids": "/x"}, wanted, is_new=True)


def test_raw_values_of_a_hybrid_machine_go_to_its_cgroup2_half() -> None:
    wanted = resources(
        unified={"hugetlb.2MB.max": "7", "cgroup.max.depth": "3", "misc.max": "a 1"}
    )
    paths = {"pids": "/x", "hugetlb": "/twin", "misc": "/twin"}
    assert v1.wanted_of_twin({"pids": "/x"}, wanted) == ["hugetlb", "misc"]
    pending = v1.pending_writes(paths, wanted, is_new=True, unified="/twin")
    assert [f"{w.file} {w.value}" for w in pending["/twin"]] == [
        "hugetlb.2MB.max 7",
        "cgroup.max.depth 3",
        "misc.max a 1",
    ]


def test_a_raw_value_whose_controller_is_on_v1_is_named() -> None:
    wanted = resources(unified={"pids.max": "7"})
    with pytest.raises(ControllerMissing, match=r"unified\[pids\.max\]") as caught:
        v1.pending_writes({"pids": "/x"}, wanted, is_new=True, unified="/twin")
    assert caught.value.controller == "pids"


def test_marks_for_packets_are_refused_on_v2() -> None:
    with pytest.raises(UnsupportedFeature):
        v2.pending_writes("/x", (), resources(network={"class_id": 1}))


@pytest.mark.parametrize(
    ("old", "back"),
    [
        pytest.param("8:0 1048576\n8:16 5\n", "8:0 1048576", id="its line"),
        pytest.param("8:16 5\n", "8:0 0", id="no line"),
        pytest.param("8:0\n", "8:0 0", id="an empty line"),
        pytest.param("18:0 7\n", "8:0 0", id="another device's line"),
    ],
)
def test_going_back_in_a_file_of_lines_is_the_old_line(old: str, back: str) -> None:
    assert undo_keyed("8:0", "0")(old) == back


def fake(tmp_path: Path, **files: str) -> str:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return str(tmp_path)


def test_writes_happen_in_order_up_to_the_first_refusal(tmp_path: Path) -> None:
    directory = fake(tmp_path, a="", c="")
    with pytest.raises(CgroupError, match=r"refused '2'.*No such file"):
        perform({directory: [Write("a", "1"), Write("b", "2"), Write("c", "3")]})
    assert (tmp_path / "a").read_text() == "1"
    assert (tmp_path / "c").read_text() == ""


def test_a_missing_optional_file_is_passed_over(tmp_path: Path) -> None:
    directory = fake(tmp_path, c="")
    perform({directory: [Write("b", "2", optional=True), Write("c", "3")]})
    assert (tmp_path / "c").read_text() == "3"


def test_a_refused_update_leaves_the_old_values_in_place(tmp_path: Path) -> None:
    directory = fake(tmp_path, a="1", b="2")
    writes = [Write("a", "5"), Write("b", "6"), Write("missing", "7")]
    with pytest.raises(CgroupError, match="missing"):
        perform_or_restore({directory: writes})
    assert (tmp_path / "a").read_text() == "1"
    assert (tmp_path / "b").read_text() == "2"


def test_a_value_that_cannot_be_put_back_is_told(tmp_path: Path) -> None:
    directory = fake(tmp_path, a="1")
    writes = [Write("a", "5", inverse=("gone", "x")), Write("missing", "7")]
    with pytest.raises(CgroupError) as caught:
        perform_or_restore({directory: writes})
    assert "could not put back" in caught.value.__notes__[0]
