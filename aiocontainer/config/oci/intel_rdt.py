"""``linux.intelRdt`` of an OCI document, both ways."""

from collections.abc import Mapping
from typing import Any

from ..document import Node

__all__ = ("read_intel_rdt", "write_intel_rdt")


def read_intel_rdt(node: Node | None) -> dict[str, Any] | None:
    """Keywords of `IntelRdt`; ``None`` if the document says nothing of it."""
    if node is None:
        return None
    node.only(
        *("closID", "schemata", "l3CacheSchema", "memBwSchema", "enableMonitoring"),
        *("enableCMT", "enableMBM"),
    )
    fields: dict[str, Any] = {"enable_monitoring": False}
    for name in ("enableMonitoring", "enableCMT", "enableMBM"):
        # The older two each asked for half of it.
        fields["enable_monitoring"] |= node.flag(name) or False
    if (clos_id := node.word("closID")) is not None:
        fields["clos_id"] = clos_id
    schemata = node.words("schemata")
    # Lines for the bandwidth in here are to be left out.
    lines = (node.word("l3CacheSchema") or "").splitlines()
    lines = [line for line in lines if line and not line.startswith("MB:")]
    if lines:
        fields["l3_cache_schema"] = lines[0]
        schemata += lines[1:]
    if (bandwidth := node.word("memBwSchema")) is not None:
        fields["mem_bw_schema"] = bandwidth
    return {**fields, "schemata": tuple(schemata)}


def write_intel_rdt(rdt: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The ``linux.intelRdt`` that means the same."""
    if rdt is None:
        return None
    document = {
        "closID": rdt["clos_id"],
        "schemata": list(rdt["schemata"]) or None,
        "l3CacheSchema": rdt["l3_cache_schema"],
        "memBwSchema": rdt["mem_bw_schema"],
        "enableMonitoring": rdt["enable_monitoring"] or None,
    }
    return {name: value for name, value in document.items() if value is not None}
