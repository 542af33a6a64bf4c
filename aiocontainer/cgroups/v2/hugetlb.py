"""v2 ``hugetlb``: huge pages, by size."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..conversions import or_word
from ..files import parse_flat, read, read_number
from ..stats import HugetlbStats
from ..writes import Reader, Write

if TYPE_CHECKING:
    from ...config import Resources

__all__ = ("limits", "page_sizes", "stats")


def page_sizes(directory: str) -> list[str]:
    """The sizes that have files here, as the kernel writes them: ``2MB``, ``1GB``."""
    start, end = "hugetlb.", ".current"
    names = (n for n in os.listdir(directory) if n.startswith(start))
    sizes = (n[len(start) : -len(end)] for n in names if n.endswith(end))
    return sorted(size for size in sizes if not size.endswith(".rsvd"))


def stats(directory: str) -> dict[str, HugetlbStats]:
    """Page size -> its figures. v2 knows no peak."""
    return {
        size: _one(f"{directory}/hugetlb.{size}.") for size in page_sizes(directory)
    }


def _one(start: str) -> HugetlbStats:
    return HugetlbStats(
        usage_bytes=int(read(start + "current")),
        peak_bytes=None,
        failures=parse_flat(read(start + "events")).get("max", 0),
        reserved_bytes=read_number(start + "rsvd.current"),
    )


def limits(resources: Resources, read: Reader) -> list[Write]:
    """The writes that limit pages in use, and reservations where they are counted."""
    writes = []
    for one in resources.hugepage_limits:
        if one.limit_bytes is not None:
            start, value = f"hugetlb.{one.page_size}.", or_word(one.limit_bytes, "max")
            writes.append(Write(start + "max", value))
            writes.append(Write(start + "rsvd.max", value, optional=True))
    return writes
