"""v1 ``blkio``: weights, throttles, and transfers by device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..conversions import or_word
from ..files import read_optional
from ..meter import Texts
from ..pressure import pressure_in
from ..stats import BlkioStats, IoEntry
from ..writes import Reader, Write, undo_keyed

if TYPE_CHECKING:
    from ...config import Resources

__all__ = (
    "BFQ_FILES",
    "OPTIONAL_FILES",
    "has_bfq",
    "limits",
    "parse",
    "parse_entries",
    "settled",
    "transferred",
)


_PROBE: Final = "blkio.bfq.io_serviced_recursive"
OPTIONAL_FILES: Final = (
    _PROBE,
    "blkio.throttle.io_service_bytes_recursive",
    "blkio.throttle.io_serviced_recursive",
)
BFQ_FILES: Final = tuple(
    f"blkio.bfq.{name}_recursive"
    for name in (
        *("io_service_bytes", "io_queued", "io_service_time", "io_wait_time"),
        *("io_merged", "time", "sectors"),
    )
)
"""Read where BFQ schedules; all but the first are there only with
CONFIG_BFQ_CGROUP_DEBUG."""


def has_bfq(texts: Texts) -> bool:
    """Whether BFQ has scheduled any transfer."""
    return bool(_in(texts, _PROBE))


def settled(texts: Texts) -> set[str]:
    """Names of files that needn't be read each time: a scheduler seldom changes, and
    the throttle layer goes on to count in any case."""
    return set() if has_bfq(texts) else {_PROBE}


def parse(texts: Texts) -> BlkioStats:
    """The transfers: as BFQ counts them where it schedules, else as the throttle layer
    does, which sees every device."""
    stall = pressure_in(texts, "io")
    if not has_bfq(texts) or BFQ_FILES[0] not in texts:
        transfers, requests = (_in(texts, name) for name in OPTIONAL_FILES[1:])
        return BlkioStats(transfers, requests, pressure=stall)
    transfers, queued, service, wait, merged, time, sectors = (
        _in(texts, name) for name in BFQ_FILES
    )
    return BlkioStats(
        service_bytes=transfers,
        serviced=_in(texts, _PROBE),
        queued=queued,
        service_time_ns=service,
        wait_time_ns=wait,
        merged=merged,
        time_ms=time,
        sectors=sectors,
        pressure=stall,
    )


def _in(texts: Texts, name: str) -> tuple[IoEntry, ...]:
    text = texts.get(name)
    return () if text is None else parse_entries(text.decode())


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
            if device.leaf_weight is not None:  # CFQ's alone
                value = f"{device.major}:{device.minor} {device.leaf_weight}"
                file = "blkio.leaf_weight_device"
                writes.append(Write(file, value, undo=None, optional=True))
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
