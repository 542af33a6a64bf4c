"""Scheduling, clocks and execution domain of an OCI document, both ways."""

from collections.abc import Mapping
from typing import Any

from ..document import Node

__all__ = (
    "read_domain",
    "read_scheduling",
    "read_time_offsets",
    "write_domain",
    "write_scheduling",
    "write_time_offsets",
)

# Name in OCI -> field of ours.
_SCHEDULER = {
    "policy": "policy",
    "nice": "nice",
    "priority": "priority",
    "flags": "flags",
    "runtime": "runtime_ns",
    "deadline": "deadline_ns",
    "period": "period_ns",
}
_CLOCKS = ("monotonic", "boottime")


def read_scheduling(process: Node) -> dict[str, Any]:
    """Keywords of `ProcessSettings` from ``process``."""
    fields: dict[str, Any] = {}
    if (node := process.node("scheduler")) is not None:
        node.only(*_SCHEDULER)
        node.need("policy")
        node.words("flags")
        fields["scheduler"] = {
            ours: node.raw(name) for name, ours in _SCHEDULER.items() if name in node
        }
    if (node := process.node("ioPriority")) is not None:
        node.only("class", "priority")
        level = node.number("priority", 0, 7) or 0
        fields["io_priority"] = {"io_class": node.need("class"), "level": level}
    if (node := process.node("execCPUAffinity")) is not None:
        node.only("initial", "final")
        fields["exec_cpu_affinity"] = {
            name: "".join(cpus.split())
            for name in ("initial", "final")
            if (cpus := node.word(name)) is not None
        }
    return fields


def write_scheduling(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of ``process`` that mean the same."""
    process: dict[str, Any] = {}
    if (scheduler := config["scheduler"]) is not None:
        found = {name: scheduler[ours] for name, ours in _SCHEDULER.items()}
        process["scheduler"] = {
            name: list(value) if name == "flags" else value
            for name, value in found.items()
            if value not in (0, ())
        }
    if (priority := config["io_priority"]) is not None:
        process["ioPriority"] = {
            "class": priority["io_class"],
            "priority": priority["level"],
        }
    if (affinity := config["exec_cpu_affinity"]) is not None:
        process["execCPUAffinity"] = {k: v for k, v in affinity.items() if v}
    return process


def read_domain(linux: Node) -> dict[str, Any]:
    """Keywords of `ProcessSettings` from ``linux``."""
    fields: dict[str, Any] = {}
    if (node := linux.node("memoryPolicy")) is not None:
        node.only("mode", "nodes", "flags")
        fields["memory_policy"] = {
            "mode": node.need("mode"),
            "nodes": node.word("nodes"),
            "flags": tuple(node.words("flags")),
        }
    if (node := linux.node("personality")) is not None:
        node.only("domain", "flags")
        fields["personality"] = {
            "domain": node.need("domain"),
            "flags": tuple(node.words("flags")),
        }
    return fields


def write_domain(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of ``linux`` that mean the same."""
    linux: dict[str, Any] = {}
    if (policy := config["memory_policy"]) is not None:
        linux["memoryPolicy"] = {
            "mode": policy["mode"],
            "nodes": policy["nodes"] or "",
            "flags": list(policy["flags"]),
        }
    if (personality := config["personality"]) is not None:
        linux["personality"] = {
            "domain": personality["domain"],
            "flags": list(personality["flags"]),
        }
    return linux


def read_time_offsets(linux: Node, name: str = "timeOffsets") -> dict[str, Any]:
    """Keywords of `TimeOffsets`."""
    node = linux.part(name)
    fields = {}
    for clock in node:
        offset = node.node(clock)
        if offset is None:
            continue
        if clock not in _CLOCKS:
            raise node.wrong(f"{clock:.40}", "no such clock: monotonic or boottime")
        offset.only("secs", "nanosecs")
        fields[clock] = {
            "secs": offset.number("secs") or 0,
            "nanosecs": offset.number("nanosecs", 0, 999_999_999) or 0,
        }
    return fields


def write_time_offsets(offsets: Mapping[str, Any]) -> dict[str, Any]:
    """The ``linux.timeOffsets`` that mean the same."""
    return {
        clock: dict(offset) for clock, offset in offsets.items() if offset is not None
    }
