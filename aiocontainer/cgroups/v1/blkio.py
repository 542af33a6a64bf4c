"""v1 ``blkio``: weights, throttles, and transfers by device."""

from __future__ import annotations

from ..files import read_optional
from ..stats import BlkioStats, IoEntry

__all__ = ("parse_entries", "stats", "transferred")


def stats(directory: str) -> BlkioStats:
    """Read the transfers: as BFQ counts them where it schedules, else as the throttle
    layer does, which sees every device."""
    serviced = _entries(directory, "bfq.io_serviced_recursive")
    if not serviced:
        return BlkioStats(
            service_bytes=_entries(directory, "throttle.io_service_bytes_recursive"),
            serviced=_entries(directory, "throttle.io_serviced_recursive"),
        )
    # All but the first two are there only with CONFIG_BFQ_CGROUP_DEBUG.
    return BlkioStats(
        service_bytes=_entries(directory, "bfq.io_service_bytes_recursive"),
        serviced=serviced,
        queued=_entries(directory, "bfq.io_queued_recursive"),
        service_time_ns=_entries(directory, "bfq.io_service_time_recursive"),
        wait_time_ns=_entries(directory, "bfq.io_wait_time_recursive"),
        merged=_entries(directory, "bfq.io_merged_recursive"),
        time_ms=_entries(directory, "bfq.time_recursive"),
        sectors=_entries(directory, "bfq.sectors_recursive"),
    )


def transferred(directory: str) -> tuple[int, int]:
    """Bytes read and written so far."""
    entries = _entries(directory, "bfq.io_service_bytes_recursive") or _entries(
        directory, "throttle.io_service_bytes_recursive"
    )
    stats = BlkioStats(service_bytes=entries)
    return stats.bytes_of("Read"), stats.bytes_of("Write")


def _entries(directory: str, file: str) -> tuple[IoEntry, ...]:
    text = read_optional(f"{directory}/blkio.{file}")
    return () if text is None else parse_entries(text)


def parse_entries(text: str) -> tuple[IoEntry, ...]:
    """Read lines of ``major:minor [operation] value``; the last, ``Total value``, sums
    up and is left out."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if ":" not in words[0] or len(words) < 2:
            continue
        major, _, minor = words[0].partition(":")
        op = words[1] if len(words) == 3 else ""
        found.append(IoEntry(int(major), int(minor), op, int(words[-1])))
    return tuple(found)
