"""v1 ``hugetlb``: huge pages, by size."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..conversions import or_word
from ..files import read, read_optional
from ..stats import HugetlbStats
from ..writes import Reader, Write

if TYPE_CHECKING:
    from ...config import Resources

__all__ = ("limits", "page_sizes", "stats")


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


def limits(resources: Resources, read: Reader) -> list[Write]:
    """The writes that limit pages in use, and reservations where they are counted."""
    writes = []
    for one in resources.hugepage_limits:
        if one.limit_bytes is not None:
            start, value = f"hugetlb.{one.page_size}.", or_word(one.limit_bytes, "-1")
            writes.append(Write(start + "limit_in_bytes", value))
            writes.append(Write(start + "rsvd.limit_in_bytes", value, optional=True))
    return writes
