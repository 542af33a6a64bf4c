"""The ``hugetlb`` controller: huge pages, by size. v1 and v2 differ in names only."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .conversions import or_word
from .files import parse_flat
from .meter import Folder, Texts
from .stats import HugetlbStats
from .writes import Reader, Write

if TYPE_CHECKING:
    from ..config import Resources

__all__ = (
    "V1",
    "V2",
    "Dialect",
    "folder",
    "limits",
    "limits_v1",
    "limits_v2",
    "page_sizes",
    "parse",
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """What the files are called after ``hugetlb.<size>.``."""

    usage: str
    limit: str
    unlimited: str
    failures: str
    peak: str | None = None


V1: Final = Dialect(
    "usage_in_bytes", "limit_in_bytes", "-1", "failcnt", "max_usage_in_bytes"
)
V2: Final = Dialect("current", "max", "max", "events")
"""v2 knows no peak, and ``events`` has the failures as ``max``."""
_START: Final = "hugetlb."


def page_sizes(directory: str, names: Dialect) -> list[str]:
    """The sizes that have files here, as the kernel writes them: ``2MB``, ``1GB``."""
    end = f".{names.usage}"
    found = (name for name in os.listdir(directory) if name.startswith(_START))
    sizes = (name[len(_START) : -len(end)] for name in found if name.endswith(end))
    return sorted(size for size in sizes if not size.endswith(".rsvd"))


def folder(directory: str, names: Dialect) -> Folder:
    """The files of a sample."""
    required, optional = [], []
    for size in page_sizes(directory, names):
        figures = (names.usage, names.failures, *filter(None, [names.peak]))
        required += [f"{_START}{size}.{figure}" for figure in figures]
        optional.append(f"{_START}{size}.rsvd.{names.usage}")
    return Folder(directory, tuple(required), tuple(optional))


def parse(texts: Texts, names: Dialect) -> dict[str, HugetlbStats]:
    """Page size -> its figures."""
    end = f".{names.usage}"
    return {
        size: _one(texts, f"{_START}{size}.", names)
        for name in texts
        if name.startswith(_START) and name.endswith(end)
        if not (size := name[len(_START) : -len(end)]).endswith(".rsvd")
    }


def _one(texts: Texts, start: str, names: Dialect) -> HugetlbStats:
    reserved = texts.get(f"{start}rsvd.{names.usage}")
    failures = texts[start + names.failures].decode()
    counted = failures.strip().isdecimal()
    return HugetlbStats(
        usage_bytes=int(texts[start + names.usage]),
        peak_bytes=None if names.peak is None else int(texts[start + names.peak]),
        failures=int(failures) if counted else parse_flat(failures).get("max", 0),
        reserved_bytes=None if reserved is None else int(reserved),
    )


def limits(resources: Resources, names: Dialect) -> list[Write]:
    """The writes that limit pages in use, and reservations where they are counted."""
    writes = []
    for one in resources.hugepage_limits:
        if one.limit_bytes is not None:
            start = f"{_START}{one.page_size}."
            value = or_word(one.limit_bytes, names.unlimited)
            writes.append(Write(start + names.limit, value))
            writes.append(Write(f"{start}rsvd.{names.limit}", value, optional=True))
    return writes


def limits_v1(resources: Resources, read: Reader) -> list[Write]:
    """`limits` for a v1 hierarchy."""
    return limits(resources, V1)


def limits_v2(resources: Resources, read: Reader) -> list[Write]:
    """`limits` for cgroup2."""
    return limits(resources, V2)
