"""v2 ``hugetlb``: huge pages, by size."""

from __future__ import annotations

import os

from ..files import parse_flat, read, read_number
from ..stats import HugetlbStats

__all__ = ("page_sizes", "stats")


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
