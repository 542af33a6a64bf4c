"""v2 ``io``: weights, throttles, and transfers by device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..conversions import io_weight, or_word
from ..files import read_optional
from ..meter import Texts
from ..pressure import pressure_in
from ..stats import BlkioStats, IoEntry
from ..writes import Reader, Write, undo_keyed

if TYPE_CHECKING:
    from ...config import Resources

__all__ = ("limits", "parse", "parse_io_stat", "transferred")

_BYTES: Final = {"rbytes": "Read", "wbytes": "Write", "dbytes": "Discard"}
_REQUESTS: Final = {"rios": "Read", "wios": "Write", "dios": "Discard"}


def parse(texts: Texts) -> BlkioStats:
    """``io.stat``, with operations named as on v1."""
    transfers, requests = parse_io_stat(texts.get("io.stat", b"").decode())
    return BlkioStats(transfers, requests, pressure=pressure_in(texts, "io"))


def transferred(directory: str) -> tuple[int, int]:
    """Bytes read and written so far."""
    text = read_optional(directory + "/io.stat") or ""
    found = BlkioStats(parse_io_stat(text)[0])
    return found.bytes_of("Read"), found.bytes_of("Write")


def parse_io_stat(text: str) -> tuple[tuple[IoEntry, ...], tuple[IoEntry, ...]]:
    """Read lines of ``major:minor key=value ...`` as bytes and requests.

    Devices without transfers have a line without values; some kernels forget its end,
    so the last number pair before the values is the device.
    """
    transfers, requests = [], []
    for line in text.splitlines():
        device = (0, 0)
        for word in line.split():
            key, is_value, value = word.partition("=")
            if not is_value:
                major, _, minor = word.partition(":")
                device = (int(major), int(minor))
            elif key in _BYTES:
                transfers.append(IoEntry(*device, _BYTES[key], int(value)))
            elif key in _REQUESTS:
                requests.append(IoEntry(*device, _REQUESTS[key], int(value)))
    return tuple(transfers), tuple(requests)


def limits(resources: Resources, read: Reader) -> list[Write]:
    """The writes that set weights and throttles."""
    io = resources.block_io
    writes = []
    if io.weight is not None or io.weight_devices:
        # BFQ has its own file, with the v1 scale; else it is io.cost that weighs.
        has_bfq = read("io.bfq.weight") is not None
        file = "io.bfq.weight" if has_bfq else "io.weight"
        weights = [("default", io.weight)]
        weights += [(f"{d.major}:{d.minor}", d.weight) for d in io.weight_devices]
        for key, weight in weights:
            if weight is not None:
                value = weight if has_bfq else io_weight(weight)
                undo = undo_keyed(key, "100" if key == "default" else "default")
                writes.append(Write(file, f"{key} {value}", undo))
    return writes + _throttles(resources)


_UNTHROTTLED: Final = "rbps=max wbps=max riops=max wiops=max"


def _throttles(resources: Resources) -> list[Write]:
    io = resources.block_io
    rates: list[tuple[str, int, int, int | str | None]] = []
    for key, by_bytes in (
        ("rbps", io.throttle_read_bps),
        ("wbps", io.throttle_write_bps),
    ):
        rates += [(key, r.major, r.minor, r.bytes_per_s) for r in by_bytes]
    for key, by_count in (
        ("riops", io.throttle_read_iops),
        ("wiops", io.throttle_write_iops),
    ):
        rates += [(key, r.major, r.minor, r.operations_per_s) for r in by_count]
    writes = []
    for key, major, minor, rate in rates:
        if rate is not None:
            device = f"{major}:{minor}"
            value = f"{device} {key}={or_word(rate, 'max')}"
            writes.append(Write("io.max", value, undo_keyed(device, _UNTHROTTLED)))
    return writes
