"""v1 ``blkio``: weights, throttles, and transfers by device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..conversions import or_word
from ..files import read_optional
from ..stats import BlkioStats, IoEntry, Pressure
from ..writes import Reader, Write, undo_keyed

if TYPE_CHECKING:
    from ...config import Resources

__all__ = ("limits", "parse_entries", "stats", "transferred")


def stats(directory: str, pressure: Pressure | None = None) -> BlkioStats:
    """Read the transfers: as BFQ counts them where it schedules, else as the throttle
    layer does, which sees every device."""
    serviced = _entries(directory, "bfq.io_serviced_recursive")
    if not serviced:
        return BlkioStats(
            service_bytes=_entries(directory, "throttle.io_service_bytes_recursive"),
            serviced=_entries(directory, "throttle.io_serviced_recursive"),
            pressure=pressure,
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
        pressure=pressure,
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


def limits(resources: Resources, read: Reader) -> list[Write]:
    """The writes that set weights and throttles."""
    io = resources.block_io
    writes = []
    if io.weight is not None or io.weight_devices:
        # Each scheduler has its own file: CFQ's, gone in kernel 5.0, has the old name.
        prefix = "blkio." if read("blkio.weight") is not None else "blkio.bfq."
        if io.weight is not None:
            writes.append(Write(prefix + "weight", str(io.weight)))
        for device in io.weight_devices:
            if device.weight is not None:
                file = prefix + "weight_device"
                key = f"{device.major}:{device.minor}"
                undo = undo_keyed(key, "default")
                writes.append(Write(file, f"{key} {device.weight}", undo))
    if io.leaf_weight is not None:
        writes.append(Write("blkio.leaf_weight", str(io.leaf_weight), optional=True))
    return writes + _throttles(resources)


def _throttles(resources: Resources) -> list[Write]:
    io = resources.block_io
    rates: list[tuple[str, int, int, int | str | None]] = []
    for name, by_bytes in (
        ("read_bps", io.throttle_read_bps),
        ("write_bps", io.throttle_write_bps),
    ):
        rates += [(name, r.major, r.minor, r.bytes_per_s) for r in by_bytes]
    for name, by_count in (
        ("read_iops", io.throttle_read_iops),
        ("write_iops", io.throttle_write_iops),
    ):
        rates += [(name, r.major, r.minor, r.operations_per_s) for r in by_count]
    writes = []
    for name, major, minor, rate in rates:
        if rate is not None:
            device = f"{major}:{minor}"
            value = f"{device} {or_word(rate, '0')}"
            undo = undo_keyed(device, "0")
            writes.append(Write(f"blkio.throttle.{name}_device", value, undo))
    return writes
