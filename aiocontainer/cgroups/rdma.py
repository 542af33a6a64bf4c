"""The ``rdma`` and ``misc`` controllers, whose files are the same on v1 and v2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .conversions import or_word
from .files import parse_flat, parse_nested, read_optional
from .stats import RdmaStats
from .writes import Reader, Write, undo_keyed

if TYPE_CHECKING:
    from ..config import Resources

__all__ = ("misc_limits", "misc_stats", "rdma_limits", "rdma_stats")


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


def rdma_limits(resources: Resources, read: Reader) -> list[Write]:
    """One write for each device."""
    writes = []
    for device, limit in resources.rdma.items():
        pairs = [
            f"{key}={or_word(value, 'max')}"
            for key, value in (
                ("hca_handle", limit.hca_handles),
                ("hca_object", limit.hca_objects),
            )
            if value is not None
        ]
        if pairs:
            undo = undo_keyed(device, "hca_handle=max hca_object=max")
            writes.append(Write("rdma.max", " ".join((device, *pairs)), undo))
    return writes


def misc_limits(resources: Resources, read: Reader) -> list[Write]:
    """One write for each resource."""
    return [
        Write("misc.max", f"{name} {or_word(limit, 'max')}", undo_keyed(name, "max"))
        for name, limit in resources.misc.items()
        if limit is not None
    ]
