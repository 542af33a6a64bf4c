"""v1 ``hugetlb``: huge pages, by size."""

from __future__ import annotations

import os

from ..files import read, read_optional
from ..stats import HugetlbStats

__all__ = ("page_sizes", "stats")


def page_sizes(directory: str) -> list[str]:
    """The sizes that have files here, as the kernel writes them: ``2MB``, ``1GB``."""
    start, end = "hugetlb.", ".limit_in_bytes"
    names = (n for n in os.listdir(directory) if n.startswith(start))
    sizes = (n[len(start) : -len(end)] for n in names if n.endswith(end))
    return sorted(size for size in sizes if not size.endswith(".rsvd"))


def stats(directory: str) -> dict[str, HugetlbStats]:
    """Page size -> its figures."""
    return {
        size: _one(f"{directory}/hugetlb.{size}.") for size in page_sizes(directory)
    }


def _one(start: str) -> HugetlbStats:
    reserved = read_optional(start + "rsvd.usage_in_bytes")
    return HugetlbStats(
        usage_bytes=int(read(start + "usage_in_bytes")),
        peak_bytes=int(read(start + "max_usage_in_bytes")),
        failures=int(read(start + "failcnt")),
        reserved_bytes=None if reserved is None else int(reserved),
    )
