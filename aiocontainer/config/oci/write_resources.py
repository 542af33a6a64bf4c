"""From our resources to those of an OCI document."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from aiocontainer.errors import UnsupportedFeature

__all__ = ("write_resources",)

_U64_MAX: Final = 2**64 - 1
_U32_MAX: Final = 2**32 - 1

# Our field -> file of cgroup v2, for what OCI has no field of its own.
_UNIFIED: Final = {
    "high_bytes": "memory.high",
    "low_bytes": "memory.low",
    "min_bytes": "memory.min",
    "zswap_bytes": "memory.zswap.max",
}


def write_resources(
    resources: Mapping[str, Any], devices: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The ``linux.resources`` that mean the same; each of ``devices`` may be used.

    Raises:
        UnsupportedFeature: OCI has no word for something.
    """
    if resources["misc"]:
        raise UnsupportedFeature("resources.misc", "has no place in an OCI document")
    memory, unified = _memory(resources["memory"])
    block_io = _block_io(resources["block_io"])
    document = {
        "devices": list(_device_rules(resources["devices"], devices)),
        "memory": memory,
        "cpu": _cpu(resources["cpu"]),
        "pids": _said({"limit": _signed(resources["pids_limit"])}),
        "blockIO": block_io,
        "hugepageLimits": [
            {"pageSize": limit["page_size"], "limit": _most(limit["limit_bytes"])}
            for limit in resources["hugepage_limits"]
            if limit["limit_bytes"] is not None
        ],
        "network": _network(resources["network"]),
        "rdma": dict(_rdma(resources["rdma"])),
        "unified": {**unified, **resources["unified"]},
    }
    return {name: value for name, value in document.items() if value}


def _said(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _signed(limit: int | str | None) -> int | None:
    return -1 if isinstance(limit, str) else limit


def _most(limit: int | str, most: int = _U64_MAX) -> int:
    return most if isinstance(limit, str) else limit


def _memory(memory: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The object, and what goes into files by name."""
    limit, swap = memory["limit_bytes"], memory["swap_bytes"]
    files = {file: memory[field] for field, file in _UNIFIED.items()}
    both = _signed(swap)
    if isinstance(swap, int):
        if isinstance(limit, int):
            both = min(limit + swap, 2**63 - 1)
        else:  # together they can't be said, and v1 couldn't do it
            both, files["memory.swap.max"] = None, swap
    if memory["oom_group"] is not None:
        files["memory.oom.group"] = int(memory["oom_group"])
    document = {
        "limit": _signed(limit),
        "reservation": _signed(memory["reservation_bytes"]),
        "swap": both,
        "kernel": _signed(memory["kernel_bytes"]),
        "kernelTCP": _signed(memory["kernel_tcp_bytes"]),
        "swappiness": memory["swappiness"],
        "disableOOMKiller": memory["oom_kill_disable"],
        "checkBeforeUpdate": memory["check_before_update"] or None,
    }
    unified = {
        name: "max" if value == "unlimited" else str(value)
        for name, value in files.items()
        if value is not None
    }
    return _said(document), unified


def _cpu(cpu: Mapping[str, Any]) -> dict[str, Any]:
    if cpu["weight"] is not None:
        raise UnsupportedFeature("resources.cpu.weight", "OCI knows shares only")
    idle = cpu["idle"]
    return _said(
        {
            "shares": cpu["shares"],
            "quota": _signed(cpu["quota_us"]),
            "burst": cpu["burst_us"],
            "period": cpu["period_us"],
            "realtimeRuntime": cpu["realtime_runtime_us"],
            "realtimePeriod": cpu["realtime_period_us"],
            "cpus": cpu["cpus"],
            "mems": cpu["mems"],
            "idle": None if idle is None else int(idle),
        }
    )


def _block_io(block_io: Mapping[str, Any]) -> dict[str, Any]:
    weights = [
        _said({**_number(entry), "weight": entry["weight"], "leafWeight": leaf})
        for entry in block_io["weight_devices"]
        if (leaf := entry["leaf_weight"]) is not None or entry["weight"] is not None
    ]
    document = {
        "weight": block_io["weight"],
        "leafWeight": block_io["leaf_weight"],
        "weightDevice": weights or None,
    }
    for field, name, value in (
        ("throttle_read_bps", "throttleReadBpsDevice", "bytes_per_s"),
        ("throttle_write_bps", "throttleWriteBpsDevice", "bytes_per_s"),
        ("throttle_read_iops", "throttleReadIOPSDevice", "operations_per_s"),
        ("throttle_write_iops", "throttleWriteIOPSDevice", "operations_per_s"),
    ):
        rates = [
            {**_number(entry), "rate": _most(entry[value], 0)}
            for entry in block_io[field]
            if entry[value] is not None
        ]
        document[name] = rates or None
    return _said(document)


def _number(entry: Mapping[str, Any]) -> dict[str, int]:
    return {"major": entry["major"], "minor": entry["minor"]}


def _network(network: Mapping[str, Any]) -> dict[str, Any]:
    priorities = [
        {"name": name, "priority": priority}
        for name, priority in network["priorities"].items()
    ]
    return _said({"classID": network["class_id"], "priorities": priorities or None})


def _rdma(rdma: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, int]]]:
    for name, limit in rdma.items():
        said = {
            "hcaHandles": limit["hca_handles"],
            "hcaObjects": limit["hca_objects"],
        }
        if numbers := {k: _most(v, _U32_MAX) for k, v in _said(said).items()}:
            yield name, numbers


def _device_rules(
    rules: Sequence[Mapping[str, Any]], devices: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    for rule in rules:
        yield _said(rule)
    for device in devices:
        if device["type"] != "p":
            kind = "b" if device["type"] == "b" else "c"
            yield {"allow": True, "type": kind, **_number(device), "access": "rwm"}
