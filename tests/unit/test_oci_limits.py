"""Limits of an OCI document, as they reach the files of controllers that few have."""

from pathlib import Path
from typing import Any

import pytest

from aiocontainer.cgroups.v1 import controllers as v1
from aiocontainer.cgroups.v2 import controllers as v2
from aiocontainer.config.bundle import read_resources
from aiocontainer.errors import UnsupportedFeature

NAMES = ("memory", "cpu", "cpuset", "blkio", "hugetlb", "net_cls", "net_prio", "rdma")
DISK = {"major": 8, "minor": 0}
WEIGHT = {**DISK, "weight": 300, "leafWeight": 400}

LIMITS = [
    pytest.param(
        {"blockIO": {"weight": 200, "leafWeight": 300, "weightDevice": [WEIGHT]}},
        {
            "blkio.weight": "200",
            "blkio.leaf_weight": "300",
            "blkio.weight_device": "8:0 300",
            "blkio.leaf_weight_device": "8:0 400",
        },
        marks=pytest.mark.covers(
            "linux.resources.blockIO.weight",
            "linux.resources.blockIO.leafWeight",
            "linux.resources.blockIO.weightDevice",
            where="fake",
        ),
    ),
    pytest.param(
        {"blockIO": {"throttleReadBpsDevice": [{**DISK, "rate": 600}]}},
        {"blkio.throttle.read_bps_device": "8:0 600"},
        marks=pytest.mark.covers(
            "linux.resources.blockIO.throttleReadBpsDevice", where="fake"
        ),
    ),
    pytest.param(
        {"blockIO": {"throttleWriteBpsDevice": [{**DISK, "rate": 600}]}},
        {"blkio.throttle.write_bps_device": "8:0 600"},
        marks=pytest.mark.covers(
            "linux.resources.blockIO.throttleWriteBpsDevice", where="fake"
        ),
    ),
    pytest.param(
        {"blockIO": {"throttleReadIOPSDevice": [{**DISK, "rate": 60}]}},
        {"blkio.throttle.read_iops_device": "8:0 60"},
        marks=pytest.mark.covers(
            "linux.resources.blockIO.throttleReadIOPSDevice", where="fake"
        ),
    ),
    pytest.param(
        {"blockIO": {"throttleWriteIOPSDevice": [{**DISK, "rate": 0}]}},
        {"blkio.throttle.write_iops_device": "8:0 0"},
        marks=pytest.mark.covers(
            "linux.resources.blockIO.throttleWriteIOPSDevice", where="fake"
        ),
    ),
    pytest.param(
        {"network": {"classID": 1_048_577}},
        {"net_cls.classid": "1048577"},
        marks=pytest.mark.covers(
            "linux.resources.network.classID", "net_cls and net_prio", where="fake"
        ),
    ),
    pytest.param(
        {"network": {"priorities": [{"name": "eth0", "priority": 5}]}},
        {"net_prio.ifpriomap": "eth0 5"},
        marks=pytest.mark.covers(
            "linux.resources.network.priorities", "net_cls and net_prio", where="fake"
        ),
    ),
    pytest.param(
        {"rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10_000}}},
        {"rdma.max": "mlx5_1 hca_handle=3 hca_object=10000"},
        marks=pytest.mark.covers("linux.resources.rdma", "rdma limits", where="fake"),
    ),
    pytest.param(
        {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 << 20}]},
        {"hugetlb.2MB.limit_in_bytes": str(4 << 20)},
        marks=pytest.mark.covers(
            "linux.resources.hugepageLimits", "huge pages", where="fake"
        ),
    ),
    pytest.param(
        {"memory": {"kernel": 8 << 20}},
        {"memory.kmem.limit_in_bytes": str(8 << 20)},
        marks=pytest.mark.covers(
            "linux.resources.memory.kernel", "kernel memory limit", where="fake"
        ),
    ),
    pytest.param(
        {"cpu": {"realtimeRuntime": 5000, "realtimePeriod": 10_000}},
        {"cpu.rt_period_us": "10000", "cpu.rt_runtime_us": "5000"},
        marks=pytest.mark.covers(
            "linux.resources.cpu.realtimeRuntime",
            "linux.resources.cpu.realtimePeriod",
            where="fake",
        ),
    ),
]


@pytest.mark.parametrize(("document", "files"), LIMITS)
def test_limits_of_a_document_reach_the_files_of_v1(
    document: dict[str, Any], files: dict[str, str], tmp_path: Path
) -> None:
    resources, warnings = read_resources(document)
    assert warnings == ()
    for name in files:
        (tmp_path / name).write_text("0\n")
    pending = v1.pending_writes(
        dict.fromkeys(NAMES, str(tmp_path)), resources, is_new=True
    )
    written = {w.file: w.value for writes in pending.values() for w in writes}
    assert {name: written.get(name) for name in files} == files


def test_packets_are_marked_on_v1_only() -> None:
    resources, _ = read_resources({"network": {"classID": 1}})
    with pytest.raises(UnsupportedFeature):
        v2.pending_writes("/nowhere", (), resources)


@pytest.mark.covers("linux.resources.memory.useHierarchy")
def test_hierarchy_is_what_happens_and_nothing_is_written_for_it() -> None:
    resources, _ = read_resources({"memory": {"useHierarchy": True}})
    assert resources.memory.model_fields_set == set()
