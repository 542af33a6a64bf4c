"""The ``rdma`` and ``misc`` controllers, whose files are the same on v1 and v2."""

from __future__ import annotations

from .files import parse_flat, parse_nested, read_optional
from .stats import RdmaStats

__all__ = ("misc_stats", "rdma_stats")


def rdma_stats(directory: str) -> dict[str, RdmaStats]:
    """Device -> its figures."""
    used = parse_nested(read_optional(directory + "/rdma.current") or "")
    limits = parse_nested(read_optional(directory + "/rdma.max") or "")
    return {name: _one(used[name], limits.get(name, {})) for name in used}


def _one(used: dict[str, str], limits: dict[str, str]) -> RdmaStats:
    def limit(key: str) -> int | None:
        word = limits.get(key, "max")
        return None if word == "max" else int(word)

    return RdmaStats(
        hca_handles=int(used.get("hca_handle", 0)),
        hca_objects=int(used.get("hca_object", 0)),
        hca_handles_limit=limit("hca_handle"),
        hca_objects_limit=limit("hca_object"),
    )


def misc_stats(directory: str) -> dict[str, int]:
    """Resource -> how much is in use."""
    return parse_flat(read_optional(directory + "/misc.current") or "")
